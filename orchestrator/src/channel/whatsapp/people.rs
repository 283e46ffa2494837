//! Who is who: WhatsApp knows everybody by a phone number and by an opaque id (LID), and uses
//! either. Towards the rest of the house a person and a direct chat have one name: the phone
//! number, wherever it is known. Groups keep the id they have.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use wacore::types::message::MessageSource;
use whatsapp_rust::{Client, Jid};

use crate::ids::ChatJid;

/// More names than this are not kept at once.
const NAMES: usize = 10_000;

/// The chat that a JID names; none for what is no conversation: status, newsletters, bots.
#[must_use]
pub(super) fn chat(jid: &Jid) -> Option<ChatJid> {
    match jid.to_non_ad_string().parse() {
        Ok(chat) => Some(chat),
        Err(_another_kind) => None,
    }
}

/// The chat a message belongs to, by each of its names, the one to prefer first; none for what is
/// no conversation. A direct chat that was registered before its phone number was known stays
/// what it is called.
pub(super) async fn names_of_chat(client: &Client, source: &MessageSource) -> Vec<ChatJid> {
    if source.is_group {
        return chat(&source.chat).into_iter().collect();
    }
    // In a direct chat the other side is named twice: as who wrote, or as whom we wrote to.
    let other = if source.is_from_me {
        source.recipient_alt.as_ref()
    } else {
        source.sender_alt.as_ref()
    };
    let names = names_of(client, &source.chat, other).await;
    names.iter().filter_map(chat).collect()
}

/// Who wrote a message, by each of their names, the one to prefer first.
pub(super) async fn names_of_sender(client: &Client, source: &MessageSource) -> Vec<Jid> {
    names_of(client, &source.sender, source.sender_alt.as_ref()).await
}

/// The names of a person, without a device: first the phone number, if it is known.
async fn names_of(client: &Client, jid: &Jid, other_name: Option<&Jid>) -> Vec<Jid> {
    let mut names = vec![phone_of(client, jid, other_name).await, jid.to_non_ad()];
    names.extend(other_name.map(Jid::to_non_ad));
    if let Ok(Some(known)) = client.get_lid_pn_entry(jid).await {
        names.push(Jid::lid(&*known.lid));
    }
    let mut told = Vec::new();
    for name in names {
        if !told.contains(&name) {
            told.push(name);
        }
    }
    told
}

/// The phone number behind a JID, without a device; the JID itself if nobody knows it.
pub(super) async fn phone_of(client: &Client, jid: &Jid, other_name: Option<&Jid>) -> Jid {
    if !jid.is_lid() {
        return jid.to_non_ad();
    }
    if let Some(phone) = other_name.filter(|other| other.is_pn()) {
        return phone.to_non_ad();
    }
    match client.get_lid_pn_entry(jid).await {
        Ok(Some(known)) => Jid::pn(&*known.phone_number),
        Ok(None) => jid.to_non_ad(),
        Err(error) => {
            tracing::warn!(
                error = format!("{error:#}"),
                "who is who cannot be looked up"
            );
            jid.to_non_ad()
        }
    }
}

/// Whether two JIDs name the account that we are linked to.
#[must_use]
pub(super) fn is_us(client: &Client, jid: &Jid) -> bool {
    let same = |ours: Option<Jid>| ours.is_some_and(|ours| ours.is_same_chat_as(jid));
    same(client.pn()) || same(client.lid())
}

/// What people call themselves, as heard since the start.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<BTreeMap<String, String>>);

impl Names {
    pub(super) fn note(&self, person: &Jid, name: &str) {
        if name.is_empty() {
            return;
        }
        let mut names = self.lock();
        let person = person.user_base();
        if names.get(person).is_some_and(|known| known == name) {
            return;
        }
        if names.len() >= NAMES {
            names.clear();
        }
        names.insert(person.to_owned(), name.to_owned());
    }

    #[must_use]
    pub(super) fn of(&self, person: &Jid) -> Option<String> {
        self.lock().get(person.user_base()).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        // Nothing panics while it holds the names.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A time as WhatsApp writes it, in whole seconds.
#[must_use]
pub(super) fn instant(
    at: whatsapp_rust::chrono::DateTime<whatsapp_rust::chrono::Utc>,
) -> Timestamp {
    Timestamp::from_second(at.timestamp()).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_conversations_are_chats() {
        let chat_of = |jid: &str| chat(&jid.parse().unwrap()).map(|chat| chat.as_str().to_owned());
        assert_eq!(chat_of("120363001@g.us").as_deref(), Some("120363001@g.us"));
        assert_eq!(
            chat_of("4915100000001:7@s.whatsapp.net").as_deref(),
            Some("4915100000001@s.whatsapp.net")
        );
        assert_eq!(
            chat_of("900000000000001@lid").as_deref(),
            Some("900000000000001@lid")
        );
        for jid in [
            "status@broadcast",
            "120363001@newsletter",
            "13135550002@bot",
        ] {
            assert_eq!(chat_of(jid), None, "{jid}");
        }
    }

    #[test]
    fn a_name_is_kept_for_the_person_and_not_for_one_device() {
        let names = Names::default();
        names.note(&"4915100000001:7@s.whatsapp.net".parse().unwrap(), "Ada");
        names.note(&"4915100000001@s.whatsapp.net".parse().unwrap(), "");
        let ada = "4915100000001@s.whatsapp.net".parse().unwrap();
        assert_eq!(names.of(&ada).as_deref(), Some("Ada"));
    }
}
