//! Talking to a mock server that runs elsewhere: its control API, in the words of the library.
//!
//! Every call has a deadline, and returns when all that the server had seen by then has come.

use std::net::SocketAddr;
use std::time::Duration;

use hyper::Method;
use mock_server::JOURNAL_AT;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;

use super::MockError;
use crate::chain::chain;
use crate::lenient::parsed;
use crate::stage::http;
use crate::stage::telling::Reached;

/// It answers at once; what takes its time has a patience of its own on top.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who tells.
const MOCK: &str = "the mock server";

/// A way in to its control API.
#[derive(Clone, Debug)]
pub(super) struct Client {
    address: SocketAddr,
    /// How far its journal has come, once that is followed.
    reached: Option<Reached>,
}

impl Client {
    pub(super) fn new(address: SocketAddr, reached: Option<Reached>) -> Self {
        Self { address, reached }
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, MockError> {
        let asked = self.call((Method::GET, path), String::new(), PATIENCE);
        read(path, &asked.await?)
    }

    /// Posts, and returns what came back, which may be nothing.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<String, MockError> {
        self.call((Method::POST, path), body.to_string(), PATIENCE)
            .await
    }

    pub(super) async fn post_for<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<T, MockError> {
        read(path, &self.post(path, body).await?)
    }

    /// Posts what the server takes up to `patience` for.
    pub(super) async fn post_patiently(
        &self,
        path: &str,
        body: &Value,
        patience: Duration,
    ) -> Result<String, MockError> {
        let patience = patience.saturating_add(PATIENCE);
        self.call((Method::POST, path), body.to_string(), patience)
            .await
    }

    async fn call(
        &self,
        (method, path): (Method, &str),
        body: String,
        patience: Duration,
    ) -> Result<String, MockError> {
        let answer = timeout(patience, ask(self.address, (method, path), body)).await;
        let answer = answer.map_err(|_elapsed| {
            MockError::Gone(format!("{path} is not answered within {patience:?}"))
        })?;
        let answer = answer.map_err(|error| {
            MockError::Gone(format!("{path} is not answered: {}", chain(&error)))
        })?;
        if let (Some(reached), Some(number)) = (&self.reached, answer.journal_at) {
            let caught_up = reached.caught_up(MOCK, number).await;
            caught_up.map_err(MockError::Gone)?;
        }
        match answer.status {
            200..300 => Ok(answer.text),
            _ => Err(refusal(path, &answer)),
        }
    }
}

struct Answer {
    status: u16,
    journal_at: Option<u64>,
    text: String,
}

async fn ask(
    address: SocketAddr,
    head: (Method, &str),
    body: String,
) -> Result<Answer, std::io::Error> {
    let response = http::send(address, "", head, body).await?;
    Ok(Answer {
        status: response.status,
        journal_at: response.header(JOURNAL_AT).as_deref().and_then(parsed),
        text: response.text().await?,
    })
}

/// What it refuses it says in its own words; anything else is no answer to what was asked.
fn refusal(path: &str, answer: &Answer) -> MockError {
    let body: Value = serde_json::from_str(&answer.text).unwrap_or(Value::Null);
    let words = body.pointer("/error/message").and_then(Value::as_str);
    match words.filter(|_| (400..500).contains(&answer.status)) {
        Some(words) => MockError::Refused(words.to_owned()),
        None => MockError::Gone(format!(
            "{path} is answered with {}: {}",
            answer.status, answer.text
        )),
    }
}

fn read<T: DeserializeOwned>(path: &str, text: &str) -> Result<T, MockError> {
    serde_json::from_str(text)
        .map_err(|error| MockError::Gone(format!("{path} is answered with `{text}`: {error}")))
}

/// A name as a part of an address.
pub(super) fn encoded(name: &str) -> String {
    let letter = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    name.bytes().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_can_be_asked_for() {
        assert_eq!(encoded("ada-1.x_~"), "ada-1.x_~");
        assert_eq!(encoded("a/b ?é"), "a%2Fb%20%3F%C3%A9");
    }

    #[test]
    fn a_refusal_keeps_its_words_and_anything_else_is_ours() {
        let answer = |status, text: &str| Answer {
            status,
            journal_at: None,
            text: text.to_owned(),
        };
        let said = r#"{"error":{"type":"unknown","message":"no gate is called `x`"}}"#;
        let refused = refusal("/p", &answer(404, said));
        assert!(matches!(refused, MockError::Refused(words) if words == "no gate is called `x`"));
        for broken in [answer(500, said), answer(404, "what?")] {
            assert!(matches!(refusal("/p", &broken), MockError::Gone(_)));
        }
    }
}
