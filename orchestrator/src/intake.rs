//! The one way in for a message, whatever channel it came through: it is kept, then told,
//! then queued, in this order, and only then may the channel acknowledge it.

use crate::clock::Work;
use crate::events::Event;
use crate::group_queue::GroupQueue;
use crate::house::House;
use crate::router;
use crate::store::{Group, MessageState, NewMessage, StoreError};

/// Takes messages in.
#[derive(Clone, Debug)]
pub(crate) struct Intake {
    house: House,
    queue: GroupQueue,
}

/// What became of a message that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// It will be answered.
    Queued { seq: i64 },
    /// It is kept as context until somebody calls the assistant.
    Waiting { seq: i64 },
    /// The channel delivered it before.
    Duplicate,
}

impl Intake {
    #[must_use]
    pub(crate) fn new(house: House, queue: GroupQueue) -> Self {
        Self { house, queue }
    }

    /// Keeps a message of a registered group, and has it answered if it is meant for us.
    pub(crate) async fn receive(
        &self,
        group: &Group,
        new: NewMessage,
    ) -> Result<Received, StoreError> {
        let busy = self.house.clock.busy(Work::Intake);
        let assistant = &self.house.config.assistant_name;
        let triggered = router::is_meant(&group.trigger, assistant, &new.content);
        let state = if triggered {
            MessageState::Queued
        } else {
            MessageState::Waiting
        };
        let told = Event::MessageReceived {
            chat: new.chat.clone(),
            group: group.folder.clone(),
            id: new.id.clone(),
            from: new.sender_name.clone(),
            text: new.content.clone(),
            triggered,
        };
        // A client may hang up while its message is being stored, and this future ends with it:
        // the place in the queue is used all the same.
        let arrival = if triggered {
            self.queue.arriving(group.folder.clone(), busy).await
        } else {
            None
        };
        let Some(seq) = self.house.store.store_message(new, state).await? else {
            return Ok(Received::Duplicate);
        };
        self.house.events.tell(told);
        drop(arrival);
        Ok(if triggered {
            Received::Queued { seq }
        } else {
            Received::Waiting { seq }
        })
    }
}
