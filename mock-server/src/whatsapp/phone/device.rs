//! One device of a person, as the Signal protocol sees it: it seals messages for the devices
//! of others and opens what they send, alone or to a group.
//!
//! Who is to read what, and the stanzas around it, are the exchange's.

use std::collections::{BTreeMap, BTreeSet};

use buffa::Message as _;
use rand::rngs::StdRng;
use wacore_binary::Jid;
use wacore_libsignal::protocol::{
    CiphertextMessage, CiphertextMessageType, GenericSignedPreKey as _, PreKeySignalMessage,
    PreKeyStore as _, ProtocolAddress, SenderKeyDistributionMessage, SenderKeyName, SessionRecord,
    SignalMessage, SignalProtocolError, UsePQRatchet, create_sender_key_distribution_message,
    group_decrypt, group_encrypt, message_decrypt, message_encrypt, process_prekey_bundle,
    process_sender_key_distribution_message,
};
use waproto::whatsapp as wa;

use super::bundle::{KeyBundle, OneTimeKey, SignedKey};
use super::keys::{DeviceKeys, raw};
use super::sealed::{Cipher, Sealed, pad, unpad};
use super::seed::Seed;
use super::stores::{Identities, OneTimePrekeys, SenderKeys, Sessions, SignedPrekey};

/// A device of a client, e.g. nanokimi's: the account's number and the device's. However it
/// addresses itself, by phone number or LID, phones keep one session with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct DeviceAddress(String);

impl DeviceAddress {
    /// Of the account's PN and the device's number.
    pub(crate) fn of(pn: &Jid, device: u16) -> Self {
        Self(pn.with_device(device).to_string())
    }

    /// Reads what [`Self::as_str`] writes. None: it is no such address.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let jid: Jid = match text.parse() {
            Ok(jid) => jid,
            // What is wrong with it does not matter to who asks.
            Err(_not_a_jid) => return None,
        };
        jid.is_pn().then(|| Self::of(&jid, jid.device))
    }

    /// E.g. `4915100000001:1@s.whatsapp.net`.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn signal(&self) -> ProtocolAddress {
        ProtocolAddress::new(&self.0, 0.into())
    }

    fn sender_key(&self, group: &Jid) -> SenderKeyName {
        SenderKeyName::new(group.to_string(), self.0.clone())
    }
}

/// Why a message cannot be sealed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealError {
    #[error("there is no session with `{}` yet: hand its key bundle in", .0.0)]
    NoSession(DeviceAddress),
    #[error("a message for `{}` cannot be encrypted", reader.0)]
    Signal {
        reader: DeviceAddress,
        source: SignalProtocolError,
    },
    #[error("a message for `{group}` cannot be encrypted")]
    Group {
        group: Jid,
        source: SignalProtocolError,
    },
}

/// Why a message cannot be read; a phone then asks for it again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Undecryptable {
    #[error(transparent)]
    Signal(#[from] SignalProtocolError),
    #[error("the padding is broken")]
    Padding,
    #[error(transparent)]
    Message(#[from] buffa::DecodeError),
    #[error("a sender key comes with a message to one person")]
    NoGroup,
}

/// A message sealed for a group: each newcomer's copy of the key, and the message once.
#[derive(Debug)]
pub(crate) struct GroupSealed {
    pub(crate) keys: Vec<(DeviceAddress, Sealed)>,
    pub(crate) message: Sealed,
}

/// One device with all it remembers.
pub(super) struct Device {
    keys: DeviceKeys,
    address: DeviceAddress,
    identities: Identities,
    sessions: Sessions,
    one_time: OneTimePrekeys,
    signed: SignedPrekey,
    sender_keys: SenderKeys,
    /// Who has our sender key of which group.
    key_holders: BTreeMap<String, BTreeSet<DeviceAddress>>,
    randomness: StdRng,
    device_identity: Option<Vec<u8>>,
}

impl Device {
    pub(super) fn new(
        keys: DeviceKeys,
        address: DeviceAddress,
        seed: &Seed,
        device_identity: Option<Vec<u8>>,
    ) -> Self {
        Self {
            identities: Identities::new(keys.clone()),
            sessions: Sessions::default(),
            one_time: OneTimePrekeys::new(keys.clone()),
            signed: SignedPrekey(keys.signed_prekey.clone()),
            sender_keys: SenderKeys::default(),
            key_holders: BTreeMap::new(),
            randomness: seed.of(&address.0).randomness(),
            device_identity,
            address,
            keys,
        }
    }

    /// The public keys for one who wants to begin a session; spends a one-time prekey.
    pub(super) fn bundle(&mut self) -> Result<KeyBundle, SignalProtocolError> {
        let one_time = self.one_time.give();
        let signature = self.signed.0.signature()?;
        let broken = |_| SignalProtocolError::SignatureValidationFailed;
        Ok(KeyBundle {
            registration_id: self.keys.registration_id,
            identity: self.keys.public_identity()?,
            signed: SignedKey {
                id: self.signed.0.id()?.into(),
                key: raw(&self.signed.0.public_key()?)?,
                signature: signature.as_slice().try_into().map_err(broken)?,
            },
            one_time: Some(OneTimeKey {
                id: one_time.id()?.into(),
                key: raw(&one_time.public_key()?)?,
            }),
            device_identity: self.device_identity.clone(),
        })
    }

    pub(super) fn knows(&self, other: &DeviceAddress) -> bool {
        self.sessions.has(&other.signal())
    }

    /// Seals for one device. A bundle begins a new session with it; without one there must be one.
    pub(super) async fn seal(
        &mut self,
        reader: &DeviceAddress,
        bundle: Option<&KeyBundle>,
        message: &wa::Message,
    ) -> Result<Sealed, SealError> {
        if bundle.is_none() && !self.knows(reader) {
            return Err(SealError::NoSession(reader.clone()));
        }
        let failed = |source| SealError::Signal {
            reader: reader.clone(),
            source,
        };
        if let Some(bundle) = bundle {
            self.begin_session(reader, bundle).await.map_err(failed)?;
        }
        let plain = pad(message.encode_to_vec(), &mut self.randomness);
        let address = reader.signal();
        let sealed = message_encrypt(&plain, &address, &mut self.sessions, &mut self.identities);
        Ok(sealed_of(&sealed.await.map_err(failed)?))
    }

    async fn begin_session(
        &mut self,
        other: &DeviceAddress,
        bundle: &KeyBundle,
    ) -> Result<(), SignalProtocolError> {
        let bundle = bundle.to_signal()?;
        process_prekey_bundle(
            &other.signal(),
            &mut self.sessions,
            &mut self.identities,
            &bundle,
            &mut self.randomness,
            UsePQRatchet::No,
        )
        .await
        .map(|_change| ())
    }

    /// Seals once for a whole group, and our sender key for each reader who lacks it or whose
    /// bundle comes along.
    pub(super) async fn seal_for_group(
        &mut self,
        group: &Jid,
        readers: &[(DeviceAddress, Option<KeyBundle>)],
        message: &wa::Message,
    ) -> Result<GroupSealed, SealError> {
        let failed = |source| SealError::Group {
            group: group.clone(),
            source,
        };
        let distribution = self.distribution(group).await.map_err(failed)?;
        let mut keys = Vec::new();
        for (reader, bundle) in readers {
            if bundle.is_some() || !self.holds_key(group, reader) {
                let sealed = self.seal(reader, bundle.as_ref(), &distribution).await?;
                keys.push((reader.clone(), sealed));
                self.key_holders
                    .entry(group.to_string())
                    .or_default()
                    .insert(reader.clone());
            }
        }
        let plain = pad(message.encode_to_vec(), &mut self.randomness);
        let name = self.address.sender_key(group);
        let sealed = group_encrypt(&mut self.sender_keys, &name, &plain, &mut self.randomness);
        let bytes = sealed.await.map_err(failed)?.serialized().to_vec();
        Ok(GroupSealed {
            keys,
            message: Sealed {
                cipher: Cipher::SenderKey,
                bytes,
            },
        })
    }

    fn holds_key(&self, group: &Jid, reader: &DeviceAddress) -> bool {
        let holders = self.key_holders.get(&group.to_string());
        holders.is_some_and(|holders| holders.contains(reader))
    }

    /// A message that hands our sender key out; made on first use.
    pub(super) async fn distribution(
        &mut self,
        group: &Jid,
    ) -> Result<wa::Message, SignalProtocolError> {
        let name = self.address.sender_key(group);
        let key = create_sender_key_distribution_message(
            &name,
            &mut self.sender_keys,
            &mut self.randomness,
        );
        let distribution = wa::message::SenderKeyDistributionMessage {
            group_id: Some(group.to_string()),
            axolotl_sender_key_distribution_message: Some(key.await?.serialized().to_vec()),
        };
        Ok(wa::Message {
            sender_key_distribution_message: buffa::MessageField::some(distribution),
            ..Default::default()
        })
    }

    /// Opens what a device sent, and keeps the sender key that it may hand out.
    pub(super) async fn open(
        &mut self,
        sender: &DeviceAddress,
        group: Option<&Jid>,
        sealed: &Sealed,
    ) -> Result<wa::Message, Undecryptable> {
        let padded = match sealed.cipher {
            Cipher::SenderKey => {
                let name = sender.sender_key(group.ok_or(Undecryptable::NoGroup)?);
                group_decrypt(&sealed.bytes, &mut self.sender_keys, &name).await?
            }
            Cipher::Prekey | Cipher::Session => self.open_session(sender, sealed).await?,
        };
        let plain = unpad(&padded).ok_or(Undecryptable::Padding)?;
        let message = wa::Message::decode_from_slice(plain)?;
        self.keep_sender_key(sender, &message).await?;
        Ok(message)
    }

    async fn open_session(
        &mut self,
        sender: &DeviceAddress,
        sealed: &Sealed,
    ) -> Result<Vec<u8>, SignalProtocolError> {
        let bytes = sealed.bytes.as_slice();
        let sealed = match sealed.cipher {
            Cipher::Prekey => {
                CiphertextMessage::PreKeySignalMessage(PreKeySignalMessage::try_from(bytes)?)
            }
            Cipher::Session | Cipher::SenderKey => {
                CiphertextMessage::SignalMessage(SignalMessage::try_from(bytes)?)
            }
        };
        let address = sender.signal();
        let opened = message_decrypt(
            &sealed,
            &address,
            &mut self.sessions,
            &mut self.identities,
            &mut self.one_time,
            &self.signed,
            &mut self.randomness,
            UsePQRatchet::No,
        );
        let opened = opened.await?;
        if let Some(spent) = opened.consumed_prekey_id {
            self.one_time.remove_pre_key(spent).await?;
        }
        Ok(opened.plaintext)
    }

    async fn keep_sender_key(
        &mut self,
        sender: &DeviceAddress,
        message: &wa::Message,
    ) -> Result<(), SignalProtocolError> {
        let Some(distribution) = message.sender_key_distribution_message.as_option() else {
            return Ok(());
        };
        let (Some(group), Some(key)) = (
            &distribution.group_id,
            &distribution.axolotl_sender_key_distribution_message,
        ) else {
            let why = "a sender key without its group or without the key".to_owned();
            return Err(SignalProtocolError::InvalidArgument(why));
        };
        let name = SenderKeyName::new(group.clone(), sender.0.clone());
        let key = SenderKeyDistributionMessage::try_from(key.as_slice())?;
        process_sender_key_distribution_message(&name, &key, &mut self.sender_keys).await
    }

    /// All sessions, each with its record as the Signal library writes it.
    pub(super) fn sessions(&self) -> Result<Vec<(DeviceAddress, Vec<u8>)>, SignalProtocolError> {
        let records = self.sessions.records();
        let written = records.map(|(name, record)| Ok((DeviceAddress(name), record.serialize()?)));
        written.collect()
    }

    /// Goes on with sessions that an earlier phone with the same keys had: with all, or none.
    pub(super) fn restore_sessions(
        &mut self,
        sessions: &[(DeviceAddress, Vec<u8>)],
    ) -> Result<(), SignalProtocolError> {
        let read = sessions.iter().map(|(other, record)| {
            let record = SessionRecord::deserialize(record)?;
            Ok((other.signal(), record))
        });
        let read: Vec<_> = read.collect::<Result<_, SignalProtocolError>>()?;
        for (other, record) in read {
            self.sessions.restore(&other, record);
        }
        Ok(())
    }

    /// Loses the session and the sender keys of that device, as a phone does that was restored
    /// from an old backup: what the device sends next cannot be opened.
    pub(super) fn forget(&mut self, other: &DeviceAddress) {
        self.sessions.forget(&other.signal());
        self.sender_keys.forget_sender(&other.0);
    }

    /// The next message to the group has a new sender key, as after a member left.
    pub(super) fn rotate_sender_key(&mut self, group: &Jid) {
        self.sender_keys.forget(&self.address.sender_key(group));
        self.key_holders.remove(&group.to_string());
    }
}

fn sealed_of(message: &CiphertextMessage) -> Sealed {
    let prekey = matches!(message.message_type(), CiphertextMessageType::PreKey);
    let cipher = if prekey {
        Cipher::Prekey
    } else {
        Cipher::Session
    };
    Sealed {
        cipher,
        bytes: message.serialize().to_vec(),
    }
}
