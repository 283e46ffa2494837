//! What must hold on WhatsApp when all is over: whatever nanokimi says it has sent, somebody
//! could read.

use std::collections::HashSet;
use std::sync::Arc;

use mock_server::Entry;

use crate::failure::Failure;

/// Texts that left nanokimi for WhatsApp, and that no phone has decrypted.
pub(super) fn unheard(entries: &[Arc<Entry>]) -> Vec<Failure> {
    let of = |event: &'static str| entries.iter().filter(move |entry| entry.event == event);
    let heard: HashSet<&str> = of("whatsapp.heard")
        .filter_map(|entry| entry.text("id"))
        .collect();
    let on_whatsapp = |entry: &&Arc<Entry>| {
        let chat = entry.text("chat");
        chat.is_some_and(|chat| !chat.starts_with("http:"))
    };
    let unheard = of("message.sent").filter(on_whatsapp).filter(|sent| {
        let id = sent.text("id");
        id.is_some_and(|id| !heard.contains(id))
    });
    let told = |sent: &Arc<Entry>| {
        Failure::new("nanokimi says it has sent a message that no phone could read")
            .note(format!("it is {sent}"))
    };
    unheard.map(told).collect()
}

#[cfg(test)]
mod tests {
    use mock_server::Journal;
    use serde_json::{Map, Value};

    use super::*;

    #[track_caller]
    fn check(events: &[(&'static str, &str, &str)], unread: usize) {
        let journal = Journal::open();
        for (event, chat, id) in events {
            let fields = [("chat", *chat), ("id", *id)];
            let fields = fields.map(|(name, value)| (name.to_owned(), Value::from(value)));
            journal.write(*event, Map::from_iter(fields));
        }
        assert_eq!(unheard(&journal.entries()).len(), unread, "{events:?}");
    }

    #[test]
    fn what_was_sent_must_have_been_heard() {
        let sent = ("message.sent", "1@g.us", "A");
        check(&[sent], 1);
        check(&[sent, ("whatsapp.heard", "1@g.us", "B")], 1);
        check(&[("whatsapp.heard", "1@g.us", "A"), sent], 0);
        check(&[("message.sent", "http:main", "A")], 0);
    }
}
