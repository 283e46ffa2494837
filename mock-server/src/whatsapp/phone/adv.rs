//! How a phone vouches for its companion devices (ADV, "advanced device verification"):
//! signatures over the companion's identity, and over the list of valid ones.
//!
//! Format and prefixes: WhatsApp Web, as Baileys 7.0.0-rc14 and whatsapp-rust 0.7.0 check it.

use buffa::Message as _;
use wacore_libsignal::protocol::SignalProtocolError;
use waproto::whatsapp as wa;

use super::keys::DeviceKeys;
use super::seed::Seed;

const ACCOUNT_SIGNATURE: &[u8] = &[6, 0];
const DEVICE_SIGNATURE: &[u8] = &[6, 1];
const KEY_INDEX_SIGNATURE: &[u8] = &[6, 2];
/// Which generation of the account this is; a new phone would count up.
const RAW_ID: u32 = 1;

/// What a phone signs when a companion is linked. `device` is its number and key index,
/// `timestamp` in seconds.
///
/// # Errors
/// The curve refuses, which seeded keys do not make it.
pub(crate) fn vouch_for(
    phone: &DeviceKeys,
    companion: &[u8; 32],
    device: u16,
    timestamp: u64,
) -> Result<wa::ADVSignedDeviceIdentity, SignalProtocolError> {
    let details = wa::ADVDeviceIdentity {
        raw_id: Some(RAW_ID),
        timestamp: Some(timestamp),
        key_index: Some(device.into()),
        ..Default::default()
    };
    let details = details.encode_to_vec();
    let signature = sign(phone, &[ACCOUNT_SIGNATURE, &details, companion])?;
    Ok(wa::ADVSignedDeviceIdentity {
        account_signature_key: Some(phone.public_identity()?.to_vec()),
        account_signature: Some(signature),
        details: Some(details),
        ..Default::default()
    })
}

/// A companion's whole proof, signed by the phone and by itself: an encoded
/// `ADVSignedDeviceIdentity` for `<device-identity>`.
pub(super) fn device_identity(
    phone: &DeviceKeys,
    companion: &DeviceKeys,
    device: u16,
) -> Result<Vec<u8>, SignalProtocolError> {
    let identity = companion.public_identity()?;
    let mut vouched = vouch_for(phone, &identity, device, 0)?;
    let account = phone.public_identity()?;
    let details = vouched.details.as_deref().into_iter().flatten().copied();
    let details: Vec<u8> = details.collect();
    let signed = [DEVICE_SIGNATURE, &details, &identity, &account];
    vouched.device_signature = Some(sign(companion, &signed)?);
    Ok(vouched.encode_to_vec())
}

/// The encoded `ADVSignedKeyIndexList` for `<key-index-list>`: which devices are valid.
///
/// # Errors
/// The curve refuses, which seeded keys do not make it.
pub(crate) fn key_index_list(
    phone: &DeviceKeys,
    devices: &[u16],
    timestamp: u64,
) -> Result<Vec<u8>, SignalProtocolError> {
    let list = wa::ADVKeyIndexList {
        raw_id: Some(RAW_ID),
        timestamp: Some(timestamp),
        current_index: devices.iter().max().copied().map(u32::from),
        valid_indexes: devices.iter().copied().map(u32::from).collect(),
        ..Default::default()
    };
    let details = list.encode_to_vec();
    let signed = wa::ADVSignedKeyIndexList {
        account_signature: Some(sign(phone, &[KEY_INDEX_SIGNATURE, &details])?),
        details: Some(details),
        ..Default::default()
    };
    Ok(signed.encode_to_vec())
}

/// XEdDSA over the parts. Its randomness comes from what is signed, so that the same
/// signature is made in every run.
fn sign(signer: &DeviceKeys, parts: &[&[u8]]) -> Result<Vec<u8>, SignalProtocolError> {
    let message = parts.concat();
    let mut randomness = Seed::of_bytes(&message).randomness();
    let signature = signer
        .identity
        .private_key()
        .calculate_signature(&message, &mut randomness)?;
    Ok(signature.to_vec())
}
