//! What a QR code says: the server's reference, the client's public keys, and a secret that
//! nobody but who sees the code can know.
//!
//! Format: `ref,noise,identity,secret[,client]`, keys in base64; Baileys 7.0.0-rc14 puts a URL
//! and `#` before it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What the phone reads.
pub(in crate::whatsapp) struct QrCode {
    pub(in crate::whatsapp) reference: String,
    pub(in crate::whatsapp) noise: [u8; 32],
    pub(in crate::whatsapp) identity: [u8; 32],
    pub(in crate::whatsapp) secret: [u8; 32],
}

/// Without the secret.
impl fmt::Debug for QrCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QrCode({})", self.reference)
    }
}

/// A text that is no QR code of WhatsApp's. It is not repeated: a part of it may be secret.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(in crate::whatsapp) enum InvalidQr {
    #[error("it has {0} fields, not the four or five of a QR code to be linked by")]
    Fields(usize),
    #[error("its {0} is not 32 bytes in base64")]
    NotAKey(&'static str),
}

impl QrCode {
    pub(in crate::whatsapp) fn read(text: &str) -> Result<Self, InvalidQr> {
        let fields = text.trim().rsplit('#').next().map_or(text, |fields| fields);
        let fields: Vec<&str> = fields.split(',').collect();
        let ([reference, noise, identity, secret] | [reference, noise, identity, secret, _]) =
            fields[..]
        else {
            return Err(InvalidQr::Fields(fields.len()));
        };
        Ok(Self {
            reference: reference.to_owned(),
            noise: key("noise key", noise)?,
            identity: key("identity", identity)?,
            secret: key("secret", secret)?,
        })
    }
}

fn key(name: &'static str, text: &str) -> Result<[u8; 32], InvalidQr> {
    let not_a_key = || InvalidQr::NotAKey(name);
    let bytes = STANDARD.decode(text).map_err(|_fault| not_a_key())?;
    bytes.try_into().map_err(|_fault| not_a_key())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_both_clients_are_read() {
        let key = |byte| STANDARD.encode([byte; 32]);
        let code = format!("2@mock,{},{},{}", key(1), key(2), key(3));
        let links = "https://wa.me/settings/linked_devices#";
        for code in [
            code.clone(),
            format!("{links}{code},1"),
            format!("{code},1\n"),
        ] {
            let read = QrCode::read(&code).unwrap();
            assert_eq!(read.reference, "2@mock");
            assert_eq!(
                (read.noise, read.identity, read.secret),
                ([1; 32], [2; 32], [3; 32])
            );
        }
    }

    #[test]
    fn what_is_no_code_is_refused_without_showing_it() {
        let refused = |text: &str| QrCode::read(text).unwrap_err().to_string();
        assert_eq!(
            refused("hello"),
            "it has 1 fields, not the four or five of a QR code to be linked by"
        );
        assert_eq!(
            refused("r,x,y,z"),
            "its noise key is not 32 bytes in base64"
        );
    }
}
