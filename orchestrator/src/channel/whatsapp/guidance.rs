//! What operators are told when WhatsApp does not want us any more, and what they can do.

use super::connection::Verdict;
use crate::channel::ChannelState;

/// The state that there is no way on from by itself, and the way out.
#[must_use]
pub(super) fn guidance(verdict: &Verdict) -> (ChannelState, String) {
    match verdict {
        Verdict::Replaced => (
            ChannelState::Replaced,
            "another program uses this linked device: stop it, then restart nanokimi; if there is none, link anew with `nanokimi auth --reset`".to_owned(),
        ),
        Verdict::LoggedOut { why } => (
            ChannelState::LoggedOut,
            format!("WhatsApp has logged this device out ({why}): link it again with `nanokimi auth --reset`"),
        ),
        Verdict::Outdated => (
            ChannelState::Outdated,
            "WhatsApp does not take this version any more: set whatsapp_version to the one that web.whatsapp.com runs, or update nanokimi".to_owned(),
        ),
        Verdict::Passkey => (
            ChannelState::Passkey,
            "WhatsApp wants a passkey from this account, which nanokimi cannot give: confirm the device on the phone, or use an account without".to_owned(),
        ),
    }
}
