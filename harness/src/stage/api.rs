//! nanokimi's HTTP API, as a client sees it.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::StageError;
use super::sse::{SseEvent, SseReader};

/// Nobody waits longer for a single answer, whatever the step says.
const LONGEST: Duration = Duration::from_secs(600);

/// A body as it arrives.
pub(crate) type Chunks = BoxStream<'static, Result<Bytes, reqwest::Error>>;

/// A way in to the running nanokimi.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    client: reqwest::Client,
    base: String,
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
    #[serde(default)]
    pub(crate) settled: bool,
    #[serde(default)]
    pub(crate) busy: Vec<String>,
    /// The number of the last event by then.
    #[serde(default)]
    pub(crate) last_event: Option<u64>,
}

impl Api {
    pub(crate) fn new(client: reqwest::Client, address: SocketAddr, token: String) -> Self {
        Self {
            client,
            base: format!("http://{address}"),
            token,
        }
    }

    fn post(&self, path: &str, body: &Value) -> reqwest::RequestBuilder {
        self.client
            .post(format!("{}{path}", self.base))
            .bearer_auth(&self.token)
            .timeout(LONGEST)
            .json(body)
    }

    /// Posts a message and waits for what comes back, whatever it is.
    pub(crate) async fn ask(&self, question: &Question) -> Result<Answer, reqwest::Error> {
        let mut body = json!({
            "model": "nanokimi",
            "messages": [{ "role": "user", "content": question.text }],
            "stream": question.stream,
            "session_id": question.chat,
        });
        if let Some(from) = &question.from {
            body["user"] = json!(from);
        }
        let response = self.post("/v1/chat/completions", &body).send().await?;
        let status = response.status().as_u16();
        if question.stream && status == 200 {
            return read_stream(response).await;
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
    ) -> Result<Moved, StageError> {
        let mut body = to.clone();
        body["leave_runs"] = leave_runs.into();
        let response = self.post("/v1/clock", &body).send().await?;
        let status = response.status();
        let text = response.text().await?;
        if !status.is_success() {
            return Err(StageError::Clock(said(&text)));
        }
        serde_json::from_str(&text).map_err(|_shape| StageError::Clock(text))
    }

    /// Everything that happens from boot on.
    pub(crate) async fn events(&self) -> Result<SseReader<Chunks>, StageError> {
        let request = self.client.get(format!("{}/v1/events", self.base));
        let response = request.bearer_auth(&self.token).send().await?;
        let response = response.error_for_status()?;
        Ok(SseReader::new(response.bytes_stream().boxed()))
    }
}

async fn read_stream(response: reqwest::Response) -> Result<Answer, reqwest::Error> {
    let mut events = SseReader::new(response.bytes_stream().boxed());
    let mut text = String::new();
    while let Some(event) = events.next().await {
        let event = event?;
        if event.name == "error" {
            return Ok(failed(&event));
        }
        if let Some(piece) = delta(&event.data) {
            text.push_str(&piece);
        }
    }
    Ok(Answer { status: 200, text })
}

fn failed(event: &SseEvent) -> Answer {
    let body: Value = serde_json::from_str(&event.data).unwrap_or(Value::Null);
    let status = body.pointer("/error/status").or_else(|| body.pointer("/error/code"));
    let status = status.and_then(Value::as_u64).and_then(|code| code.try_into().map_or(None, Some));
    Answer {
        status: status.unwrap_or(500),
        text: said(&event.data),
    }
}

fn delta(data: &str) -> Option<String> {
    // `[DONE]` is the one line that is not JSON.
    let chunk: Value = serde_json::from_str(data).unwrap_or(Value::Null);
    let content = chunk.pointer("/choices/0/delta/content")?;
    Some(content.as_str()?.to_owned())
}

/// The assistant's text, or the error's, or the body as it came.
fn said(body: &str) -> String {
    let value: Value = serde_json::from_str(body).unwrap_or(Value::Null);
    let places = ["/choices/0/message/content", "/error/message", "/error"];
    let found = places.iter().find_map(|place| value.pointer(place)?.as_str());
    found.map_or_else(|| body.to_owned(), str::to_owned)
}
