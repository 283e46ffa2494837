//! People and their phones: a person exists from the first mention, and a phone is switched on
//! when it is first needed.

use std::sync::{MutexGuard, PoisonError};

use wacore_binary::Jid;

use super::Exchange;
use super::directory::{Chat, Directory};
use crate::whatsapp::ControlError;
use crate::whatsapp::iq::usync::Known;
use crate::whatsapp::phone::{
    DeviceKeys, KeyBundle, Person, PhoneError, PhoneHandle, key_index_list,
};

impl Exchange {
    pub(super) fn directory(&self) -> MutexGuard<'_, Directory> {
        // Nothing panics half-way through a change of it.
        self.directory
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The person of that name; whoever is mentioned exists.
    pub(super) fn person(&self, name: &str) -> Result<Person, ControlError> {
        let wrong = name.trim().is_empty() || name.contains(['@', ':', '/', '"']);
        if wrong || name.trim() != name {
            let name = name.to_owned();
            return Err(ControlError::NotAName { name });
        }
        let person = Person::named(name);
        if self.directory().meet(person.clone()) {
            return Ok(person);
        }
        let name = name.to_owned();
        Err(ControlError::NumberTaken { name })
    }

    pub(super) fn people(&self, names: &[String]) -> Result<Vec<Person>, ControlError> {
        names.iter().map(|name| self.person(name)).collect()
    }

    pub(super) fn person_at(&self, jid: &Jid) -> Option<Person> {
        self.directory().person_at(jid).cloned()
    }

    pub(super) fn chat(&self, word: &str) -> Result<(Chat, Jid), ControlError> {
        let directory = self.directory();
        let chat = directory.find(word);
        let found = chat.and_then(|chat| directory.jid(&chat).map(|jid| (chat, jid)));
        found.ok_or_else(|| ControlError::UnknownChat {
            chat: word.to_owned(),
            known: directory.known(),
        })
    }

    /// A chat as a stanza addresses it, by its one name: people by their phone number.
    pub(super) fn canonical(&self, jid: &Jid) -> Jid {
        self.person_at(jid)
            .map_or_else(|| jid.to_non_ad(), |person| person.pn())
    }

    pub(super) fn phone(
        &mut self,
        person: &Person,
        device: u16,
    ) -> Result<PhoneHandle, PhoneError> {
        let key = (person.name().to_owned(), device);
        if let Some(phone) = self.phones.get(&key) {
            return Ok(phone.clone());
        }
        let tasks = &mut self.phone_tasks;
        let phone = PhoneHandle::switch_on(person.clone(), &self.seed, &[device], tasks)?;
        self.phones.insert(key, phone.clone());
        Ok(phone)
    }

    /// The numbers of a person's devices: the phone, and what has been used besides it.
    pub(super) fn devices_of(&self, person: &Person) -> Vec<u16> {
        let mut devices = vec![0];
        let phones = self.phones.keys().filter(|(name, _)| name == person.name());
        devices.extend(
            phones
                .map(|(_, device)| *device)
                .filter(|device| *device != 0),
        );
        if person.is_owner() {
            devices.extend(self.companions.keys());
        }
        devices
    }

    /// What the server tells about whoever is at a JID.
    pub(super) fn known(&self, jid: &Jid) -> Result<Option<Known>, PhoneError> {
        let Some(person) = self.person_at(jid) else {
            return Ok(None);
        };
        let devices = self.devices_of(&person);
        let key_index_list = match devices.as_slice() {
            // Nobody need vouch for the phone itself.
            [] | [_] => Vec::new(),
            devices => {
                let keys = DeviceKeys::of(&person.seed(&self.seed), 0)?;
                key_index_list(&keys, devices, self.t())?
            }
        };
        Ok(Some(Known {
            lid: person.lid(),
            devices,
            key_index_list,
        }))
    }

    /// Public keys of a device, for a client that begins a session. None: there is no such device.
    pub(super) async fn bundle(&mut self, jid: &Jid) -> Result<Option<KeyBundle>, PhoneError> {
        let Some(person) = self.person_at(jid) else {
            return Ok(None);
        };
        if person.is_owner()
            && let Some(companion) = self.companions.get_mut(&jid.device)
        {
            return Ok(Some(companion.bundle()));
        }
        if !self.devices_of(&person).contains(&jid.device) {
            return Ok(None);
        }
        let phone = self.phone(&person, jid.device)?;
        Ok(Some(phone.bundle(jid.device).await?))
    }
}
