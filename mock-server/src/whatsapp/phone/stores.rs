//! What a device remembers for the Signal protocol, in memory: the five stores that
//! wacore-libsignal asks for. Every identity is trusted; mocks never judge.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use async_trait::async_trait;
use wacore_libsignal::protocol::error::Result;
use wacore_libsignal::protocol::{
    Direction, IdentityChange, IdentityKey, IdentityKeyPair, IdentityKeyStore, PreKeyId,
    PreKeyRecord, PreKeyStore, ProtocolAddress, SenderKeyName, SenderKeyRecord, SenderKeyStore,
    SessionRecord, SessionStore, SignalProtocolError, SignedPreKeyId, SignedPreKeyRecord,
    SignedPreKeyStore,
};

use super::keys::DeviceKeys;

/// Who the device is, and whom it has met.
#[derive(Clone)]
pub(super) struct Identities {
    keys: DeviceKeys,
    met: BTreeMap<String, IdentityKey>,
}

impl Identities {
    pub(super) fn new(keys: DeviceKeys) -> Self {
        Self {
            keys,
            met: BTreeMap::new(),
        }
    }
}

#[async_trait]
impl IdentityKeyStore for Identities {
    async fn get_identity_key_pair(&self) -> Result<IdentityKeyPair> {
        Ok(self.keys.identity.clone())
    }

    async fn get_local_registration_id(&self) -> Result<u32> {
        Ok(self.keys.registration_id)
    }

    async fn save_identity(
        &mut self,
        address: &ProtocolAddress,
        identity: &IdentityKey,
    ) -> Result<IdentityChange> {
        let before = self.met.insert(address.as_str().to_owned(), *identity);
        Ok(match before {
            Some(before) if before != *identity => IdentityChange::ReplacedExisting,
            Some(_) | None => IdentityChange::NewOrUnchanged,
        })
    }

    async fn is_trusted_identity(
        &self,
        _address: &ProtocolAddress,
        _identity: &IdentityKey,
        _direction: Direction,
    ) -> Result<bool> {
        Ok(true)
    }

    async fn get_identity(&self, address: &ProtocolAddress) -> Result<Option<IdentityKey>> {
        Ok(self.met.get(address.as_str()).copied())
    }
}

/// Sessions with the devices of others, by the name of the device.
#[derive(Default)]
pub(super) struct Sessions(BTreeMap<String, SessionRecord>);

impl Sessions {
    pub(super) fn records(&self) -> impl Iterator<Item = (String, &SessionRecord)> {
        self.0.iter().map(|(name, record)| (name.clone(), record))
    }

    pub(super) fn restore(&mut self, address: &ProtocolAddress, record: SessionRecord) {
        self.0.insert(address.name().to_owned(), record);
    }

    pub(super) fn has(&self, address: &ProtocolAddress) -> bool {
        self.0.contains_key(address.name())
    }

    pub(super) fn forget(&mut self, address: &ProtocolAddress) {
        self.0.remove(address.name());
    }
}

#[async_trait]
impl SessionStore for Sessions {
    async fn load_session(&self, address: &ProtocolAddress) -> Result<Option<SessionRecord>> {
        Ok(self.0.get(address.name()).cloned())
    }

    async fn has_session(&self, address: &ProtocolAddress) -> Result<bool> {
        Ok(self.has(address))
    }

    async fn store_session(
        &mut self,
        address: &ProtocolAddress,
        record: SessionRecord,
    ) -> Result<()> {
        self.restore(address, record);
        Ok(())
    }
}

/// One-time prekeys: each is made when it is asked for, and good for one session.
pub(super) struct OneTimePrekeys {
    keys: DeviceKeys,
    given: u32,
    spent: BTreeSet<u32>,
}

impl OneTimePrekeys {
    pub(super) fn new(keys: DeviceKeys) -> Self {
        Self {
            keys,
            given: 0,
            spent: BTreeSet::new(),
        }
    }

    /// The next one nobody has yet.
    pub(super) fn give(&mut self) -> PreKeyRecord {
        self.given += 1;
        self.keys.one_time_prekey(self.given)
    }
}

#[async_trait]
impl PreKeyStore for OneTimePrekeys {
    async fn get_pre_key(&self, id: PreKeyId) -> Result<PreKeyRecord> {
        let number = u32::from(id);
        let known = (1..=self.given).contains(&number) && !self.spent.contains(&number);
        if known {
            Ok(self.keys.one_time_prekey(number))
        } else {
            Err(SignalProtocolError::InvalidPreKeyId)
        }
    }

    async fn save_pre_key(&mut self, _id: PreKeyId, _record: &PreKeyRecord) -> Result<()> {
        Err(SignalProtocolError::InvalidState(
            "save_pre_key",
            "prekeys come from the seed".into(),
        ))
    }

    async fn remove_pre_key(&mut self, id: PreKeyId) -> Result<()> {
        self.spent.insert(id.into());
        Ok(())
    }
}

/// The one signed prekey.
pub(super) struct SignedPrekey(pub(super) SignedPreKeyRecord);

#[async_trait]
impl SignedPreKeyStore for SignedPrekey {
    async fn get_signed_pre_key(&self, id: SignedPreKeyId) -> Result<SignedPreKeyRecord> {
        use wacore_libsignal::protocol::GenericSignedPreKey as _;
        if self.0.id()? == id {
            Ok(self.0.clone())
        } else {
            Err(SignalProtocolError::InvalidSignedPreKeyId)
        }
    }

    async fn save_signed_pre_key(
        &mut self,
        _id: SignedPreKeyId,
        record: &SignedPreKeyRecord,
    ) -> Result<()> {
        self.0 = record.clone();
        Ok(())
    }
}

/// Sender keys of groups: this device's own and those that others handed out.
#[derive(Default)]
pub(super) struct SenderKeys(HashMap<SenderKeyName, SenderKeyRecord>);

impl SenderKeys {
    pub(super) fn forget_sender(&mut self, sender: &str) {
        self.0.retain(|name, _| name.sender_id() != sender);
    }

    pub(super) fn forget(&mut self, name: &SenderKeyName) {
        self.0.remove(name);
    }
}

#[async_trait]
impl SenderKeyStore for SenderKeys {
    async fn store_sender_key(
        &mut self,
        name: &SenderKeyName,
        record: SenderKeyRecord,
    ) -> Result<()> {
        self.0.insert(name.clone(), record);
        Ok(())
    }

    async fn load_sender_key(&self, name: &SenderKeyName) -> Result<Option<SenderKeyRecord>> {
        Ok(self.0.get(name).cloned())
    }
}
