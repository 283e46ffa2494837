//! nanokimi's HTTP API, as a client sees it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use hyper::Method;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::StageError;
use super::http::{self, Chunks, Response};
use super::sse::{SseEvent, SseReader};

/// A way in to the running nanokimi.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    address: SocketAddr,
    token: String,
}

/// A message as it is posted.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) chat: String,
    pub(crate) from: Option<String>,
    pub(crate) text: String,
    pub(crate) stream: bool,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// For an error inside of a stream: the status it stands for, or 500.
    pub(crate) status: u16,
    /// The assistant's text, or what the error says.
    pub(crate) text: String,
}

/// Where a move of the clock came to rest.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Moved {
    pub(crate) now: Timestamp,
    pub(crate) settled: bool,
    pub(crate) busy: Vec<String>,
    /// The number of the last event by then.
    pub(crate) last_event: u64,
}

impl Api {
    pub(crate) fn new(address: SocketAddr, token: String) -> Self {
        Self { address, token }
    }

    async fn post(&self, path: &str, body: &Value) -> io::Result<Response> {
        let head = (Method::POST, path);
        http::send(self.address, &self.token, head, body.to_string()).await
    }

    /// Posts a message and waits for what comes back, whatever it is.
    pub(crate) async fn ask(&self, question: &Question) -> io::Result<Answer> {
        let mut body = json!({
            "model": "nanokimi",
            "messages": [{ "role": "user", "content": question.text }],
            "stream": question.stream,
            "session_id": question.chat,
        });
        if let Some(from) = &question.from {
            body["user"] = json!(from);
        }
        let response = self.post("/v1/chat/completions", &body).await?;
        let status = response.status;
        if question.stream && status == 200 {
            return read_stream(response.chunks()).await;
        }
        let text = response.text().await?;
        Ok(Answer {
            status,
            text: said(&text),
        })
    }

    /// Moves the clock (`{"advance": …}` or `{"advance_to": …}`) and waits until all is quiet.
    /// With `leave_runs`, agents at work are not waited for.
    pub(crate) async fn move_clock(
        &self,
        to: &Value,
        leave_runs: bool,
        patience: Duration,
    ) -> Result<Moved, StageError> {
        let mut body = to.clone();
        body["leave_runs"] = leave_runs.into();
        body["within"] = format!("{}ms", patience.as_millis()).into();
        let response = self.post("/v1/clock", &body).await?;
        let status = response.status;
        let text = response.text().await?;
        if status != 200 {
            return Err(StageError::Clock(said(&text)));
        }
        serde_json::from_str(&text).map_err(|_shape| StageError::Clock(text))
    }

    /// Everything that happens from boot on.
    pub(crate) async fn events(&self) -> Result<SseReader<Chunks>, StageError> {
        let head = (Method::GET, "/v1/events");
        let response = http::send(self.address, &self.token, head, String::new()).await?;
        match response.status {
            200 => Ok(SseReader::new(response.chunks())),
            _ => Err(StageError::Http(io::Error::other(response.text().await?))),
        }
    }
}

/// Reads an answer piece by piece, up to its `[DONE]`, as chat completions are streamed.
async fn read_stream<S>(chunks: S) -> io::Result<Answer>
where
    S: Stream<Item = io::Result<Bytes>> + Unpin,
{
    let mut events = SseReader::new(chunks);
    let mut text = String::new();
    let mut finished = false;
    while let Some(event) = events.next().await {
        let event = event?;
        if event.name == "error" {
            return Ok(failed(&event));
        }
        if event.data == "[DONE]" {
            return match finished {
                true => Ok(Answer { status: 200, text }),
                false => Err(io::Error::other("the stream has no finish_reason")),
            };
        }
        let chunk: Value = serde_json::from_str(&event.data).unwrap_or(Value::Null);
        text.push_str(delta(&chunk));
        finished |= chunk
            .pointer("/choices/0/finish_reason")
            .is_some_and(Value::is_string);
    }
    Err(io::Error::other("the stream ended without `[DONE]`"))
}

fn failed(event: &SseEvent) -> Answer {
    let body: Value = serde_json::from_str(&event.data).unwrap_or(Value::Null);
    let status = body
        .pointer("/error/status")
        .or_else(|| body.pointer("/error/code"));
    let status = status
        .and_then(Value::as_u64)
        .and_then(|code| u16::try_from(code).map_or(None, |code| (code >= 400).then_some(code)));
    Answer {
        status: status.unwrap_or(500),
        text: said(&event.data),
    }
}

fn delta(chunk: &Value) -> &str {
    let content = chunk.pointer("/choices/0/delta/content");
    content
        .and_then(Value::as_str)
        .map_or("", |content| content)
}

/// The assistant's text, or the error's, or the body as it came.
fn said(body: &str) -> String {
    let value: Value = serde_json::from_str(body).unwrap_or(Value::Null);
    let places = [
        "/choices/0/message/content",
        "/error/message",
        "/error",
        "/message",
    ];
    let found = places
        .iter()
        .find_map(|place| value.pointer(place)?.as_str());
    found.map_or_else(|| body.to_owned(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    /// What is made of an answer that comes in these lines of data.
    async fn check(lines: &[&str], expected: Result<&str, &str>) {
        let chunks = lines
            .iter()
            .map(|line| Ok(Bytes::from(format!("data: {line}\n\n"))));
        let chunks: Vec<io::Result<Bytes>> = chunks.collect();
        let answer = read_stream(stream::iter(chunks)).await;
        let told = answer.map_err(|error| error.to_string());
        let told = told.as_ref().map(|answer| &*answer.text);
        assert_eq!(told.map_err(String::as_str), expected, "{lines:?}");
    }

    #[tokio::test]
    async fn a_stream_counts_only_with_its_end() {
        const TEXT: &str = r#"{"choices":[{"delta":{"content":"Hi."},"finish_reason":null}]}"#;
        const FINISH: &str = r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
        check(&[TEXT, FINISH, "[DONE]"], Ok("Hi.")).await;
        let unfinished = "the stream has no finish_reason";
        check(&[TEXT, "[DONE]"], Err(unfinished)).await;
        let cut_off = "the stream ended without `[DONE]`";
        check(&[TEXT, FINISH], Err(cut_off)).await;
        check(&[], Err(cut_off)).await;
    }
}
