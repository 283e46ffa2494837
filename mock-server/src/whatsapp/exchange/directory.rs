//! Who and what is known by which name and number. The exchange writes it; handles read it.

use std::collections::BTreeMap;

use wacore_binary::Jid;

use crate::whatsapp::phone::{OWNER, Person};

/// Where people write to each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::whatsapp) enum Chat {
    /// The JID of a group.
    Group(String),
    /// The name of a person: the chat with them alone.
    Direct(String),
}

#[derive(Debug)]
pub(in crate::whatsapp) struct Directory {
    chats: BTreeMap<String, Chat>,
    people: BTreeMap<String, Person>,
    /// Names of people by their numbers, PN and LID.
    numbers: BTreeMap<String, String>,
}

impl Default for Directory {
    fn default() -> Self {
        let mut directory = Self {
            chats: BTreeMap::new(),
            people: BTreeMap::new(),
            numbers: BTreeMap::new(),
        };
        // The first of all: no number is another's.
        let _known: bool = directory.meet(Person::named(OWNER));
        directory
    }
}

impl Directory {
    /// From now on the person is known. False: somebody else has one of their numbers, which
    /// are made from the name.
    pub(super) fn meet(&mut self, person: Person) -> bool {
        let numbers = [person.pn(), person.lid()].map(|jid| number(&jid));
        let name = person.name();
        let mut holders = numbers.iter().filter_map(|one| self.numbers.get(one));
        if holders.any(|holder| holder != name) {
            return false;
        }
        for number in numbers {
            self.numbers.insert(number, name.to_owned());
        }
        self.people.insert(name.to_owned(), person);
        true
    }

    /// Names a chat. False: the name is taken by another.
    pub(super) fn name(&mut self, name: &str, chat: &Chat) -> bool {
        let known = self.chats.entry(name.to_owned());
        *known.or_insert_with(|| chat.clone()) == *chat
    }

    /// The first of these names that another chat has.
    pub(super) fn taken(&self, names: &[String], chat: &Chat) -> Option<String> {
        let mut names = names.iter();
        let taken = |name: &&String| self.chats.get(*name).is_some_and(|other| other != chat);
        names.find(taken).cloned()
    }

    /// By its name, the name of a person, or a JID.
    pub(in crate::whatsapp) fn find(&self, word: &str) -> Option<Chat> {
        if let Some(chat) = self.chats.get(word) {
            return Some(chat.clone());
        }
        let by_name = self.people.get(&word.to_lowercase());
        let person = by_name.or_else(|| match word.parse::<Jid>() {
            Ok(jid) => self.person_at(&jid),
            // A word that is no JID was a name, and nobody has it.
            Err(_) => None,
        });
        person.map(|person| Chat::Direct(person.name().to_owned()))
    }

    pub(in crate::whatsapp) fn jid(&self, chat: &Chat) -> Option<Jid> {
        match chat {
            // What was a JID once is one.
            Chat::Group(jid) => match jid.parse() {
                Ok(jid) => Some(jid),
                Err(_) => None,
            },
            Chat::Direct(person) => self.people.get(person).map(Person::pn),
        }
    }

    pub(super) fn person_at(&self, jid: &Jid) -> Option<&Person> {
        let name = self.numbers.get(&number(jid))?;
        self.people.get(name).filter(|person| person.is_at(jid))
    }

    pub(super) fn person(&self, name: &str) -> Option<&Person> {
        self.people.get(name)
    }

    pub(super) fn people(&self) -> impl Iterator<Item = &Person> {
        self.people.values()
    }

    /// What can be said instead of a name that nobody has.
    pub(super) fn known(&self) -> String {
        let mut names: Vec<&str> = self.chats.keys().map(String::as_str).collect();
        names.extend(self.people.keys().map(String::as_str));
        format!("known are: {}", names.join(", "))
    }
}

fn number(jid: &Jid) -> String {
    jid.user_base().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chat_is_found_by_name_by_person_and_by_number() {
        let mut directory = Directory::default();
        let ada = Person::named("Ada");
        assert!(directory.meet(ada.clone()));
        let family = Chat::Group("120363000000000001@g.us".to_owned());
        assert!(directory.name("family", &family));
        assert!(directory.name("family", &family));
        assert!(!directory.name("family", &Chat::Direct("ada".to_owned())));

        assert_eq!(directory.find("family"), Some(family));
        for word in ["ada", "Ada", &ada.pn().to_string(), &ada.lid().to_string()] {
            assert_eq!(
                directory.find(word),
                Some(Chat::Direct("ada".to_owned())),
                "{word}"
            );
        }
        assert_eq!(directory.find("bob"), None);
        assert_eq!(directory.known(), "known are: family, ada, owner");
    }
}
