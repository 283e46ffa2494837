//! How a channel stands, for operators: one row in the store, one event per change.

use jiff::Timestamp;

use crate::events::Event;
use crate::house::House;

/// Where a channel stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ChannelState {
    /// Switched off by the settings, or not built in.
    Off,
    /// No device is linked.
    NotLinked,
    Connecting,
    Connected,
    /// It is down, and is tried again at `retry_at`.
    Waiting,
    /// Another client has taken the device's place. For good, until nanokimi is started again.
    Replaced,
    /// The owner, or the network, has unlinked the device. For good.
    LoggedOut,
    /// The network wants a newer version of the client. For good.
    Outdated,
    /// The network does not take the account until `retry_at`.
    Banned,
    /// The account wants a passkey, which cannot be given here. For good.
    Passkey,
    /// The process has stopped.
    Stopped,
}

impl ChannelState {
    /// What is left of it when nobody runs the channel.
    #[must_use]
    pub(crate) fn at_rest(self) -> Self {
        match self {
            Self::Connecting | Self::Connected | Self::Waiting | Self::Stopped => Self::Stopped,
            Self::Off
            | Self::NotLinked
            | Self::Replaced
            | Self::LoggedOut
            | Self::Outdated
            | Self::Banned
            | Self::Passkey => self,
        }
    }
}

/// A channel's state, and what there is to say about it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct ChannelStatus {
    pub channel: String,
    pub state: ChannelState,
    /// In words: why, and the way out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
    pub since: Timestamp,
}

impl ChannelStatus {
    #[must_use]
    pub(crate) fn whatsapp(state: ChannelState, since: Timestamp) -> Self {
        Self {
            channel: "whatsapp".to_owned(),
            state,
            detail: None,
            retry_at: None,
            since,
        }
    }

    /// `waiting until 2026-01-05T09:00:00Z: the network is down`.
    #[must_use]
    pub(crate) fn in_words(&self) -> String {
        let state = self.state.word().replace('_', " ");
        let until = self.retry_at.map(|at| format!(" until {at}"));
        let detail = self.detail.as_ref().map(|detail| format!(": {detail}"));
        format!(
            "{state}{}{}",
            until.unwrap_or_default(),
            detail.unwrap_or_default()
        )
    }
}

/// Keeps a channel's new state, and tells it. A store that refuses does not hold a channel up.
pub(crate) async fn note_state(house: &House, status: ChannelStatus) {
    if let Err(error) = house.store.note_channel(status.clone()).await {
        let error = crate::chain(&error);
        tracing::warn!(channel = %status.channel, error, "the channel's state cannot be kept");
    }
    house.events.tell(Event::ChannelState {
        channel: status.channel,
        state: status.state,
        detail: status.detail,
        retry_at: status.retry_at,
    });
}
