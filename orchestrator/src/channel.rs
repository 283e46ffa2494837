//! The networks the assistant speaks on. A channel brings messages to the intake, and takes
//! texts from the outbox; WhatsApp joins HTTP here.

use crate::ids::ChatJid;
use crate::store::OutboxText;

/// A way out to people.
#[derive(Clone, Debug)]
pub(crate) enum Channel {
    /// The HTTP chat API: a text is delivered when it stands in the conversation's history,
    /// from where the waiting request, `/v1/events` and the history route read it.
    Http,
}

/// Why a text did not leave.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error("no channel serves `{0}`")]
    NoChannel(ChatJid),
}

/// All channels of this installation.
#[derive(Clone, Debug)]
pub(crate) struct Channels(Vec<Channel>);

impl Channels {
    #[must_use]
    pub(crate) fn new(channels: Vec<Channel>) -> Self {
        Self(channels)
    }

    #[must_use]
    pub(crate) fn reach(&self, chat: &ChatJid) -> bool {
        self.0.iter().any(|channel| channel.serves(chat))
    }

    /// Sends a text on the channel of its chat. The text's message id is the same at every
    /// attempt, so a channel that has sent it already says yes again.
    pub(crate) fn send(&self, text: &OutboxText) -> Result<(), SendError> {
        match self.0.iter().find(|channel| channel.serves(&text.chat)) {
            Some(Channel::Http) => Ok(()),
            None => Err(SendError::NoChannel(text.chat.clone())),
        }
    }
}

impl Channel {
    fn serves(&self, chat: &ChatJid) -> bool {
        match self {
            Self::Http => chat.http_conversation().is_some(),
        }
    }
}
