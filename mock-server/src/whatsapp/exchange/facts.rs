//! What another device of the owner changes in the state that all share.
//!
//! Format: WhatsApp Web's `SyncActionValue`s, as whatsapp-rust 0.7.0 reads them.

use buffa::MessageField;
use serde_json::{Value, json};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use waproto::whatsapp as wa;
use waproto::whatsapp::sync_action_value::{
    ArchiveChatAction, ContactAction, MuteAction, PinAction, PushNameSetting,
};

use super::Exchange;
use super::collections::Fact;
use super::mailbox::Class;
use crate::whatsapp::ControlError;
use crate::whatsapp::controls::{Done, Mutation};
use crate::whatsapp::phone::Person;

/// When the owner chose a name, in milliseconds since 1970: before anything happens here.
const ACCOUNT_MADE: i64 = 1_700_000_000_000;

impl Exchange {
    /// What is so from the start: every account has a name, and a client that lacks it takes
    /// itself for newly linked, at each login.
    pub(super) fn state_account(&mut self) {
        let index = json!(["setting_pushName"]);
        let name = self.owner.push_name();
        let mut fact = fact("critical_block", &index, push_name(&name), 1);
        fact.value.timestamp = Some(ACCOUNT_MADE);
        let key = self.app_state_key();
        // The first version; nobody is linked yet who would have to be told.
        let _first: u64 = self.collections.state(&fact, &key);
    }

    pub(super) fn mutate(&mut self, mutation: &Mutation) -> Result<Done, ControlError> {
        let mut fact = self.fact(mutation)?;
        fact.value.timestamp = Some(self.now().as_millisecond());
        let key = self.app_state_key();
        let version = self.collections.state(&fact, &key);
        self.tell_of_collection(fact.collection, version, None);
        Ok(Done::default())
    }

    /// Tells every linked device but the one that changed it.
    pub(super) fn tell_of_collection(&mut self, name: &str, version: u64, by: Option<u16>) {
        let mut devices: Vec<u16> = self.companions.keys().copied().collect();
        devices.retain(|device| Some(*device) != by);
        for device in devices {
            let id = self.next_notification_id();
            let node = self.collection_changed(&id, name, version);
            self.post(device, Class::Notification, &id, node);
        }
    }

    fn fact(&self, mutation: &Mutation) -> Result<Fact, ControlError> {
        let fact = match mutation {
            Mutation::PushName { name } => {
                let index = json!(["setting_pushName"]);
                fact("critical_block", &index, push_name(name), 1)
            }
            Mutation::Archive { chat, archived } => {
                let index = json!(["archive", self.jid(chat)?]);
                fact("regular_low", &index, archive(*archived), 3)
            }
            Mutation::Pin { chat, pinned } => {
                let index = json!(["pin_v1", self.jid(chat)?]);
                fact("regular_low", &index, pin(*pinned), 5)
            }
            Mutation::Mute { chat, muted } => {
                let index = json!(["mute", self.jid(chat)?]);
                fact("regular_high", &index, mute(*muted), 2)
            }
            Mutation::Contact { person, name } => {
                let person = self.person(person)?;
                let index = json!(["contact", person.pn().to_string()]);
                fact("critical_unblock_low", &index, contact(&person, name), 2)
            }
        };
        Ok(fact)
    }

    fn jid(&self, chat: &str) -> Result<String, ControlError> {
        self.chat(chat).map(|(_, jid)| jid.to_string())
    }

    fn collection_changed(&self, id: &str, name: &str, version: u64) -> Node {
        let collection = NodeBuilder::new("collection").attr("name", name.to_owned());
        let collection = collection.attr("version", version.to_string()).build();
        let node = NodeBuilder::new("notification").attr("from", self.owner.pn());
        let node = node.attr("type", "server_sync").attr("id", id.to_owned());
        node.attr("t", self.t().to_string())
            .children([collection])
            .build()
    }
}

fn fact(collection: &'static str, index: &Value, value: wa::SyncActionValue, version: i32) -> Fact {
    Fact {
        collection,
        index: index.to_string(),
        value,
        version,
    }
}

fn push_name(name: &str) -> wa::SyncActionValue {
    wa::SyncActionValue {
        push_name_setting: MessageField::some(PushNameSetting {
            name: Some(name.to_owned()),
        }),
        ..wa::SyncActionValue::default()
    }
}

fn archive(archived: bool) -> wa::SyncActionValue {
    wa::SyncActionValue {
        archive_chat_action: MessageField::some(ArchiveChatAction {
            archived: Some(archived),
            ..ArchiveChatAction::default()
        }),
        ..wa::SyncActionValue::default()
    }
}

fn pin(pinned: bool) -> wa::SyncActionValue {
    wa::SyncActionValue {
        pin_action: MessageField::some(PinAction {
            pinned: Some(pinned),
        }),
        ..wa::SyncActionValue::default()
    }
}

fn mute(muted: bool) -> wa::SyncActionValue {
    wa::SyncActionValue {
        mute_action: MessageField::some(MuteAction {
            muted: Some(muted),
            ..MuteAction::default()
        }),
        ..wa::SyncActionValue::default()
    }
}

fn contact(person: &Person, name: &str) -> wa::SyncActionValue {
    wa::SyncActionValue {
        contact_action: MessageField::some(ContactAction {
            full_name: Some(name.to_owned()),
            lid_jid: Some(person.lid().to_string()),
            ..ContactAction::default()
        }),
        ..wa::SyncActionValue::default()
    }
}
