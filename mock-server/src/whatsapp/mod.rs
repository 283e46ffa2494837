//! WhatsApp: the server on nanokimi's wire, and the people behind it.
//!
//! A stanza's walk: a socket carries frames (`socket`), a connection shakes hands and makes
//! stanzas of them (`connection`, `stanza`), and the exchange, the one task that owns all state,
//! answers them or passes them to the phones (`exchange`, `phone`), which hold keys and sessions
//! of their own. What people and misfortune do comes in as [`Control`]s. What happens is
//! written into the journal; nothing here judges it.

mod account;
mod bytes;
mod certificate;
mod connection;
mod control_api;
mod controls;
mod exchange;
mod group;
mod introduction;
mod iq;
mod media;
mod message;
mod moment;
mod noise;
mod pairing;
mod phone;
mod reception;
mod running;
mod socket;
mod speaker;
mod stanza;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use exchange::{Directory, Request};

pub use account::{LinkedAccount, OneTimePrekey, PhoneSession, SignedPrekey};
pub use bytes::Base64;
pub use certificate::ShownCertificate;
pub use controls::{
    Addressing, Attachment, CodeReason, CodeRefusal, Composing, Control, Done, Editing, FileFault,
    GroupCast, LinkOffer, MediaKind, Membership, Mutation, Nacking, OtherContent, Presence,
    PresenceState, Reacting, Reading, Reason, Refusal, Revoking, Saying, TextForm, Traffic,
    TypingState, UploadRefusal, Wrapper,
};
pub use running::WhatsAppError;

pub(crate) use control_api::routes as control_routes;
pub(crate) use reception::routes as socket_routes;
pub(crate) use running::Running;

/// How much of what is on its way is told when it does not come to rest.
const TOLD: usize = 5;

/// A handle to the mock's WhatsApp.
#[derive(Clone, Debug)]
pub struct WhatsApp {
    /// Host and port of the mock, as clients know them; there as soon as it listens.
    address: Arc<OnceLock<String>>,
    authority: Arc<str>,
    certificate: Arc<ShownCertificate>,
    directory: Arc<Mutex<Directory>>,
    requests: mpsc::Sender<Request>,
    callers: mpsc::Sender<reception::Caller>,
}

/// A control that could not be done. Nothing of it was, but that whoever it names exists.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("no chat is called `{chat}`; {known}")]
    UnknownChat { chat: String, known: String },
    #[error("no message is called `{message}`, and none has that id")]
    UnknownMessage { message: String },
    #[error("`{name}` is no name of a person: it is empty, or has one of `@:/\" ` in it")]
    NotAName { name: String },
    #[error("`{id}` is no group id: expected `<digits>` or `<digits>@g.us`")]
    NotAGroup { id: String },
    #[error("`{name}` is already the name of another chat")]
    NameTaken { name: String },
    #[error("somebody has the phone number already that would be `{name}`'s; take another name")]
    NumberTaken { name: String },
    #[error("`{person}` is not in {chat}")]
    NotAMember { person: String, chat: String },
    #[error("no device is linked; pair one, or give the mock a linked account")]
    NotLinked,
    #[error("no connection of a linked device is up")]
    NotConnected,
    #[error("nobody is waiting to be linked by this code")]
    UnknownCode,
    #[error("the code is no longer good; who shows it has another by now")]
    SpentCode,
    #[error("{what}")]
    Unfit { what: String },
    #[error("the mock has ended")]
    Closed,
}

/// Something is still on its way.
#[derive(Debug, thiserror::Error)]
#[error("waited {waited:?} for WhatsApp to come to rest; {left}")]
pub struct Unsettled {
    waited: Duration,
    left: String,
}

impl WhatsApp {
    /// E.g. `ws://127.0.0.1:41325/ws/chat`.
    #[must_use]
    pub fn socket_url(&self) -> String {
        self.address
            .get()
            .map_or_else(String::new, |address| format!("ws://{address}/ws/chat"))
    }

    /// The certificate of the authority behind the media host, as PEM.
    #[must_use]
    pub fn media_authority(&self) -> String {
        self.authority.as_ref().to_owned()
    }

    /// What the server proves itself with in the Noise handshake: the same in every run.
    #[must_use]
    pub fn certificate(&self) -> &ShownCertificate {
        &self.certificate
    }

    /// Lets in a device that was linked with an earlier mock.
    ///
    /// # Errors
    /// Its keys are none, or its number is taken.
    pub async fn link(&self, account: LinkedAccount) -> Result<(), ControlError> {
        self.ask(|reply| Request::Link(Box::new(account), reply))
            .await?
    }

    /// The devices that are linked, to be given to another mock. None, if the mock has ended.
    pub async fn linked(&self) -> Vec<LinkedAccount> {
        self.ask(Request::Linked)
            .await
            .unwrap_or_else(|_ended| Vec::new())
    }

    /// A group that was there before anything happened. Returns its JID.
    ///
    /// # Errors
    /// A name or an id that is none, or that is taken.
    pub async fn stage_group(&self, group: GroupCast) -> Result<String, ControlError> {
        self.ask(|reply| Request::StageGroup(group, reply)).await?
    }

    /// Names the chat with a person alone. Returns its JID.
    ///
    /// # Errors
    /// A name that is none, or that is taken.
    pub async fn stage_direct(&self, name: &str, person: &str) -> Result<String, ControlError> {
        let (name, person) = (name.to_owned(), person.to_owned());
        self.ask(|reply| Request::StageDirect {
            name,
            person,
            reply,
        })
        .await?
    }

    /// The JID of a chat: by its name, or by the name of the person it is with.
    #[must_use]
    pub fn jid_of(&self, chat: &str) -> Option<String> {
        // Nothing panics half-way through a change of it.
        let directory = self
            .directory
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let jid = directory.jid(&directory.find(chat)?)?;
        Some(jid.to_string())
    }

    /// Does it, and returns when it is done: what goes to nanokimi is then on its way.
    ///
    /// # Errors
    /// It cannot be done as things stand.
    pub async fn control(&self, control: Control) -> Result<Done, ControlError> {
        self.ask(|reply| Request::Act(Box::new(control), reply))
            .await?
    }

    /// Whether a device is logged in and takes messages.
    pub async fn online(&self) -> bool {
        self.ask(Request::Online).await.unwrap_or(false)
    }

    /// Returns when nanokimi has acknowledged all that it was handed, and what it sent is
    /// handled. What is held back, or waits for a device that is away, is not waited for.
    ///
    /// # Errors
    /// After `patience` (real time), with what is still on its way.
    pub async fn at_rest(&self, patience: Duration) -> Result<(), Unsettled> {
        match timeout(patience, self.ask(Request::Rest)).await {
            // A mock that has ended has nothing on its way.
            Ok(Ok(()) | Err(_)) => Ok(()),
            Err(_elapsed) => {
                let left = self
                    .ask(Request::Left)
                    .await
                    .unwrap_or_else(|_ended| Vec::new());
                Err(Unsettled {
                    waited: patience,
                    left: told(&left),
                })
            }
        }
    }

    /// Devices, groups and people, and what is held back, as `GET /_mock/whatsapp` shows them.
    pub(crate) async fn describe(&self) -> Result<Value, ControlError> {
        self.ask(Request::Describe).await
    }

    /// Takes back all that was refused, held back, delayed or away.
    pub(crate) async fn calm(&self) {
        // A mock that has ended, or does without WhatsApp, has nothing to take back.
        self.ask(Request::Calm).await.unwrap_or(());
    }

    async fn network_is_up(&self) -> bool {
        self.ask(Request::NetworkIsUp).await.unwrap_or(false)
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, ControlError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.requests.send(request(reply)).await;
        sent.map_err(|_ended| ControlError::Closed)?;
        answer.await.map_err(|_ended| ControlError::Closed)
    }
}

fn told(left: &[String]) -> String {
    if left.is_empty() {
        return "by now it has".to_owned();
    }
    let more = left.len().saturating_sub(TOLD);
    let mut lines: Vec<String> = left
        .iter()
        .take(TOLD)
        .map(|one| format!("\n  {one}"))
        .collect();
    if more > 0 {
        lines.push(format!("\n  … and {more} more"));
    }
    format!("not acknowledged:{}", lines.concat())
}
