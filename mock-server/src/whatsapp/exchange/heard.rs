//! What the journal says of messages of the assistant, once the phones have opened them.

use serde_json::{Map, Value, json};

use super::Exchange;
use super::directory::Chat;
use super::letters::Delivery;
use crate::text::chain;
use crate::whatsapp::message::{Heard, HeardFile, read};
use crate::whatsapp::phone::{Person, Undecryptable};

impl Exchange {
    /// Once all have it.
    pub(super) fn write_heard(&mut self, delivery: &Delivery) {
        // Who has left in between is not waited for either.
        let present = self.audience(&delivery.chat);
        let mut audience = self.journeys.audience(&delivery.id).to_vec();
        audience.retain(|device| present.contains(device));
        let Some(writing) = self.writings.get_mut(&delivery.id) else {
            return;
        };
        let all = audience.iter().all(|device| writing.heard.contains(device));
        if !all || std::mem::replace(&mut writing.complete, true) {
            return;
        }
        let heard = read(&writing.message);
        let people: Vec<String> = audience
            .into_iter()
            .filter(|(_, device)| *device == 0)
            .map(|(name, _)| name)
            .collect();
        let fields = self.heard_fields(delivery, heard, people);
        self.journal.write("whatsapp.heard", fields);
    }

    fn heard_fields(
        &self,
        delivery: &Delivery,
        heard: Heard,
        by: Vec<String>,
    ) -> Map<String, Value> {
        let media = heard.file.as_ref().map(|file| self.media_fields(file));
        let mentions = heard.mentions.iter().map(|jid| self.name_at(jid));
        let mentions: Vec<String> = mentions.collect();
        let fields = [
            ("chat", Value::from(self.chat_name(&delivery.chat))),
            ("id", Value::from(delivery.id.as_str())),
            ("text", Value::from(heard.text)),
            ("kind", Value::from(heard.kind.word())),
            ("quoted", Value::from(heard.quoted)),
            ("target", Value::from(heard.target)),
            (
                "mentions",
                if mentions.is_empty() {
                    Value::Null
                } else {
                    mentions.into()
                },
            ),
            ("media", media.unwrap_or(Value::Null)),
            ("heard_by", Value::from(by)),
        ];
        let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
        fields
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// A file is fetched and opened, as a phone does that shows it.
    fn media_fields(&self, file: &HeardFile) -> Value {
        let content = file
            .sealed
            .as_ref()
            .map(|sealed| self.media.fetch(file.kind, sealed));
        let (bytes, fault, text) = match content {
            Some(Ok(content)) => (Some(content.len()), None, String::from_utf8(content)),
            Some(Err(fault)) => (None, Some(chain(&fault)), Ok(String::new())),
            None => (
                None,
                Some("a field that is needed is missing".to_owned()),
                Ok(String::new()),
            ),
        };
        if let Some(fault) = &fault {
            self.unexpected(format!("a file of the assistant cannot be read: {fault}"));
        }
        let text = match text {
            Ok(text) if !text.is_empty() => Some(text),
            // Most files hold no text.
            Ok(_) | Err(_) => None,
        };
        let fields = [
            ("mime", json!(file.mime)),
            ("name", json!(file.name)),
            ("bytes", json!(bytes)),
            ("text", json!(text)),
            ("fault", json!(fault)),
        ];
        let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
        Value::Object(
            fields
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
    }

    /// Phones drop what they have.
    pub(super) fn write_repeated(&self, delivery: &Delivery) {
        let chat = Value::from(self.chat_name(&delivery.chat));
        self.write(
            "whatsapp.repeated",
            [("chat", chat), ("id", delivery.id.as_str().into())],
        );
    }

    pub(super) fn write_undecryptable(
        &self,
        delivery: &Delivery,
        person: &Person,
        fault: &Undecryptable,
    ) {
        let fields = [
            ("chat", Value::from(self.chat_name(&delivery.chat))),
            ("id", Value::from(delivery.id.as_str())),
            ("by", Value::from(person.name())),
            ("why", Value::from(chain(fault))),
        ];
        self.write("whatsapp.undecryptable", fields);
    }

    /// The JID by which the journal knows a chat.
    pub(super) fn chat_name(&self, chat: &Chat) -> String {
        let jid = self.directory().jid(chat);
        jid.map_or_else(String::new, |jid| jid.to_string())
    }

    /// The name of whoever is at a JID, or else the JID.
    fn name_at(&self, jid: &str) -> String {
        let person = match jid.parse() {
            Ok(jid) => self.person_at(&jid),
            // What is no JID mentions nobody.
            Err(_) => None,
        };
        person.map_or_else(|| jid.to_owned(), |person| person.name().to_owned())
    }
}
