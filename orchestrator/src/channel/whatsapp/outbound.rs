//! A text on its way out: composed, encrypted by the library, and waited for until the server
//! says that it has it.
//!
//! It leaves under the id that the outbox chose, at every attempt, so that whoever gets it
//! twice sees it once.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, interval_at, timeout};
use waproto::whatsapp as wa;
use whatsapp_rust::request::IqError;
use whatsapp_rust::{Client, ClientError, Freshness, Jid, SendOptions, send};

use super::media::{self, MediaError};
use super::notices::{Acknowledgement, Acknowledgements};
use crate::channel::SendError;
use crate::house::House;
use crate::store::OutboxText;

/// How long the server may take to say that it has a text.
const PATIENCE: Duration = Duration::from_secs(20);
/// The group has changed since its members were looked up.
const STALE_GROUP: &str = "421";

/// What an attempt to send a text came to.
#[derive(Debug)]
pub(super) struct Sent {
    pub came_to: Result<(), SendError>,
    /// Nothing at all came from the server while it was waited for: the line is dead, and nobody
    /// has told us.
    pub silent: bool,
}

/// What a server says to a stanza.
#[derive(Debug)]
enum Told {
    Taken,
    /// With a code.
    Refused(String),
    /// Not within our patience.
    Nothing,
    /// As little, and neither did anything else come from it.
    Silence,
}

/// What handing a stanza over came to.
enum Handed {
    Over,
    /// The server was quicker than the library.
    Answered(Acknowledgement),
    /// The library waits for a server from which nothing comes.
    Silence,
}

/// Sends a text; returns when the server has it, or has not said so in time.
pub(super) async fn send(
    client: &Client,
    house: &House,
    acknowledgements: &Acknowledgements,
    text: &OutboxText,
) -> Sent {
    let told = attempt(client, house, acknowledgements, text).await;
    Sent {
        silent: matches!(told, Ok(Told::Silence)),
        came_to: told.and_then(judged),
    }
}

async fn attempt(
    client: &Client,
    house: &House,
    acknowledgements: &Acknowledgements,
    text: &OutboxText,
) -> Result<Told, SendError> {
    let to: Jid = text
        .chat
        .as_str()
        .parse()
        .map_err(|error| SendError::Refused {
            why: format!("`{}` is no address on WhatsApp: {error}", text.chat),
        })?;
    let message = compose(client, house, text).await?;
    let options = SendOptions::default().with_message_id(&text.message_id);
    let stanza = Stanza {
        client,
        acknowledgements,
        to,
        id: &text.message_id,
    };
    match stanza.send(message.clone(), options.clone()).await? {
        Told::Refused(code) if code == STALE_GROUP => {
            let fresh = options
                .with_group_metadata_freshness(Freshness::Refresh)
                .with_device_freshness(Freshness::Refresh);
            stanza.send(message, fresh).await
        }
        told @ (Told::Taken | Told::Refused(_) | Told::Nothing | Told::Silence) => Ok(told),
    }
}

struct Stanza<'a> {
    client: &'a Client,
    acknowledgements: &'a Acknowledgements,
    to: Jid,
    id: &'a str,
}

impl Stanza<'_> {
    async fn send(&self, message: wa::Message, options: SendOptions) -> Result<Told, SendError> {
        // The connection may have ended since we were asked to send.
        let told = self.acknowledgements.expect(self.id);
        let mut told = told.ok_or(SendError::NotConnected)?;
        let outcome = match self.hand_over(message, options, &mut told).await {
            Ok(Handed::Over) => self.wait_for_word(told).await,
            Ok(Handed::Answered(said)) => Ok(heard(said)),
            Ok(Handed::Silence) => Ok(Told::Silence),
            Err(error) => Err(error),
        };
        self.acknowledgements.forget(self.id);
        outcome
    }

    async fn wait_for_word(
        &self,
        told: oneshot::Receiver<Acknowledgement>,
    ) -> Result<Told, SendError> {
        let before = self.frames();
        match timeout(PATIENCE, told).await {
            Ok(Ok(said)) => Ok(heard(said)),
            Ok(Err(_closed)) => Err(later(
                "the connection ended before WhatsApp said that it has the text",
            )),
            Err(_elapsed) if self.frames() == before => Ok(Told::Silence),
            Err(_elapsed) => Ok(Told::Nothing),
        }
    }

    /// Returns when nothing at all has come from the server for as long as our patience lasts.
    async fn silence(&self) {
        let mut patience = interval_at(Instant::now() + PATIENCE, PATIENCE);
        let mut before = self.frames();
        loop {
            patience.tick().await;
            let now = self.frames();
            if now == before {
                break;
            }
            before = now;
        }
    }

    fn frames(&self) -> u64 {
        self.client.stats().frames_received
    }

    /// Gives the message to the library, which may first ask the server for people's devices.
    ///
    /// When its connection is lost, the library would wait a minute for the next one and then
    /// send. That is for the outbox to decide, so it is stopped.
    async fn hand_over(
        &self,
        message: wa::Message,
        options: SendOptions,
        told: &mut oneshot::Receiver<Acknowledgement>,
    ) -> Result<Handed, SendError> {
        let client = self.client;
        let handed = client.send_message_with_options(self.to.clone(), message, options);
        let mut handed = Box::pin(handed);
        let early = tokio::select! {
            biased;
            handed = &mut handed => {
                return handed.map(|_sent| Handed::Over).map_err(|error| not_sent(&error));
            }
            early = told => early.map_err(|_closed| SendError::NotConnected)?,
            () = self.silence() => return Ok(Handed::Silence),
        };
        // The server has it; what the library still has to write down, it writes down.
        match handed.await {
            Ok(_) | Err(_) => Ok(Handed::Answered(early)),
        }
    }
}

fn heard(said: Acknowledgement) -> Told {
    said.map_or_else(Told::Refused, |()| Told::Taken)
}

async fn compose(
    client: &Client,
    house: &House,
    text: &OutboxText,
) -> Result<wa::Message, SendError> {
    let Some(file) = &text.media else {
        return Ok(wa::Message {
            conversation: Some(text.text.clone()),
            ..wa::Message::default()
        });
    };
    media::upload(client, house, file, &text.text)
        .await
        .map_err(|error| match error {
            MediaError::Upload { .. } => later(&error.to_string()),
            MediaError::TooLarge { .. }
            | MediaError::NoSource
            | MediaError::Slow
            | MediaError::Fetch(_)
            | MediaError::Changed
            | MediaError::Keep(_)
            | MediaError::Unwanted { .. }
            | MediaError::Unsendable { .. } => SendError::Refused {
                why: error.to_string(),
            },
        })
}

fn later(why: &str) -> SendError {
    SendError::Later {
        why: why.to_owned(),
    }
}

/// What the server's word means for the text.
fn judged(told: Told) -> Result<(), SendError> {
    let code = match told {
        Told::Taken => return Ok(()),
        Told::Refused(code) => code,
        Told::Nothing | Told::Silence => {
            let patience = PATIENCE.as_secs();
            let why = format!("WhatsApp did not say within {patience} s that it has the text");
            return Err(later(&why));
        }
    };
    let refused = |why: &str| SendError::Refused {
        why: format!("WhatsApp refuses the text ({code}): {why}"),
    };
    Err(match code.as_str() {
        "400" | "479" => refused("it takes the message for malformed"),
        "401" | "403" | "405" => refused("we may not write there"),
        "404" | "406" => refused("there is nobody at this address"),
        "463" => refused("the account may not write to people who have not written to it"),
        _it_may_change => later(&format!("WhatsApp does not take the text now ({code})")),
    })
}

/// Why the library did not send.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the rest are faults inside the library, which may pass"
)]
fn not_sent(error: &send::SendError) -> SendError {
    match error {
        send::SendError::NotLoggedIn => SendError::NotConnected,
        send::SendError::Client(ClientError::NotConnected | ClientError::NotLoggedIn) => {
            SendError::NotConnected
        }
        send::SendError::Iq(IqError::NotConnected | IqError::Disconnected(_)) => {
            SendError::NotConnected
        }
        send::SendError::Iq(IqError::ServerError { code, text, .. }) => match code {
            401 | 403 | 404 => SendError::Refused {
                why: format!("WhatsApp does not let us write there ({code} {text})"),
            },
            _it_may_change => later(&format!("WhatsApp answers {code} {text}")),
        },
        send::SendError::InvalidRequest(why) => SendError::Refused { why: why.clone() },
        other => later(&format!("it could not be handed to WhatsApp: {other:#}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: &str, is_final: bool) {
        match judged(Told::Refused(code.to_owned())) {
            Err(SendError::Refused { why }) => assert!(is_final && why.contains(code), "{why}"),
            Err(SendError::Later { why }) => assert!(!is_final && why.contains(code), "{why}"),
            other => panic!("{code}: {other:?}"),
        }
    }

    #[test]
    fn what_cannot_change_is_refused_and_the_rest_is_tried_again() {
        for code in ["400", "403", "404", "463", "479"] {
            check(code, true);
        }
        for code in ["421", "429", "500", "503", "999"] {
            check(code, false);
        }
        assert_eq!(judged(Told::Taken), Ok(()));
    }
}
