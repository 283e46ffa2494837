//! A companion device as the server knows it, to be written beside the store that it was
//! paired with, and given to another mock later.
//!
//! Holds nothing of nanokimi's secrets: public keys, and what the owner's phone keeps.

use serde::{Deserialize, Serialize};

use super::bytes::Base64;

/// Who the server lets in, and how the owner's phone speaks with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkedAccount {
    /// Its number among the owner's devices, from 1.
    pub device: u16,
    pub registration_id: u32,
    pub noise_key: Base64,
    pub identity_key: Base64,
    pub signed_prekey: SignedPrekey,
    /// What is left of the one-time prekeys it uploaded, in order.
    pub prekeys: Vec<OneTimePrekey>,
    /// Its `ADVSignedDeviceIdentity`, signed by both sides.
    pub device_identity: Base64,
    /// The Signal sessions of the owner's phone with it.
    pub sessions: Vec<PhoneSession>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedPrekey {
    pub id: u32,
    pub key: Base64,
    pub signature: Base64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneTimePrekey {
    pub id: u32,
    pub key: Base64,
}

/// One session of the owner's phone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhoneSession {
    /// The device it is with, e.g. `4915100000001:1@s.whatsapp.net`.
    pub address: String,
    pub record: Base64,
}
