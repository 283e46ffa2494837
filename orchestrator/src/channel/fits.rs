//! What fits into one message of a chat, for who puts texts by and does not send them: to hold
//! this keeps no channel open, as to hold the channels does.

use crate::ids::ChatJid;
use crate::splitting::split_text;

/// The longest texts of an installation's channels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fits {
    /// Characters of a message on the network; none where no network is linked.
    pub(super) network: Option<usize>,
}

impl Fits {
    /// A text in the parts in which it leaves for a chat; none if no channel reaches the chat.
    #[must_use]
    pub(crate) fn parts(self, chat: &ChatJid, text: &str) -> Option<Vec<String>> {
        if chat.http_conversation().is_some() {
            return Some(split_text(text, None));
        }
        self.network.map(|longest| split_text(text, Some(longest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(network: Option<usize>, chat: &str, parts: Option<&str>) {
        let fitting = Fits { network }.parts(&chat.parse().unwrap(), "one two");
        let fitting = fitting.map(|parts| parts.join("|"));
        assert_eq!(fitting.as_deref(), parts, "{chat}, {network:?}");
    }

    #[test]
    fn a_text_is_cut_for_its_chat_if_a_channel_reaches_that() {
        check(Some(4), "http:ada", Some("one two"));
        check(Some(4), "1@g.us", Some("one|two"));
        check(Some(7), "1@g.us", Some("one two"));
        check(None, "http:ada", Some("one two"));
        check(None, "1@g.us", None);
    }
}
