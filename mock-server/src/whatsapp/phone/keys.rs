//! The keys of one device of a person, all made from a seed: its identity, its signed prekey
//! and as many one-time prekeys as anybody asks for.

use rand::RngExt as _;
use wacore_libsignal::protocol::{
    GenericSignedPreKey as _, IdentityKey, IdentityKeyPair, KeyPair, PreKeyRecord,
    SignalProtocolError, SignedPreKeyRecord, Timestamp,
};

use super::seed::Seed;

/// The only signed prekey of a device.
const SIGNED_PREKEY: u32 = 1;
/// Registration ids have fourteen bits and are not 0.
const REGISTRATION_IDS: std::ops::RangeInclusive<u32> = 1..=0x3fff;

/// What makes a device itself.
#[derive(Clone)]
pub(crate) struct DeviceKeys {
    pub(crate) identity: IdentityKeyPair,
    pub(crate) signed_prekey: SignedPreKeyRecord,
    pub(crate) registration_id: u32,
    seed: Seed,
}

impl DeviceKeys {
    /// The keys of device `number` of the person whose seed this is; 0 is the phone.
    ///
    /// # Errors
    /// The curve refuses, which seeded keys do not make it.
    pub(crate) fn of(person: &Seed, number: u16) -> Result<Self, SignalProtocolError> {
        let seed = person.nth("device", number.into());
        let mut randomness = seed.randomness();
        let own = KeyPair::generate(&mut randomness);
        let identity = IdentityKeyPair::new(IdentityKey::new(own.public_key), own.private_key);
        let pair = KeyPair::generate(&mut randomness);
        let signature = identity
            .private_key()
            .calculate_signature(&pair.public_key.serialize(), &mut randomness)?;
        let born = Timestamp::from_epoch_millis(0);
        Ok(Self {
            signed_prekey: SignedPreKeyRecord::new(SIGNED_PREKEY.into(), born, &pair, &signature),
            registration_id: randomness.random_range(REGISTRATION_IDS),
            identity,
            seed,
        })
    }

    /// One of the one-time prekeys.
    pub(crate) fn one_time_prekey(&self, id: u32) -> PreKeyRecord {
        let mut randomness = self.seed.nth("one-time prekey", id).randomness();
        PreKeyRecord::new(id.into(), &KeyPair::generate(&mut randomness))
    }

    /// The 32 bytes of the public identity.
    pub(crate) fn public_identity(&self) -> Result<[u8; 32], SignalProtocolError> {
        raw(self.identity.public_key())
    }
}

/// A public key as stanzas carry it: 32 bytes, without the byte for its type.
pub(super) fn raw(
    key: &wacore_libsignal::protocol::PublicKey,
) -> Result<[u8; 32], SignalProtocolError> {
    key.public_key_bytes().try_into().map_err(|_length| {
        SignalProtocolError::InvalidArgument("a public key that is not 32 bytes".into())
    })
}
