//! WhatsApp, as one of its owner's linked devices.
//!
//! A message comes in through `notices.rs` and `inbound.rs`, gets its words in `wording.rs`
//! and its file through `media.rs`, and leaves for the intake; a text goes out through
//! `outbound.rs`. `serve.rs` puts the client together, `line.rs` owns it and does as
//! `connection.rs` decides, and each connection is one `call.rs`; `pulse.rs` asks whether the
//! server still answers. The wire itself is the client library's. Nothing of this links a device:
//! that is `pairing.rs`, run by the command alone, so that a server never shows codes to nobody.

mod attachment;
mod call;
mod client;
mod connection;
mod dialling;
mod groups;
mod guidance;
mod http;
mod inbound;
mod library_log;
mod line;
mod media;
mod notices;
mod outbound;
mod pairing;
mod parting;
mod people;
mod pulse;
mod serve;
mod tasks;
mod typing;
mod version;
mod wording;

use std::io;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension};
use tokio::sync::{mpsc, oneshot};

use super::{SendError, Typing};
use crate::config::WhatsAppSettings;
use crate::ids::ChatJid;
use crate::store::OutboxText;

pub(crate) use client::auth_folder;
pub(crate) use pairing::PairingError;
pub(crate) use pairing::{Method, Progress, pair};
pub(crate) use serve::serve;

/// A handle to the task that owns the client.
#[derive(Clone, Debug)]
pub(crate) struct WhatsApp {
    orders: mpsc::Sender<Order>,
}

/// The task's end of the handles.
#[derive(Debug)]
pub(crate) struct Linked {
    orders: mpsc::Receiver<Order>,
}

/// What the task is asked to do.
#[derive(Debug)]
enum Order {
    Send {
        text: Box<OutboxText>,
        done: oneshot::Sender<Result<(), SendError>>,
    },
    Typing {
        chat: ChatJid,
        typing: Typing,
    },
    RefreshGroups {
        done: oneshot::Sender<Result<(), SendError>>,
    },
}

impl WhatsApp {
    #[must_use]
    pub(crate) fn new() -> (Self, Linked) {
        // An order is begun, not finished, before the next is taken; so there is soon room.
        let (sender, orders) = mpsc::channel(32);
        (Self { orders: sender }, Linked { orders })
    }

    /// Whatever is not an HTTP conversation is WhatsApp's.
    #[must_use]
    pub(crate) fn serves(&self, chat: &ChatJid) -> bool {
        chat.http_conversation().is_none()
    }

    /// Sends a text under its message id; returns when WhatsApp's server has it.
    pub(crate) async fn send(&self, text: &OutboxText) -> Result<(), SendError> {
        let text = Box::new(text.clone());
        self.ask(|done| Order::Send { text, done }).await
    }

    /// Shows that the assistant types, or has ceased to; whether anybody sees it is not known.
    pub(crate) async fn typing(&self, chat: &ChatJid, typing: Typing) {
        let chat = chat.clone();
        // A channel that has ended shows nothing.
        let (Ok(()) | Err(_)) = self.orders.send(Order::Typing { chat, typing }).await;
    }

    /// Reads the names of all groups anew; returns when the store has them.
    pub(crate) async fn refresh_groups(&self) -> Result<(), SendError> {
        self.ask(|done| Order::RefreshGroups { done }).await
    }

    async fn ask(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<(), SendError>>) -> Order,
    ) -> Result<(), SendError> {
        let (done, answer) = oneshot::channel();
        if self.orders.send(order(done)).await.is_err() {
            return Err(SendError::NotConnected);
        }
        match answer.await {
            Ok(answer) => answer,
            Err(_the_task_has_ended) => Err(SendError::NotConnected),
        }
    }
}

/// Whether this build may talk to that server: one that takes any server for WhatsApp, for
/// tests of pairing, stays close by.
#[must_use]
pub(crate) fn allows(settings: &WhatsAppSettings) -> bool {
    !crate::UNVERIFIED || settings.is_close_by()
}

/// Whether a device is linked in the installation in `root`.
pub(crate) async fn is_linked(root: &Path) -> io::Result<bool> {
    let file = client::device_file(root);
    let looked = tokio::task::spawn_blocking(move || {
        if !file.try_exists()? {
            return Ok(false);
        }
        has_number(&file).map_err(io::Error::other)
    });
    looked.await.map_err(io::Error::other)?
}

/// The library notes the phone number when a phone has linked it.
fn has_number(file: &Path) -> rusqlite::Result<bool> {
    let store = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let has_devices = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'device'";
    if store
        .query_row(has_devices, [], |_| Ok(()))
        .optional()?
        .is_none()
    {
        return Ok(false);
    }
    let linked = "SELECT 1 FROM device WHERE pn <> '' LIMIT 1";
    Ok(store
        .query_row(linked, [], |_| Ok(()))
        .optional()?
        .is_some())
}
