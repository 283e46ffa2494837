//! What is on its way to one linked device, in order, until the device has acknowledged it.
//! Nothing is lost when a connection is: what was not acknowledged comes again.

use std::collections::VecDeque;

use wacore_binary::{Jid, Node};

use super::weather::Weather;
use crate::whatsapp::controls::Traffic;

/// What a stanza is, as acknowledgements name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Message,
    Receipt,
    Notification,
}

impl Class {
    pub(super) fn read(word: &str) -> Option<Self> {
        match word {
            "message" => Some(Self::Message),
            "receipt" => Some(Self::Receipt),
            "notification" => Some(Self::Notification),
            _ => None,
        }
    }

    fn held(self, weather: &Weather) -> bool {
        match self {
            Self::Message => weather.holds(Traffic::Messages),
            Self::Receipt => weather.holds(Traffic::Receipts),
            Self::Notification => false,
        }
    }
}

/// A stanza on its way.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) class: Class,
    pub(super) id: String,
    pub(super) node: Node,
    handed: bool,
}

impl Letter {
    pub(super) fn new(class: Class, id: &str, node: Node) -> Self {
        Self {
            class,
            id: id.to_owned(),
            node,
            handed: false,
        }
    }

    fn is_from(&self, participant: &Jid) -> bool {
        let from = self.node.attrs.get("participant");
        from.is_some_and(|from| from.as_str() == participant.to_string())
    }
}

#[derive(Debug, Default)]
pub(super) struct Mailbox {
    letters: VecDeque<Letter>,
}

/// How much waits, by class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) messages: usize,
    pub(super) receipts: usize,
    pub(super) notifications: usize,
}

impl Waiting {
    pub(super) fn all(self) -> usize {
        self.messages + self.receipts + self.notifications
    }
}

impl Mailbox {
    pub(super) fn put(&mut self, letter: Letter) {
        self.letters.push_back(letter);
    }

    /// Whether a notification from there has not been acknowledged yet.
    pub(super) fn notifies_of(&self, from: &str) -> bool {
        self.letters.iter().any(|letter| {
            let sender = letter.node.attrs.get("from");
            letter.class == Class::Notification && sender.is_some_and(|it| it.as_str() == from)
        })
    }

    /// What may be handed over now, marked as handed.
    pub(super) fn take_due(&mut self, weather: &Weather) -> Vec<Node> {
        let due = self.letters.iter_mut();
        let due = due.filter(|letter| !letter.handed && !letter.class.held(weather));
        due.map(|letter| {
            letter.handed = true;
            letter.node.clone()
        })
        .collect()
    }

    /// The connection is gone: what was not acknowledged is to be handed over again.
    pub(super) fn take_back(&mut self) {
        self.letters
            .iter_mut()
            .for_each(|letter| letter.handed = false);
    }

    /// The device has it. False: nothing like it was handed over.
    pub(super) fn acknowledged(
        &mut self,
        class: Class,
        id: &str,
        participant: Option<&Jid>,
    ) -> bool {
        let handed = |letter: &Letter| letter.handed && letter.class == class && letter.id == id;
        let exact = participant.and_then(|participant| {
            let mut letters = self.letters.iter();
            letters.position(|letter| handed(letter) && letter.is_from(participant))
        });
        // Ids are all but unique; the author is asked for only where two share one.
        let found = exact.or_else(|| self.letters.iter().position(handed));
        found.and_then(|at| self.letters.remove(at)).is_some()
    }

    /// What the device has not acknowledged, or not been handed; what is held is left out.
    pub(super) fn outstanding<'a>(
        &'a self,
        weather: &'a Weather,
    ) -> impl Iterator<Item = &'a Letter> {
        let lost = weather.holds(Traffic::Deliveries);
        let letters = self.letters.iter();
        letters.filter(move |letter| match letter.handed {
            // Its receipt is not to come.
            true => !(lost && letter.class == Class::Message),
            false => !letter.class.held(weather),
        })
    }

    pub(super) fn waiting(&self, weather: &Weather) -> Waiting {
        let mut waiting = Waiting::default();
        for letter in &self.letters {
            match letter.class {
                class if class.held(weather) => {}
                Class::Message => waiting.messages += 1,
                Class::Receipt => waiting.receipts += 1,
                Class::Notification => waiting.notifications += 1,
            }
        }
        waiting
    }
}

#[cfg(test)]
mod tests {
    use wacore_binary::builder::NodeBuilder;

    use super::*;

    fn letter(class: Class, id: &str) -> Letter {
        Letter::new(
            class,
            id,
            NodeBuilder::new("message")
                .attr("id", id.to_owned())
                .build(),
        )
    }

    fn ids(nodes: &[Node]) -> Vec<String> {
        let id = |node: &Node| node.attrs.get("id").map(|id| id.as_str().into_owned());
        nodes.iter().filter_map(id).collect()
    }

    #[test]
    fn what_was_not_acknowledged_comes_again_in_order() {
        let (mut mailbox, weather) = (Mailbox::default(), Weather::default());
        for id in ["a", "b", "c"] {
            mailbox.put(letter(Class::Message, id));
        }
        assert_eq!(ids(&mailbox.take_due(&weather)), ["a", "b", "c"]);
        assert!(mailbox.take_due(&weather).is_empty());
        assert!(mailbox.acknowledged(Class::Message, "b", None));
        assert!(!mailbox.acknowledged(Class::Message, "b", None));

        mailbox.take_back();
        assert_eq!(ids(&mailbox.take_due(&weather)), ["a", "c"]);
    }

    #[test]
    fn what_is_never_receipted_does_not_count_and_comes_again() {
        let (mut mailbox, mut weather) = (Mailbox::default(), Weather::default());
        weather.hold(Traffic::Deliveries);
        mailbox.put(letter(Class::Message, "a"));
        assert_eq!(mailbox.outstanding(&weather).count(), 1);
        assert_eq!(ids(&mailbox.take_due(&weather)), ["a"]);
        assert_eq!(mailbox.outstanding(&weather).count(), 0);

        mailbox.take_back();
        assert_eq!(ids(&mailbox.take_due(&weather)), ["a"]);
    }

    #[test]
    fn what_is_held_neither_comes_nor_counts() {
        let (mut mailbox, mut weather) = (Mailbox::default(), Weather::default());
        weather.hold(Traffic::Messages);
        mailbox.put(letter(Class::Message, "a"));
        mailbox.put(letter(Class::Receipt, "r"));
        assert_eq!(ids(&mailbox.take_due(&weather)), ["r"]);
        assert_eq!(mailbox.outstanding(&weather).count(), 1);

        weather.let_go(Traffic::Messages);
        assert_eq!(ids(&mailbox.take_due(&weather)), ["a"]);
        assert_eq!(mailbox.outstanding(&weather).count(), 2);
    }
}
