//! People and their phones: numbers, keys, and the Signal sessions with the clients that are
//! linked to the assistant's account. A phone seals and opens; it knows no stanzas and sends
//! nothing.

mod actor;
mod adv;
mod bundle;
mod device;
mod keys;
mod person;
mod sealed;
mod seed;
mod stores;
#[cfg(test)]
mod tests;

pub(crate) use actor::{Envelope, GroupLetter, Letter, OpenError, PhoneError, PhoneHandle};
pub(crate) use adv::{key_index_list, vouch_for};
pub(crate) use bundle::{KeyBundle, OneTimeKey, SignedKey};
pub(crate) use device::{DeviceAddress, Undecryptable};
pub(crate) use keys::DeviceKeys;
pub(crate) use person::{OWNER, Person};
pub(crate) use sealed::{Cipher, Sealed};
pub(crate) use seed::{Seed, sha256};
