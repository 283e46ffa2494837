//! The networks the assistant speaks on. A channel brings messages to the intake, and takes
//! texts from the outbox. HTTP is always there; WhatsApp is where it is built in and linked.
//!
//! This is the seam: nothing above it knows how a network works, nothing below it decides who
//! is answered.

mod fits;
mod opening;
mod prefix;
#[cfg(test)]
mod staged;
mod state;
// The one place where the channel is left out.
#[cfg(feature = "whatsapp")]
pub(crate) mod whatsapp;
#[cfg(not(feature = "whatsapp"))]
#[path = "no_whatsapp.rs"]
pub(crate) mod whatsapp;

use std::sync::Arc;

use crate::ids::ChatJid;
use crate::store::OutboxText;

pub(crate) use fits::Fits;
pub use opening::OpenError;
pub(crate) use opening::{Lines, open};
pub(crate) use prefix::Prefix;
#[cfg(test)]
pub(crate) use staged::{Answer, Deed, Deeds, Staged};
pub(crate) use state::{ChannelState, ChannelStatus, note_state};

/// A way out to people.
#[derive(Clone, Debug)]
pub(crate) enum Channel {
    /// The HTTP chat API: a text is delivered when it stands in the conversation's history,
    /// from where the waiting request, `/v1/events` and the history route read it.
    Http,
    WhatsApp(whatsapp::WhatsApp),
    #[cfg(test)]
    Staged(Staged),
}

/// Why a text did not leave.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SendError {
    #[error("no channel serves `{0}`")]
    NoChannel(ChatJid),
    /// It was not tried. The channel wakes the outbox when it is connected again.
    #[error("the channel is not connected")]
    NotConnected,
    /// It was tried, and may succeed later.
    #[error("{why}")]
    Later { why: String },
    /// It never will.
    #[error("{why}")]
    Refused { why: String },
}

/// A state of a channel in which the process cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelEnd {
    #[error(
        "WhatsApp has logged this device out: link it again with `nanokimi auth --reset`, then start nanokimi"
    )]
    LoggedOut,
}

/// What people see beside the assistant's name while it works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Typing {
    Composing,
    Paused,
}

/// All channels of this installation.
#[derive(Clone, Debug)]
pub(crate) struct Channels {
    channels: Vec<Channel>,
    prefix: Arc<Prefix>,
}

impl Channels {
    #[must_use]
    pub(crate) fn new(channels: Vec<Channel>, prefix: Prefix) -> Self {
        Self {
            channels,
            prefix: Arc::new(prefix),
        }
    }

    fn of(&self, chat: &ChatJid) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.serves(chat))
    }

    #[must_use]
    pub(crate) fn reach(&self, chat: &ChatJid) -> bool {
        self.of(chat).is_some()
    }

    /// Sends a text on the channel of its chat, and returns when the channel has taken it over.
    /// The text's message id is the same at every attempt, so a channel that has sent it already
    /// says yes again.
    pub(crate) async fn send(&self, text: &OutboxText) -> Result<(), SendError> {
        match self.of(&text.chat) {
            Some(Channel::Http) => Ok(()),
            Some(Channel::WhatsApp(whatsapp)) => {
                let mut spoken = text.clone();
                spoken.text = self.prefix.before(&text.text);
                whatsapp.send(&spoken).await
            }
            #[cfg(test)]
            Some(Channel::Staged(staged)) => staged.send(text).await,
            None => Err(SendError::NoChannel(text.chat.clone())),
        }
    }

    /// Shows that the assistant is at work, where a channel can; whether it does is not known.
    pub(crate) async fn typing(&self, chat: &ChatJid, typing: Typing) {
        match (self.of(chat), typing) {
            (Some(Channel::Http) | None, Typing::Composing | Typing::Paused) => {}
            (Some(Channel::WhatsApp(whatsapp)), typing) => whatsapp.typing(chat, typing).await,
            #[cfg(test)]
            (Some(Channel::Staged(staged)), typing) => staged.typing(chat, typing).await,
        }
    }

    /// Whether files can be sent to this chat.
    #[must_use]
    pub(crate) fn take_media(&self, chat: &ChatJid) -> bool {
        match self.of(chat) {
            Some(Channel::Http) | None => false,
            Some(Channel::WhatsApp(_)) => true,
            #[cfg(test)]
            Some(Channel::Staged(_)) => true,
        }
    }

    /// Whether a channel can show in this chat that the assistant is at work.
    #[must_use]
    pub(crate) fn shows_typing(&self, chat: &ChatJid) -> bool {
        match self.of(chat) {
            Some(Channel::Http) | None => false,
            Some(Channel::WhatsApp(_)) => true,
            #[cfg(test)]
            Some(Channel::Staged(_)) => true,
        }
    }

    /// Has every channel read the names of its groups anew, and returns when the store has them.
    pub(crate) async fn refresh_groups(&self) -> Result<(), SendError> {
        for channel in &self.channels {
            match channel {
                Channel::Http => {}
                Channel::WhatsApp(whatsapp) => whatsapp.refresh_groups().await?,
                #[cfg(test)]
                Channel::Staged(staged) => staged.refresh_groups().await?,
            }
        }
        Ok(())
    }

    /// How many characters a text to this chat may have; none where there is no limit.
    #[must_use]
    pub(crate) fn longest_text(&self, chat: &ChatJid) -> Option<usize> {
        self.of(chat).and_then(|channel| self.longest(channel))
    }

    /// The same of all channels, to be kept by who must not keep them open.
    #[must_use]
    pub(crate) fn fits(&self) -> Fits {
        let mut channels = self.channels.iter();
        let network = channels.find_map(|channel| self.longest(channel));
        Fits { network }
    }

    fn longest(&self, channel: &Channel) -> Option<usize> {
        match channel {
            Channel::Http => None,
            // The network takes 65,536, but a phone folds a long message away behind "Read
            // more", and 4,096 is what WhatsApp's own business interface stops at.
            Channel::WhatsApp(_) => Some(4_000usize.saturating_sub(self.prefix.width())),
            #[cfg(test)]
            Channel::Staged(_) => Some(4_000),
        }
    }
}

impl Channel {
    fn serves(&self, chat: &ChatJid) -> bool {
        match self {
            Self::Http => chat.http_conversation().is_some(),
            Self::WhatsApp(whatsapp) => whatsapp.serves(chat),
            #[cfg(test)]
            Self::Staged(_) => chat.http_conversation().is_none(),
        }
    }
}
