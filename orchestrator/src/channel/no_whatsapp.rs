//! Stands in for `whatsapp` in a nanokimi that is built without it: no device is ever linked, so
//! nothing here is ever asked.

use std::future::{Ready, ready};
use std::io;
use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::{ChannelEnd, SendError, Typing};
use crate::config::WhatsAppSettings;
use crate::house::House;
use crate::ids::ChatJid;
use crate::intake::Intake;
use crate::outbox::Outbox;
use crate::store::OutboxText;

#[derive(Clone, Debug)]
pub(crate) struct WhatsApp;

#[derive(Debug)]
pub(crate) struct Linked;

pub(crate) fn is_linked(_root: &Path) -> Ready<io::Result<bool>> {
    ready(Ok(false))
}

pub(crate) fn allows(_settings: &WhatsAppSettings) -> bool {
    true
}

impl WhatsApp {
    pub(crate) fn new() -> (Self, Linked) {
        (Self, Linked)
    }

    pub(crate) fn serves(&self, _chat: &ChatJid) -> bool {
        false
    }

    pub(crate) fn send(&self, text: &OutboxText) -> Ready<Result<(), SendError>> {
        ready(Err(SendError::NoChannel(text.chat.clone())))
    }

    pub(crate) fn typing(&self, _chat: &ChatJid, _typing: Typing) -> Ready<()> {
        ready(())
    }

    pub(crate) fn refresh_groups(&self) -> Ready<Result<(), SendError>> {
        ready(Ok(()))
    }
}

pub(crate) async fn serve(
    _linked: Linked,
    _house: House,
    _intake: Intake,
    _outbox: Outbox,
    stop: CancellationToken,
) -> Result<(), ChannelEnd> {
    stop.cancelled().await;
    Ok(())
}
