//! Asking: sends a question, waits for the answer with a deadline, asks again where that helps.
//!
//! This is the one place where the agent waits in real time.

use std::ops::ControlFlow;
use std::time::Duration;

use agent_protocol::AgentErrorKind;
use bytes::Bytes;
use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, Url};
use tokio::time::{Instant, timeout, timeout_at};

use super::answer::{Answer, AnswerReader, Progress};
use super::refusal::{judge_status, retry_after};
use super::trouble::Trouble;
use super::wire::{Request, Said, StreamOptions};
use crate::conversation::Message;
use crate::events::note;
use crate::failure::{Failure, chain};
use crate::http;
use crate::settings::{Model, Patience};
use crate::tools::ToolSpec;

/// How long usage may come after the model has finished. It is worth no more than that.
const LAST_FRAMES: Duration = Duration::from_secs(2);
/// Of an error's body.
const MOST_BYTES: usize = 64 * 1024;

/// The way to one model.
#[derive(Debug)]
pub(crate) struct Completion {
    client: Client,
    address: Url,
    authorization: HeaderValue,
    model: Model,
    patience: Patience,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    pub session: &'a str,
    pub system_prompt: &'a str,
    pub messages: &'a [Message],
    pub tools: &'a [ToolSpec],
}

impl Completion {
    pub(crate) fn new(model: &Model, patience: Patience) -> Result<Self, Failure> {
        let client = match model.base_url.scheme() {
            "https" => http::with_tls(),
            _ => http::without_tls(),
        };
        let config =
            |error: &dyn std::error::Error| Failure::lasting(AgentErrorKind::Config, error);
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", model.key.reveal()))
            .map_err(|error| config(&error))?;
        authorization.set_sensitive(true);
        Ok(Self {
            client: client.build().map_err(|error| config(&error))?,
            address: address(&model.base_url),
            authorization,
            model: model.clone(),
            patience,
        })
    }

    /// Asks until there is a whole answer or no hope of one. A question asked again is the same
    /// to the byte.
    pub(crate) async fn ask(&self, question: Question<'_>) -> Result<Answer, Failure> {
        let body = serde_json::to_vec(&self.request(question))
            .map_err(|error| Failure::lasting(AgentErrorKind::Request, &error))?;
        let body = Bytes::from(body);
        let mut attempt = 1;
        loop {
            let mut trouble = match self.attempt(body.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(trouble) => trouble,
            };
            trouble.message = self.model.key.mask(trouble.message);
            let Some(wait) = trouble.wait(attempt, &self.patience, rand::random()) else {
                return Err(trouble.into_failure(attempt));
            };
            let (of, message) = (self.patience.attempts, &trouble.message);
            note(&format!(
                "attempt {attempt} of {of}: {message}; next in {wait:.1?}"
            ));
            pause(wait).await;
            attempt += 1;
        }
    }

    fn request<'a>(&'a self, question: Question<'a>) -> Request<'a> {
        let mut messages = vec![Said::System {
            content: question.system_prompt,
        }];
        let dialect = self.model.dialect;
        messages.extend(
            question
                .messages
                .iter()
                .map(|said| Said::new(said, dialect)),
        );
        Request {
            model: &self.model.name,
            messages,
            tools: question.tools,
            stream: true,
            stream_options: StreamOptions {
                include_usage: true,
            },
            prompt_cache_key: question.session,
        }
    }

    async fn attempt(&self, body: Bytes) -> Result<Answer, Trouble> {
        let request = self
            .client
            .post(self.address.clone())
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        let response = timeout(self.patience.stall, request.send())
            .await
            .map_err(|_elapsed| self.stalled())?
            .map_err(|error| broken(&error))?;
        if response.status().is_success() {
            self.read(response).await
        } else {
            Err(self.refused(response).await)
        }
    }

    /// Reads until the answer is whole, the body ends, or nothing useful comes for too long.
    async fn read(&self, mut response: Response) -> Result<Answer, Trouble> {
        let mut reader = AnswerReader::default();
        let mut deadline = Instant::now() + self.patience.stall;
        let mut finished = false;
        loop {
            let piece = match timeout_at(deadline, response.chunk()).await {
                Ok(Ok(Some(piece))) => piece,
                Ok(Ok(None)) => return reader.finish(None),
                Ok(Err(error)) => return reader.finish(Some(broken(&error))),
                Err(_elapsed) => return reader.finish(Some(self.stalled())),
            };
            match reader.push(&piece)? {
                ControlFlow::Break(()) => return reader.finish(None),
                ControlFlow::Continue(Progress::Nothing) => {}
                ControlFlow::Continue(Progress::Something) => {
                    deadline = Instant::now() + self.patience.stall;
                }
                ControlFlow::Continue(Progress::Finished) if finished => {}
                ControlFlow::Continue(Progress::Finished) => {
                    finished = true;
                    deadline = Instant::now() + LAST_FRAMES.min(self.patience.stall);
                }
            }
        }
    }

    async fn refused(&self, mut response: Response) -> Trouble {
        let status = response.status().as_u16();
        let wait = match response.headers().get(RETRY_AFTER).map(HeaderValue::to_str) {
            Some(Ok(value)) => retry_after(value, Timestamp::now()),
            Some(Err(_)) | None => None,
        };
        let deadline = Instant::now() + self.patience.stall;
        let mut body = Vec::new();
        // The status alone is enough to judge by, so a body that hangs or breaks is let go.
        while let Ok(Ok(Some(piece))) = timeout_at(deadline, response.chunk()).await {
            body.extend_from_slice(&piece);
            if body.len() > MOST_BYTES {
                break;
            }
        }
        judge_status(status, wait, &body)
    }

    fn stalled(&self) -> Trouble {
        let stall = self.patience.stall;
        Trouble::passing(
            AgentErrorKind::Stalled,
            format!("the model said nothing useful for {stall:?}"),
        )
    }
}

/// `<base URL>/chat/completions`, whether or not the base ends in a slash.
fn address(base_url: &Url) -> Url {
    let mut address = base_url.clone();
    let path = base_url.path().trim_end_matches('/');
    address.set_path(&format!("{path}/chat/completions"));
    address
}

fn broken(error: &reqwest::Error) -> Trouble {
    Trouble::passing(AgentErrorKind::Network, chain(error))
}

async fn pause(wait: Duration) {
    // Pending for ever, so elapsing is the only way out: an endpoint's wish has no event to wait for.
    let elapsed = timeout(wait, std::future::pending::<()>()).await;
    debug_assert!(elapsed.is_err());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_keeps_the_path_of_its_base() {
        for base in ["http://h:1/api/v1", "http://h:1/api/v1/"] {
            let address = address(&Url::parse(base).unwrap());
            assert_eq!(address.as_str(), "http://h:1/api/v1/chat/completions");
        }
    }
}
