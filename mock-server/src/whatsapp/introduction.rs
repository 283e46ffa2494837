//! How a client introduces itself at the end of the handshake: as one that wants to be linked,
//! or as a device that is.
//!
//! The format is WhatsApp Web's `ClientPayload`.

use buffa::Message as _;
use waproto::whatsapp::ClientPayload;
use waproto::whatsapp::client_payload::DevicePairingRegistrationData;

use super::phone::SignedKey;

/// Who a client says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Introduction {
    Registration(Registration),
    Login(Login),
}

/// The public keys of a client that is not linked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Registration {
    pub(super) registration_id: u32,
    pub(super) identity: [u8; 32],
    pub(super) signed: SignedKey,
}

/// A device of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Login {
    /// The phone number, digits only.
    pub(super) user: String,
    pub(super) device: u16,
}

/// The client does not say who it is.
#[derive(Debug, thiserror::Error)]
pub(super) enum InvalidIntroduction {
    #[error("the client payload is none")]
    Proto(#[from] buffa::DecodeError),
    #[error("the client payload lacks `{0}`")]
    Lacks(&'static str),
    #[error("the client payload's `{0}` has a wrong length")]
    Length(&'static str),
}

impl Introduction {
    pub(super) fn read(payload: &[u8]) -> Result<Self, InvalidIntroduction> {
        let payload = ClientPayload::decode_from_slice(payload)?;
        if let Some(pairing) = payload.device_pairing_data.as_option() {
            return Ok(Self::Registration(Registration::read(pairing)?));
        }
        let lacks = InvalidIntroduction::Lacks;
        let device = payload.device.ok_or(lacks("device"))?;
        Ok(Self::Login(Login {
            user: payload.username.ok_or(lacks("username"))?.to_string(),
            device: u16::try_from(device)
                .map_err(|_length| InvalidIntroduction::Length("device"))?,
        }))
    }
}

impl Registration {
    fn read(pairing: &DevicePairingRegistrationData) -> Result<Self, InvalidIntroduction> {
        let [high, middle, low] = fixed("eSkeyId", pairing.e_skey_id.as_deref())?;
        Ok(Self {
            registration_id: u32::from_be_bytes(fixed("eRegid", pairing.e_regid.as_deref())?),
            identity: fixed("eIdent", pairing.e_ident.as_deref())?,
            signed: SignedKey {
                id: u32::from_be_bytes([0, high, middle, low]),
                key: fixed("eSkeyVal", pairing.e_skey_val.as_deref())?,
                signature: fixed("eSkeySig", pairing.e_skey_sig.as_deref())?,
            },
        })
    }
}

fn fixed<const LENGTH: usize>(
    name: &'static str,
    bytes: Option<&[u8]>,
) -> Result<[u8; LENGTH], InvalidIntroduction> {
    let bytes = bytes.ok_or(InvalidIntroduction::Lacks(name))?;
    bytes
        .try_into()
        .map_err(|_length| InvalidIntroduction::Length(name))
}
