//! JSON-RPC 2.0, one message to a line.

use agent_client_protocol_schema::v1::Error;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the agent says.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    /// The answer to a question of ours, by its number.
    Answer(u64, Result<Value, Error>),
    /// A question; its id is sent back as it came.
    Question {
        id: Value,
        method: String,
        params: Value,
    },
    News {
        method: String,
        params: Value,
    },
}

/// A line that is no message: programs print all kinds of things.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a message of JSON-RPC 2.0")]
pub(super) struct Noise;

#[derive(Deserialize)]
struct Message {
    jsonrpc: String,
    #[serde(default)]
    id: Option<Value>,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    params: Value,
    #[serde(default)]
    result: Option<Value>,
    #[serde(default)]
    error: Option<Error>,
}

#[derive(Serialize)]
struct Asking<'a, P> {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    method: &'a str,
    params: P,
}

#[derive(Serialize)]
struct Answering<'a, R> {
    jsonrpc: &'static str,
    id: &'a Value,
    #[serde(flatten)]
    outcome: Outcome<R>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome<R> {
    Result(R),
    Error(Error),
}

pub(super) fn read(line: &[u8]) -> Result<Said, Noise> {
    let Ok(message) = serde_json::from_slice::<Message>(line) else {
        return Err(Noise);
    };
    if message.jsonrpc != "2.0" {
        return Err(Noise);
    }
    match (message.id, message.method) {
        (Some(id), Some(method)) => Ok(Said::Question {
            id,
            method,
            params: message.params,
        }),
        (None, Some(method)) => Ok(Said::News {
            method,
            params: message.params,
        }),
        (Some(id), None) => {
            let number = id.as_u64().ok_or(Noise)?;
            let outcome = match message.error {
                Some(error) => Err(error),
                // An absent result is as good as null: some methods have nothing to say.
                None => Ok(message.result.unwrap_or(Value::Null)),
            };
            Ok(Said::Answer(number, outcome))
        }
        (None, None) => Err(Noise),
    }
}

/// A question, or news when it has no number.
pub(super) fn asking(
    number: Option<u64>,
    method: &str,
    params: impl Serialize,
) -> serde_json::Result<Vec<u8>> {
    line(&Asking {
        jsonrpc: "2.0",
        id: number,
        method,
        params,
    })
}

/// The answer to a question of the agent.
pub(super) fn answering(
    id: &Value,
    outcome: Result<impl Serialize, Error>,
) -> serde_json::Result<Vec<u8>> {
    line(&Answering {
        jsonrpc: "2.0",
        id,
        outcome: match outcome {
            Ok(result) => Outcome::Result(result),
            Err(error) => Outcome::Error(error),
        },
    })
}

fn line(message: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(line: &str, said: &Result<Said, Noise>) {
        assert_eq!(&read(line.as_bytes()), said, "{line}");
    }

    #[test]
    fn messages_are_told_from_noise() {
        check(
            r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
            &Ok(Said::Answer(1, Ok(json!({})))),
        );
        check(
            r#"{"jsonrpc":"2.0","id":2}"#,
            &Ok(Said::Answer(2, Ok(Value::Null))),
        );
        check(
            r#"{"jsonrpc":"2.0","id":"q","method":"m"}"#,
            &Ok(Said::Question {
                id: "q".into(),
                method: "m".into(),
                params: Value::Null,
            }),
        );
        check("Welcome to Kimi!", &Err(Noise));
        check(r#"{"id":1,"result":{}}"#, &Err(Noise));
        check(r#"{"jsonrpc":"2.0","id":"ours is a number"}"#, &Err(Noise));
        check("[]", &Err(Noise));
    }
}
