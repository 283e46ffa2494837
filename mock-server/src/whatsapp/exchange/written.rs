//! What has been written, by people and by the assistant: to be quoted, edited, sent again and
//! marked as read by its name or its id.

use std::collections::{BTreeMap, BTreeSet};

use wacore_binary::Jid;
use waproto::whatsapp as wa;

use super::MessageId;
use super::directory::Chat;
use crate::whatsapp::message::Label;
use crate::whatsapp::phone::Person;

/// One message.
#[derive(Clone, Debug)]
pub(super) struct Writing {
    pub(super) chat: Chat,
    pub(super) author: Author,
    pub(super) message: wa::Message,
    pub(super) label: Label,
    /// Between the owner's devices, about what they share.
    pub(super) peer: bool,
    /// When, in seconds since 1970.
    pub(super) t: u64,
    /// As the assistant addressed it; none of people's.
    pub(super) to: Option<Jid>,
    /// The devices that have it: people's, for what the assistant wrote.
    pub(super) heard: BTreeSet<(String, u16)>,
    /// The journal says that all have it.
    pub(super) complete: bool,
    /// Who has said that they have read it.
    pub(super) read: BTreeSet<String>,
    /// The linked devices that could not decrypt it, and asked for it again.
    pub(super) asked_again: BTreeSet<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Author {
    /// From one of a person's own devices.
    Person(Person, u16),
    /// One of the owner's linked devices.
    Assistant(u16),
}

impl Writing {
    pub(super) fn new(
        chat: Chat,
        author: Author,
        message: wa::Message,
        label: Label,
        t: u64,
    ) -> Self {
        Self {
            chat,
            author,
            message,
            label,
            peer: false,
            t,
            to: None,
            heard: BTreeSet::new(),
            complete: false,
            read: BTreeSet::new(),
            asked_again: BTreeSet::new(),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Writings {
    by_id: BTreeMap<MessageId, Writing>,
    /// In the order of writing.
    order: Vec<MessageId>,
    names: BTreeMap<String, MessageId>,
}

impl Writings {
    pub(super) fn keep(&mut self, id: &str, writing: Writing) {
        if self.by_id.insert(id.to_owned(), writing).is_none() {
            self.order.push(id.to_owned());
        }
    }

    /// A later message of the same name takes it over.
    pub(super) fn call(&mut self, name: &str, id: &str) {
        self.names.insert(name.to_owned(), id.to_owned());
    }

    pub(super) fn get(&self, id: &str) -> Option<&Writing> {
        self.by_id.get(id)
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Writing> {
        self.by_id.get_mut(id)
    }

    /// By what it was called, or by its id.
    pub(super) fn find(&self, word: &str) -> Option<(MessageId, &Writing)> {
        let id = self.names.get(word).map_or(word, String::as_str);
        self.by_id.get(id).map(|writing| (id.to_owned(), writing))
    }

    /// What the assistant wrote in a chat and this person has on their phone, but has not read
    /// yet; now marked as read.
    pub(super) fn read(&mut self, chat: &Chat, person: &str) -> Vec<MessageId> {
        let mut ids = Vec::new();
        for id in &self.order {
            let Some(writing) = self.by_id.get_mut(id) else {
                continue;
            };
            let assistants = matches!(writing.author, Author::Assistant(_));
            let has = writing.heard.contains(&(person.to_owned(), 0));
            let here = assistants && writing.chat == *chat && has;
            if here && writing.read.insert(person.to_owned()) {
                ids.push(id.clone());
            }
        }
        ids
    }
}
