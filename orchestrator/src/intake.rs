//! The one way in for what happens in chats, whatever channel it came through: it is kept, then
//! told, then queued, in this order, and only then may the channel acknowledge it.

mod backlog;
#[cfg(test)]
mod tests;

use jiff::Timestamp;

use backlog::Backlog;

use crate::channel::Prefix;
use crate::clock::{Busy, Work};
use crate::events::Event;
use crate::group_queue::{Arrival, GroupQueue};
use crate::house::House;
use crate::ids::{ChatJid, GroupFolder};
use crate::router;
use crate::store::{
    Changed, Delivery, Edit, Group, MessageState, NewMessage, Revocation, Revoked, StoreError,
};

/// Takes messages in, and what people do to them. Each channel has its own.
#[derive(Clone, Debug)]
pub(crate) struct Intake {
    house: House,
    queue: GroupQueue,
    backlog: Backlog,
}

/// When a group's turn is for what comes in now.
enum Turn {
    /// It is not meant.
    None,
    /// Now. A client may hang up while its message is being stored, and the future that takes
    /// it in ends with it: the place in the queue, taken before, is used all the same.
    Now(Option<Arrival>),
    /// When the channel has caught up.
    WithTheBacklog(Busy),
}

/// What became of a message that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// It will be answered.
    Queued { seq: i64 },
    /// It is kept as context until somebody calls the assistant.
    Waiting { seq: i64 },
    /// The assistant's own words, come back: kept, and never answered.
    Own { seq: i64 },
    /// The channel delivered it before, or took it from us.
    Duplicate,
}

impl Intake {
    #[must_use]
    pub(crate) fn new(house: House, queue: GroupQueue) -> Self {
        Self {
            house,
            queue,
            backlog: Backlog::default(),
        }
    }

    /// The channel begins to deliver what was written while it was away: whoever is meant is
    /// answered when it has [caught up](Self::caught_up).
    pub(crate) fn catch_up(&self) {
        self.backlog.open();
    }

    /// The channel has delivered what was written while it was away, or will not.
    pub(crate) async fn caught_up(&self) {
        for group in self.backlog.close() {
            let busy = self.house.clock.busy(Work::Intake);
            self.queue.arrived(group, busy).await;
        }
    }

    /// Keeps a message of a registered group, and has it answered if it is meant for us.
    pub(crate) async fn receive(
        &self,
        group: &Group,
        new: NewMessage,
    ) -> Result<Received, StoreError> {
        let busy = self.house.clock.busy(Work::Intake);
        if Prefix::of(&self.house.config).is_ours(new.from_me, &new.content) {
            return self.keep_own_words(group, new).await;
        }
        let triggered = self.is_meant(group, &new.content);
        let told = received(group, &new, triggered);
        let turn = self.turn(&group.folder, triggered, busy).await;
        let stored = self.house.store.store_message(new, state_of(triggered));
        let Some(seq) = stored.await? else {
            // Whoever stored it may have been cut off before it could take its turn.
            self.take(&group.folder, turn).await;
            return Ok(Received::Duplicate);
        };
        self.house.events.tell(told);
        self.take(&group.folder, turn).await;
        Ok(if triggered {
            Received::Queued { seq }
        } else {
            Received::Waiting { seq }
        })
    }

    async fn keep_own_words(&self, group: &Group, new: NewMessage) -> Result<Received, StoreError> {
        let told = received(group, &new, false);
        let Some(seq) = self.house.store.store_own_words(new).await? else {
            return Ok(Received::Duplicate);
        };
        self.house.events.tell(told);
        Ok(Received::Own { seq })
    }

    /// Notes a chat's name, and that people talk there. What they say in a chat that is no
    /// group of ours is not kept, only this.
    pub(crate) async fn heard_of(
        &self,
        chat: ChatJid,
        name: Option<String>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let store = &self.house.store;
        let is_news = store.note_chat(chat.clone(), name.clone(), at).await?;
        if let Some(name) = name.filter(|_| is_news) {
            self.house.events.tell(Event::ChatNamed { chat, name });
        }
        Ok(())
    }

    /// Gives a message its new text. If no agent has had it yet it is answered as it reads now;
    /// otherwise the new text is kept, and nobody answers it.
    pub(crate) async fn edited(&self, group: &Group, edit: Edit) -> Result<Changed, StoreError> {
        let busy = self.house.clock.busy(Work::Intake);
        let triggered = self.is_meant(group, &edit.text);
        let (chat, id, text) = (edit.chat.clone(), edit.id.clone(), edit.text.clone());
        let turn = self.turn(&group.folder, triggered, busy).await;
        let now = self.house.clock.now();
        let store = &self.house.store;
        let changed = store.edit_message(edit, state_of(triggered), now).await?;
        if let Some(late) = is_late(changed) {
            let told = Event::MessageEdited {
                chat,
                id,
                text,
                late,
            };
            self.house.events.tell(told);
        }
        self.take(&group.folder, turn).await;
        Ok(changed)
    }

    /// Forgets what a message said. If no agent has had it yet, none ever will.
    pub(crate) async fn revoked(&self, revocation: Revocation) -> Result<Revoked, StoreError> {
        let _busy = self.house.clock.busy(Work::Intake);
        let (chat, id) = (revocation.chat.clone(), revocation.id.clone());
        let now = self.house.clock.now();
        let revoked = self.house.store.revoke_message(revocation, now).await?;
        if let Some(late) = is_late(revoked.changed) {
            let told = Event::MessageRevoked { chat, id, late };
            self.house.events.tell(told);
        }
        Ok(revoked)
    }

    /// Notes that a text of ours has come to somebody, or was read. What is no text of ours, or
    /// no news, changes nothing.
    pub(crate) async fn receipt(
        &self,
        message_id: String,
        delivery: Delivery,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let store = &self.house.store;
        let id = message_id.clone();
        if let Some(chat) = store.note_receipt(message_id, delivery, at).await? {
            self.house.events.tell(match delivery {
                Delivery::Delivered => Event::MessageDelivered { chat, id },
                Delivery::Read => Event::MessageRead { chat, id },
            });
        }
        Ok(())
    }

    async fn turn(&self, group: &GroupFolder, triggered: bool, busy: Busy) -> Turn {
        if !triggered {
            Turn::None
        } else if self.backlog.is_open() {
            Turn::WithTheBacklog(busy)
        } else {
            Turn::Now(self.queue.arriving(group.clone(), busy).await)
        }
    }

    /// What the turn is for is in the store.
    async fn take(&self, group: &GroupFolder, turn: Turn) {
        match turn {
            Turn::None => {}
            Turn::Now(arrival) => drop(arrival),
            Turn::WithTheBacklog(_) if self.backlog.keep(group) => {}
            // It was closed while the message was being stored.
            Turn::WithTheBacklog(busy) => self.queue.arrived(group.clone(), busy).await,
        }
    }

    fn is_meant(&self, group: &Group, text: &str) -> bool {
        router::is_meant(&group.trigger, &self.house.config.assistant_name, text)
    }
}

fn state_of(triggered: bool) -> MessageState {
    if triggered {
        MessageState::Queued
    } else {
        MessageState::Waiting
    }
}

fn received(group: &Group, new: &NewMessage, triggered: bool) -> Event {
    Event::MessageReceived {
        chat: new.chat.clone(),
        group: group.folder.clone(),
        id: new.id.clone(),
        from: new.sender_name.clone(),
        text: new.content.clone(),
        triggered,
    }
}

/// Whether a change came after an agent had the message; none if nothing has changed.
fn is_late(changed: Changed) -> Option<bool> {
    match changed {
        Changed::InTime => Some(false),
        Changed::Late => Some(true),
        Changed::NoSuchMessage => None,
    }
}
