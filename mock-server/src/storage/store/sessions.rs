//! Resumable uploads of the JSON API: an object that comes in chunks, each of which may be
//! lost.
//!
//! <https://cloud.google.com/storage/docs/performing-resumable-uploads>

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;

use crate::storage::refusal::{Refusal, Wrong};
use crate::storage::store::content::{Promised, Sums};
use crate::storage::store::object::Object;
use crate::storage::store::{Draft, Store};

/// Of a chunk that is not the last only multiples of this are kept.
const GRAIN: usize = 256 << 10;

/// An upload, under way or ended.
#[derive(Debug)]
pub(crate) struct Session {
    state: State,
}

#[derive(Debug)]
enum State {
    Open(Box<Open>),
    Finished(Arc<Object>),
    Cancelled,
}

#[derive(Debug)]
struct Open {
    draft: Draft,
    promised: Promised,
    /// The size that was announced when it began.
    size: Option<u64>,
    received: BytesMut,
    sums: Sums,
}

/// What a client sends to a session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) span: Span,
    pub(crate) bytes: Bytes,
    pub(crate) promised: Promised,
}

/// What a chunk is of the whole, as `Content-Range` says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    /// First and last byte; none if it only asks.
    pub(crate) range: Option<(u64, u64)>,
    /// The size of the whole, where it is known.
    pub(crate) size: Option<u64>,
}

impl Span {
    /// `bytes 0-9/10`, `bytes 0-9/*`, `bytes */10`, `bytes */*`, or `bytes 0-*/*`: from there to
    /// the end of the body, which has so many bytes and is the last.
    pub(crate) fn parse(header: &str, length: u64) -> Option<Self> {
        let (range, size) = header
            .trim()
            .strip_prefix("bytes")?
            .trim()
            .split_once('/')?;
        let mut size = match size.trim() {
            "*" => None,
            size => Some(number(size)?),
        };
        let range = match range.trim().split_once('-') {
            None => return (range.trim() == "*").then_some(Self { range: None, size }),
            Some((first, "*")) => {
                let first = number(first)?;
                let end = first.checked_add(length)?;
                size = size.or(Some(end));
                length.checked_sub(1).map(|last| (first, first + last))
            }
            Some((first, last)) => Some((number(first)?, number(last)?)),
        };
        let is_in_order =
            range.is_none_or(|(first, last)| first <= last && size.is_none_or(|size| last < size));
        is_in_order.then_some(Self { range, size })
    }
}

fn number(text: &str) -> Option<u64> {
    match text.trim().parse() {
        Ok(number) => Some(number),
        Err(_no_number) => None,
    }
}

/// How far an upload is.
#[derive(Clone, Debug)]
pub(crate) enum Progress {
    /// So many bytes are kept.
    Received(u64),
    Finished(Arc<Object>),
    /// It has been finished before; this is what became of it.
    WasFinished(Arc<Object>),
}

impl Store {
    /// Begins an upload, and returns its id.
    pub(crate) fn begin(
        &mut self,
        draft: Draft,
        promised: Promised,
        size: Option<u64>,
    ) -> Result<String, Refusal> {
        self.may_put(&draft)?;
        let id = self.generations.upload_id();
        let open = Open {
            draft,
            promised,
            size,
            received: BytesMut::new(),
            sums: Sums::default(),
        };
        let state = State::Open(Box::new(open));
        self.sessions.insert(id.clone(), Session { state });
        Ok(id)
    }

    /// Takes what is new of a chunk, and makes the object if it was the last.
    pub(crate) fn receive(
        &mut self,
        id: &str,
        chunk: &Chunk,
        now: Timestamp,
    ) -> Result<Progress, Refusal> {
        let session = self.sessions.get_mut(id).ok_or_else(|| unknown(id))?;
        let open = match &mut session.state {
            State::Finished(object) => return Ok(Progress::WasFinished(Arc::clone(object))),
            State::Cancelled => return Err(cancelled(id)),
            State::Open(open) => open,
        };
        open.take(chunk)?;
        let received = open.received.len() as u64;
        if chunk.span.size != Some(received) {
            return Ok(Progress::Received(received));
        }
        let promised = chunk.promised.clone().or(open.promised.clone());
        let sums = std::mem::take(&mut open.sums);
        let content = sums.over(std::mem::take(&mut open.received).freeze());
        let draft = open.draft.clone();
        // Whatever comes of it: the bytes were all there, and cannot be sent again.
        session.state = State::Cancelled;
        check(&promised, &content)?;
        let object = self.put(draft, content, now)?;
        let state = State::Finished(Arc::clone(&object));
        self.sessions.insert(id.to_owned(), Session { state });
        Ok(Progress::Finished(object))
    }

    /// Nothing of an upload is kept, unless it is an object already.
    pub(crate) fn cancel(&mut self, id: &str) -> Result<(), Refusal> {
        let session = self.sessions.get_mut(id).ok_or_else(|| unknown(id))?;
        match &session.state {
            State::Finished(_) => Err(Refusal::invalid("The upload is complete.")),
            State::Cancelled => Err(cancelled(id)),
            State::Open(_) => {
                session.state = State::Cancelled;
                Ok(())
            }
        }
    }
}

impl Open {
    fn take(&mut self, chunk: &Chunk) -> Result<(), Refusal> {
        let Some((first, last)) = chunk.span.range else {
            return if chunk.bytes.is_empty() {
                Ok(())
            } else {
                Err(Refusal::invalid("A status query has no body."))
            };
        };
        let size = chunk.span.size.or(self.size);
        if self.size.is_some() && size != self.size {
            let message = "The total size is not the one that was announced.";
            return Err(Refusal::invalid(message));
        }
        if (last - first).checked_add(1) != Some(chunk.bytes.len() as u64) {
            let message = "Content-Range does not match the size of the body.";
            return Err(Refusal::invalid(message));
        }
        let received = self.received.len() as u64;
        let Some(known) = received.checked_sub(first) else {
            let message = format!(
                "Invalid request. The chunk begins at byte {first}, but only {received} were received."
            );
            return Err(Refusal::invalid(message));
        };
        // What was sent again is known already.
        let known = usize::try_from(known)
            .unwrap_or(usize::MAX)
            .min(chunk.bytes.len());
        let new = &chunk.bytes[known..];
        let is_last = size.is_some() && size == last.checked_add(1);
        let whole = self.received.len() + new.len();
        let kept = if is_last {
            whole
        } else {
            whole - whole % GRAIN
        };
        let new = &new[..kept.saturating_sub(self.received.len())];
        if let (true, Some(size)) = (self.received.is_empty(), size) {
            // Announced sizes may be anything.
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            self.received
                .reserve(size.clamp(new.len(), new.len() + (64 << 20)));
        }
        self.received.extend_from_slice(new);
        self.sums.update(new);
        Ok(())
    }
}

/// Refuses a content that is not the promised one.
pub(crate) fn check(
    promised: &Promised,
    content: &crate::storage::store::content::Content,
) -> Result<(), Refusal> {
    match promised.broken_by(content) {
        None => Ok(()),
        Some((sum, promised, real)) => {
            let message =
                format!("Provided {sum} \"{promised}\" doesn't match calculated {sum} \"{real}\".");
            Err(Refusal::new(Wrong::Digest, message))
        }
    }
}

fn unknown(id: &str) -> Refusal {
    Refusal::new(Wrong::NoUpload, format!("No such upload: {id}"))
}

fn cancelled(id: &str) -> Refusal {
    Refusal::new(Wrong::Cancelled, format!("The upload was ended: {id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read_in_all_their_forms() {
        #[track_caller]
        fn check(header: &str, range: Option<(u64, u64)>, size: Option<u64>) {
            let span = Span::parse(header, 10);
            assert_eq!(span, Some(Span { range, size }), "{header}");
        }
        check("bytes 0-9/10", Some((0, 9)), Some(10));
        check("bytes 5-9/*", Some((5, 9)), None);
        check("bytes */10", None, Some(10));
        check("bytes */*", None, None);
        check("bytes 0-*/*", Some((0, 9)), Some(10));
        check("bytes 5-*/15", Some((5, 14)), Some(15));
        check("bytes 5-*/20", Some((5, 14)), Some(20));
        for wrong in [
            "",
            "bytes",
            "bytes 1/2",
            "bytes 9-0/*",
            "bytes 0-9/9",
            "bytes a-b/c",
            "bytes 5-*/10",
            "bytes 18446744073709551615-*/*",
        ] {
            assert_eq!(Span::parse(wrong, 10), None, "{wrong}");
        }
    }
}
