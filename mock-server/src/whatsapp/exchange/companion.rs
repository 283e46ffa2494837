//! One linked device of the owner, as the server knows it: its public keys, what waits for it,
//! and its connection, if it has one.

use std::collections::VecDeque;

use tokio::sync::mpsc;
use wacore_binary::Node;
use wacore_libsignal::crypto::CryptographicHash;

use super::mailbox::Mailbox;
use crate::whatsapp::account::{LinkedAccount, OneTimePrekey, PhoneSession, SignedPrekey};
use crate::whatsapp::bytes::Base64;
use crate::whatsapp::connection::{ConnectionId, Order};
use crate::whatsapp::introduction::Registration;
use crate::whatsapp::phone::{KeyBundle, OneTimeKey, SignedKey};

#[derive(Debug)]
pub(super) struct Companion {
    pub(super) number: u16,
    pub(super) noise_key: [u8; 32],
    pub(super) registration_id: u32,
    pub(super) identity: [u8; 32],
    pub(super) signed: SignedKey,
    pub(super) prekeys: VecDeque<OneTimeKey>,
    /// Its `ADVSignedDeviceIdentity`, signed by both sides.
    pub(super) device_identity: Vec<u8>,
    /// The owner's phone has shared its keys and history with it.
    pub(super) greeted: bool,
    pub(super) mailbox: Mailbox,
    pub(super) line: Option<Line>,
    /// The server's acknowledgements, while they are held.
    pub(super) held_acks: Vec<Node>,
}

/// A connection that is up.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) id: ConnectionId,
    pub(super) orders: mpsc::Sender<Order>,
    /// The device said that it takes what waits for it.
    pub(super) active: bool,
    /// Nothing comes or goes any more.
    pub(super) frozen: bool,
}

impl Companion {
    pub(super) fn paired(number: u16, noise_key: [u8; 32], keys: &Registration) -> Self {
        Self {
            number,
            noise_key,
            registration_id: keys.registration_id,
            identity: keys.identity,
            signed: keys.signed.clone(),
            prekeys: VecDeque::new(),
            device_identity: Vec::new(),
            greeted: false,
            mailbox: Mailbox::default(),
            line: None,
            held_acks: Vec::new(),
        }
    }

    /// Public keys for one who begins a session; spends a one-time prekey.
    pub(super) fn bundle(&mut self) -> KeyBundle {
        KeyBundle {
            registration_id: self.registration_id,
            identity: self.identity,
            signed: self.signed.clone(),
            one_time: self.prekeys.pop_front(),
            device_identity: Some(self.device_identity.clone()),
        }
    }

    /// SHA-1 over identity, signed prekey, its signature and the one-time prekeys: by it the
    /// device knows whether the server has what it has itself.
    #[expect(clippy::expect_used, reason = "the algorithm's name is right")]
    pub(super) fn digest(&self) -> Vec<u8> {
        let mut hash = CryptographicHash::new("SHA-1").expect("SHA-1 is there");
        hash.update(&self.identity);
        hash.update(&self.signed.key);
        hash.update(&self.signed.signature);
        for prekey in &self.prekeys {
            hash.update(&prekey.key);
        }
        hash.finalize()
    }

    /// The line, if the device takes stanzas on it.
    pub(super) fn live(&self) -> Option<&Line> {
        self.line
            .as_ref()
            .filter(|line| line.active && !line.frozen)
    }

    pub(super) fn export(&self, sessions: Vec<PhoneSession>) -> LinkedAccount {
        let prekey = |prekey: &OneTimeKey| OneTimePrekey {
            id: prekey.id,
            key: Base64(prekey.key.to_vec()),
        };
        LinkedAccount {
            device: self.number,
            registration_id: self.registration_id,
            noise_key: Base64(self.noise_key.to_vec()),
            identity_key: Base64(self.identity.to_vec()),
            signed_prekey: SignedPrekey {
                id: self.signed.id,
                key: Base64(self.signed.key.to_vec()),
                signature: Base64(self.signed.signature.to_vec()),
            },
            prekeys: self.prekeys.iter().map(prekey).collect(),
            device_identity: Base64(self.device_identity.clone()),
            sessions,
        }
    }

    /// None: one of its keys is none.
    pub(super) fn import(account: &LinkedAccount) -> Option<Self> {
        let prekey = |prekey: &OneTimePrekey| {
            Some(OneTimeKey {
                id: prekey.id,
                key: prekey.key.array()?,
            })
        };
        let prekeys: Option<VecDeque<_>> = account.prekeys.iter().map(prekey).collect();
        Some(Self {
            number: account.device,
            noise_key: account.noise_key.array()?,
            registration_id: account.registration_id,
            identity: account.identity_key.array()?,
            signed: SignedKey {
                id: account.signed_prekey.id,
                key: account.signed_prekey.key.array()?,
                signature: account.signed_prekey.signature.array()?,
            },
            prekeys: prekeys?,
            device_identity: account.device_identity.0.clone(),
            greeted: true,
            mailbox: Mailbox::default(),
            line: None,
            held_acks: Vec::new(),
        })
    }
}
