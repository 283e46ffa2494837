//! Whose devices a message of the assistant must be for, and the hash over them ("phash") by
//! which a client learns that it does not know them all.
//!
//! Format: WhatsApp Web, as whatsapp-rust 0.7.0 computes and compares it. The real server says
//! nothing to a client that knows them all.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::Value;
use wacore_binary::Jid;

use super::Exchange;
use super::directory::Chat;
use super::journeys::Device;
use crate::whatsapp::phone::{OWNER, Person, sha256};
use crate::whatsapp::stanza::Sent;

/// How much of the hash over all devices is shown.
const SHOWN: usize = 6;

impl Exchange {
    /// The hash that the client should have come to. None: it did, or what it sent is for one
    /// device alone.
    pub(super) fn missed(&self, device: u16, chat: &Chat, sent: &Sent) -> Option<String> {
        if sent.peer || sent.participant.is_some() {
            return None;
        }
        let hash = match chat {
            Chat::Group(_) => {
                let hash = participant_hash(&self.devices_in(chat, &sent.to));
                sent.phash.as_ref().filter(|said| **said != hash)?;
                hash
            }
            Chat::Direct(_) => {
                // Only a message to all devices says of each letter for whom it is.
                let letters = sent.letters.iter();
                let readers = letters.map(|letter| self.reader(letter.to.as_ref()?));
                let mut readers = readers.collect::<Option<BTreeSet<Device>>>()?;
                // Some encrypt for themselves too, by their other number.
                readers.remove(&(OWNER.to_owned(), device));
                let mut due = self.devices_in(chat, &sent.to);
                due.retain(|jid| !(jid.device == device && self.owner.is_at(jid)));
                if readers == due.iter().filter_map(|jid| self.reader(jid)).collect() {
                    return None;
                }
                participant_hash(&due)
            }
        };
        let fields = [
            ("chat", Value::from(self.chat_name(chat))),
            ("id", Value::from(sent.id.as_str())),
            ("phash", Value::from(hash.as_str())),
        ];
        self.write("whatsapp.stale", fields);
        Some(hash)
    }

    fn reader(&self, jid: &Jid) -> Option<Device> {
        let person = self.person_at(jid)?;
        Some((person.name().to_owned(), jid.device))
    }

    /// All devices of all who are in the chat and of the owner, in the chat's addressing.
    fn devices_in(&self, chat: &Chat, to: &Jid) -> Vec<Jid> {
        let addressing = self.addressing(chat);
        let mut people = self.members(chat);
        if matches!(chat, Chat::Direct(_)) && !people.contains(&self.owner) {
            people.push(self.owner.clone());
        }
        let jid = |person: &Person| match chat {
            Chat::Direct(_) if to.is_lid() => person.lid(),
            Chat::Group(_) | Chat::Direct(_) => person.jid(addressing),
        };
        let devices = people.iter().flat_map(|person| {
            let devices = self.devices_of(person).into_iter();
            devices.map(move |device| jid(person).with_device(device))
        });
        devices.collect()
    }
}

/// `2:` and the beginning of SHA-256 over all devices, in order, each as `<user>.0:<device>@<server>`.
fn participant_hash(devices: &[Jid]) -> String {
    let names = devices.iter().map(|jid| {
        let (user, server) = (jid.user_base(), jid.server.as_str());
        format!("{user}.0:{}@{server}", jid.device)
    });
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    let hash = sha256(names.concat().as_bytes());
    format!("2:{}", STANDARD_NO_PAD.encode(&hash[..SHOWN]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(devices: &[&str], hash: &str) {
        let devices: Vec<Jid> = devices.iter().map(|jid| jid.parse().unwrap()).collect();
        assert_eq!(participant_hash(&devices), hash);
    }

    /// As whatsapp-rust's own tests, which were checked against WhatsApp Web.
    #[test]
    fn the_hash_is_the_one_that_clients_come_to() {
        check(&["5511999999999:3@s.whatsapp.net"], "2:5s+YxCff");
        check(&["5511999999999@s.whatsapp.net"], "2:RJWVxcMQ");
        let two = [
            "7469250125917:21@s.whatsapp.net",
            "5511988887777:14@s.whatsapp.net",
        ];
        check(&two, "2:AAv/hwhn");
    }
}
