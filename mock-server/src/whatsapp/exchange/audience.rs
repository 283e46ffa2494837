//! Whose phones a message of the assistant is for.

use wacore_binary::Jid;

use super::Exchange;
use super::directory::Chat;
use crate::whatsapp::phone::Person;

impl Exchange {
    /// Everyone in the chat but the owner, whose message it is; in a chat with nobody else, the
    /// owner.
    pub(super) fn audience(&self, chat: &Chat) -> Vec<(String, u16)> {
        let others = self.members(chat);
        let mut others: Vec<Person> = others
            .into_iter()
            .filter(|person| !person.is_owner())
            .collect();
        if others.is_empty() {
            others.push(self.owner.clone());
        }
        let devices = others.iter().flat_map(|person| self.phones_of(person));
        devices.collect()
    }

    pub(super) fn members(&self, chat: &Chat) -> Vec<Person> {
        match chat {
            Chat::Group(jid) => {
                let group = self.group(jid);
                let members = group.map(|group| group.members.iter());
                members
                    .into_iter()
                    .flatten()
                    .map(|member| member.person.clone())
                    .collect()
            }
            Chat::Direct(name) => self.directory().person(name).cloned().into_iter().collect(),
        }
    }

    /// A person's own devices, without those that clients are.
    pub(super) fn phones_of(&self, person: &Person) -> Vec<(String, u16)> {
        let mut devices = self.devices_of(person);
        if person.is_owner() {
            devices.retain(|device| !self.companions.contains_key(device));
        }
        let name = person.name();
        devices
            .into_iter()
            .map(|device| (name.to_owned(), device))
            .collect()
    }

    /// The chat that a stanza is addressed to. None: there is no such.
    pub(super) fn chat_at(&self, jid: &Jid) -> Option<Chat> {
        self.directory().find(&jid.to_non_ad_string())
    }
}
