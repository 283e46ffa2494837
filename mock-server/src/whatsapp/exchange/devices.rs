//! People's further devices: whoever may write to a person is told of a new one, and of one that
//! is gone.
//!
//! Format: `<notification type="devices">`, as whatsapp-rust 0.7.0 and Baileys 7.0.0-rc14 read it.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::Exchange;
use super::mailbox::Class;
use crate::text::chain;
use crate::whatsapp::phone::{DeviceKeys, Person, PhoneError, key_index_list};

/// What becomes of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeviceChange {
    Added,
    Removed,
}

impl DeviceChange {
    fn tag(self) -> &'static str {
        match self {
            Self::Added => "add",
            Self::Removed => "remove",
        }
    }
}

impl Exchange {
    /// The person uses this device from now on; if it is a new one, nanokimi hears of it before
    /// anything that it writes.
    pub(super) fn use_device(&mut self, person: &Person, number: u16) -> Result<(), PhoneError> {
        if self.devices_of(person).contains(&number) {
            return Ok(());
        }
        self.phone(person, number)?;
        self.tell_of_device(person, number, DeviceChange::Added)
    }

    /// Tells every linked device but the one that it is about.
    pub(super) fn tell_of_device(
        &mut self,
        person: &Person,
        number: u16,
        change: DeviceChange,
    ) -> Result<(), PhoneError> {
        let devices = self.devices_of(person);
        let keys = DeviceKeys::of(&person.seed(&self.seed), 0)?;
        let list = key_index_list(&keys, &devices, self.t())?;
        let mut linked: Vec<u16> = self.companions.keys().copied().collect();
        linked.retain(|device| !(person.is_owner() && *device == number));
        for device in linked {
            let id = self.next_notification_id();
            let node = device_changed(&id, (person, number), change, (self.t(), list.clone()));
            self.post(device, Class::Notification, &id, node);
        }
        Ok(())
    }

    /// The same for a device of the owner, where nobody waits for an answer.
    pub(super) fn tell_of_companion(&mut self, number: u16, change: DeviceChange) {
        let owner = self.owner.clone();
        if let Err(fault) = self.tell_of_device(&owner, number, change) {
            let why = chain(&fault);
            self.unexpected(format!(
                "the owner's devices cannot be told of {number}: {why}"
            ));
        }
    }
}

/// `valid` are the person's devices, as their phone has signed them at that time.
fn device_changed(
    id: &str,
    (person, number): (&Person, u16),
    change: DeviceChange,
    valid: (u64, Vec<u8>),
) -> Node {
    let t = valid.0.to_string();
    let device = NodeBuilder::new("device")
        .attr("jid", person.pn().with_device(number))
        .attr("lid", person.lid().with_device(number))
        .attr("key-index", number.to_string())
        .build();
    let list = NodeBuilder::new("key-index-list")
        .attr("ts", t.clone())
        .bytes(valid.1)
        .build();
    let added = NodeBuilder::new(change.tag())
        .children([device, list])
        .build();
    NodeBuilder::new("notification")
        .attr("from", person.pn())
        .attr("lid", person.lid())
        .attr("type", "devices")
        .attr("id", id.to_owned())
        .attr("t", t)
        .children([added])
        .build()
}
