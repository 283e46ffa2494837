//! The people who write: their numbers follow from their names alone, so that a scenario, the
//! journal and a store that was paired long ago mean the same person.
//!
//! Who is known so far, the exchange keeps.

use wacore_binary::Jid;

use super::seed::{Seed, sha256};
use crate::whatsapp::controls::Addressing;

/// The name of the person whose account the assistant is linked to.
pub(crate) const OWNER: &str = "owner";
const OWNER_PN: &str = "4915100000001";
const OWNER_LID: &str = "900000000000001";

/// A person with an account. Everyone has a phone number (PN) and a LID, the number under
/// which WhatsApp hides the phone's. Two names in a hundred million share a number; the second
/// of them is refused by the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    name: String,
    pn: String,
    lid: String,
}

impl Person {
    /// The person of that name, in any letter case; `owner` is the account's own.
    pub(crate) fn named(name: &str) -> Self {
        let name = name.to_lowercase();
        if name == OWNER {
            return Self {
                name,
                pn: OWNER_PN.to_owned(),
                lid: OWNER_LID.to_owned(),
            };
        }
        let digits = u64::from_be_bytes(first_eight(&sha256(name.as_bytes())));
        Self {
            // Neither range holds a number of the owner.
            pn: format!("49152{:08}", digits % 100_000_000),
            lid: format!("91{:013}", digits % 10_000_000_000_000),
            name,
        }
    }

    /// The name in small letters: what the person is called everywhere but on their phone.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn is_owner(&self) -> bool {
        self.name == OWNER
    }

    /// What the person calls themself, sent as `notify`: the name with a capital.
    pub(crate) fn push_name(&self) -> String {
        let mut letters = self.name.chars();
        let first = letters.next().into_iter().flat_map(char::to_uppercase);
        first.chain(letters).collect()
    }

    /// `<digits>@s.whatsapp.net`.
    pub(crate) fn pn(&self) -> Jid {
        Jid::pn(self.pn.as_str())
    }

    /// `<digits>@lid`.
    pub(crate) fn lid(&self) -> Jid {
        Jid::lid(self.lid.as_str())
    }

    /// As members of a chat with this addressing know the person.
    pub(crate) fn jid(&self, addressing: Addressing) -> Jid {
        match addressing {
            Addressing::Pn => self.pn(),
            Addressing::Lid => self.lid(),
        }
    }

    /// Whether the JID, of whichever device and addressing, is this person's.
    pub(crate) fn is_at(&self, jid: &Jid) -> bool {
        let user = jid.user_base();
        (jid.is_pn() && user == self.pn) || (jid.is_lid() && user == self.lid)
    }

    /// What the person's keys are made of. The owner's never depend on the scenario: the store
    /// of a linked device knows them.
    pub(crate) fn seed(&self, scenario: &Seed) -> Seed {
        if self.is_owner() {
            Seed::constant()
        } else {
            scenario.of(&self.name)
        }
    }
}

fn first_eight(bytes: &[u8; 32]) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = *bytes;
    [a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_keeps_the_numbers_of_the_fixture() {
        let owner = Person::named("owner");
        assert_eq!(owner.pn().to_string(), "4915100000001@s.whatsapp.net");
        assert_eq!(owner.lid().to_string(), "900000000000001@lid");
        assert_eq!(
            owner.seed(&Seed::of_scenario(1)),
            owner.seed(&Seed::of_scenario(2))
        );
    }

    #[test]
    fn a_person_is_the_same_under_every_spelling_and_address() {
        let ada = Person::named("Ada");
        assert_eq!(ada, Person::named("ada"));
        assert_eq!(ada.push_name(), "Ada");
        assert!(ada.is_at(&ada.pn().with_device(1)) && ada.is_at(&ada.lid()));
        assert!(!ada.is_at(&Person::named("bob").pn()));
        assert_ne!(
            ada.seed(&Seed::of_scenario(1)),
            ada.seed(&Seed::of_scenario(2))
        );
    }

    #[test]
    fn a_thousand_people_share_no_number() {
        let people: Vec<_> = (0..1000)
            .map(|n| Person::named(&format!("person {n}")))
            .collect();
        let numbers: std::collections::BTreeSet<_> = people
            .iter()
            .flat_map(|p| [p.pn().to_string(), p.lid().to_string()])
            .collect();
        assert_eq!(numbers.len(), 2000);
    }
}
