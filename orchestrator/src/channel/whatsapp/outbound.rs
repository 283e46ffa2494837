//! A text on its way out: composed, encrypted by the library, and waited for until the server
//! says that it has it.
//!
//! It leaves under the id that the outbox chose, at every attempt, so that whoever gets it
//! twice sees it once.

use std::time::Duration;

use waproto::whatsapp as wa;
use whatsapp_rust::request::IqError;
use whatsapp_rust::{Client, ClientError, Freshness, Jid, SendOptions, send};

use super::media::{self, MediaError};
use super::notices::Acknowledgements;
use crate::channel::SendError;
use crate::house::House;
use crate::store::OutboxText;

/// How long the server may take to say that it has a text.
const PATIENCE: Duration = Duration::from_secs(20);
/// The group has changed since its members were looked up.
const STALE_GROUP: &str = "421";

/// Sends a text; returns when the server has it.
pub(super) async fn send(
    client: &Client,
    house: &House,
    acknowledgements: &Acknowledgements,
    text: &OutboxText,
) -> Result<(), SendError> {
    let to: Jid = text
        .chat
        .as_str()
        .parse()
        .map_err(|error| SendError::Refused {
            why: format!("`{}` is no address on WhatsApp: {error}", text.chat),
        })?;
    let message = compose(client, house, text).await?;
    let options = SendOptions::default().with_message_id(&text.message_id);
    let sent = Sending {
        client,
        acknowledgements,
        to,
        id: &text.message_id,
    };
    match sent.try_once(message.clone(), options.clone()).await? {
        Err(code) if code == STALE_GROUP => {
            let fresh = options
                .with_group_metadata_freshness(Freshness::Refresh)
                .with_device_freshness(Freshness::Refresh);
            judged(sent.try_once(message, fresh).await?)
        }
        told => judged(told),
    }
}

struct Sending<'a> {
    client: &'a Client,
    acknowledgements: &'a Acknowledgements,
    to: Jid,
    id: &'a str,
}

impl Sending<'_> {
    /// One stanza, and what the server says to it: nothing, or the code of a refusal.
    async fn try_once(
        &self,
        message: wa::Message,
        options: SendOptions,
    ) -> Result<Result<(), String>, SendError> {
        let told = self.acknowledgements.expect(self.id);
        let handed = self
            .client
            .send_message_with_options(self.to.clone(), message, options);
        if let Err(error) = handed.await {
            self.acknowledgements.forget(self.id);
            return Err(not_sent(&error));
        }
        match tokio::time::timeout(PATIENCE, told).await {
            Ok(Ok(told)) => Ok(told),
            Ok(Err(_forgotten)) => Err(later(
                "the connection ended before WhatsApp said that it has the text",
            )),
            Err(_elapsed) => {
                self.acknowledgements.forget(self.id);
                Err(later(&format!(
                    "WhatsApp did not say within {} s that it has the text",
                    PATIENCE.as_secs()
                )))
            }
        }
    }
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

/// What a refusal by the server means for the text.
fn judged(told: Result<(), String>) -> Result<(), SendError> {
    let Err(code) = told else {
        return Ok(());
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
        match judged(Err(code.to_owned())) {
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
        assert_eq!(judged(Ok(())), Ok(()));
    }
}
