//! Texts of the assistant on their way: whom each was for when it first came, and how often a
//! device has asked for it again.

use std::collections::BTreeMap;

use super::MessageId;

/// A person's name and the number of one of their devices.
pub(super) type Device = (String, u16);

#[derive(Debug, Default)]
pub(super) struct Journeys {
    by_id: BTreeMap<MessageId, Journey>,
}

#[derive(Debug)]
struct Journey {
    audience: Vec<Device>,
    asked: BTreeMap<Device, u32>,
}

impl Journeys {
    /// A text sets out. When it comes again, it is for whom it was for at first: who came into
    /// the chat in between is not waited for.
    pub(super) fn set_out(&mut self, id: &str, audience: Vec<Device>) {
        let asked = BTreeMap::new();
        self.by_id
            .entry(id.to_owned())
            .or_insert(Journey { audience, asked });
    }

    pub(super) fn audience(&self, id: &str) -> &[Device] {
        let journey = self.by_id.get(id);
        journey.map_or(&[], |journey| &journey.audience)
    }

    /// The device asks for it again; returns how often it has.
    pub(super) fn ask(&mut self, id: &str, device: &Device) -> u32 {
        let Some(journey) = self.by_id.get_mut(id) else {
            return 1;
        };
        let asked = journey.asked.entry(device.clone()).or_default();
        *asked += 1;
        *asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_for_whom_it_was_for_at_first() {
        let (ada, bob) = (("ada".to_owned(), 0), ("bob".to_owned(), 0));
        let mut journeys = Journeys::default();
        journeys.set_out("1", vec![ada.clone()]);
        journeys.set_out("1", vec![ada.clone(), bob.clone()]);
        assert_eq!(journeys.audience("1"), std::slice::from_ref(&ada));

        assert_eq!([journeys.ask("1", &ada), journeys.ask("1", &ada)], [1, 2]);
        assert_eq!(journeys.ask("1", &bob), 1);
    }
}
