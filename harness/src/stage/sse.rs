//! Reading a stream of server-sent events, as far as we need it.

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

/// One event; comments are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SseEvent {
    pub(crate) id: Option<String>,
    /// Empty for the nameless events of chat completions.
    pub(crate) name: String,
    pub(crate) data: String,
}

/// Cuts the chunks of a body into events.
#[derive(Debug)]
pub(crate) struct SseReader<S> {
    chunks: S,
    unread: Vec<u8>,
}

impl<S, E> SseReader<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    pub(crate) fn new(chunks: S) -> Self {
        Self {
            chunks,
            unread: Vec::new(),
        }
    }

    /// The next event, or `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Result<SseEvent, E>> {
        loop {
            if let Some(event) = self.take() {
                return Some(Ok(event));
            }
            match self.chunks.next().await? {
                Ok(chunk) => self.unread.extend_from_slice(&chunk),
                Err(error) => return Some(Err(error)),
            }
        }
    }

    fn take(&mut self) -> Option<SseEvent> {
        loop {
            let end = self.unread.windows(2).position(|pair| pair == b"\n\n")?;
            let block: Vec<u8> = self.unread.drain(..end + 2).collect();
            let event = read(&String::from_utf8_lossy(&block));
            if event.is_some() {
                return event;
            }
        }
    }
}

fn read(block: &str) -> Option<SseEvent> {
    let mut event = SseEvent::default();
    let mut found = false;
    for line in block.lines() {
        let Some((field, value)) = line.split_once(':').filter(|(field, _)| !field.is_empty())
        else {
            continue;
        };
        let value = value.strip_prefix(' ').map_or(value, |value| value);
        found = true;
        match field {
            "event" => value.clone_into(&mut event.name),
            "id" => event.id = Some(value.to_owned()),
            "data" if event.data.is_empty() => value.clone_into(&mut event.data),
            "data" => {
                event.data.push('\n');
                event.data.push_str(value);
            }
            _ => {}
        }
    }
    found.then_some(event)
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    #[tokio::test]
    async fn events_are_whole_however_the_bytes_are_cut() {
        let text = ": hello\n\nid: 1\nevent: a\ndata: {}\n\ndata: x\ndata: y\n\n";
        let chunks = text.as_bytes().chunks(3).map(Bytes::copy_from_slice);
        let chunks: Vec<Result<Bytes, ()>> = chunks.map(Ok).collect();
        let mut reader = SseReader::new(stream::iter(chunks));

        let first = reader.next().await.unwrap().unwrap();
        assert_eq!((first.id.as_deref(), first.name.as_str()), (Some("1"), "a"));
        assert_eq!(reader.next().await.unwrap().unwrap().data, "x\ny");
        assert_eq!(reader.next().await, None);
    }
}
