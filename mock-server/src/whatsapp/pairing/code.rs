//! Linking by a code of eight characters: the client shows it, its owner types it in on the
//! phone, and both sides prove by it that they mean each other.
//!
//! Each side sends a fresh public key, encrypted with a key made from the code; from what they
//! then agree on, and their identities, comes the secret that a QR code would carry.
//! Format: WhatsApp Web, as Baileys 7.0.0-rc14 and whatsapp-rust 0.7.0 speak it.

use wacore::crypto::hkdf_sha256_into;
use wacore::pair_code::PairCodeUtils;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use wacore_libsignal::crypto::aes_256_gcm_decrypt;
use wacore_libsignal::protocol::{KeyPair, PublicKey};

use crate::whatsapp::certificate::raw;
use crate::whatsapp::phone::{DeviceKeys, Seed};
use crate::whatsapp::stanza::{Malformed, Reader, server};

const BUNDLE_KEY: &[u8] = b"link_code_pairing_key_bundle_encryption_key";
/// Salt and initialisation vector stand before the ciphertext.
const SALT: usize = 32;
const VECTOR: usize = 12;

/// A step of the client's.
#[derive(Clone, Debug)]
pub(in crate::whatsapp) enum LinkAsk {
    Hello {
        /// Whose phone is to be asked.
        jid: Jid,
        /// The client's fresh public key, encrypted with the code.
        wrapped_key: Vec<u8>,
    },
    Finish {
        identity: [u8; 32],
        /// Its part of the secret, encrypted with what the fresh keys agree on.
        wrapped_bundle: Vec<u8>,
    },
}

impl LinkAsk {
    pub(in crate::whatsapp) fn read(reader: Reader<'_>) -> Result<Self, Malformed> {
        match reader.text("stage")?.as_str() {
            "companion_hello" => {
                let wrapped = "link_code_pairing_wrapped_companion_ephemeral_pub";
                Ok(Self::Hello {
                    jid: reader.jid("jid")?,
                    wrapped_key: reader.child(wrapped)?.bytes().to_vec(),
                })
            }
            "companion_finish" => {
                let wrapped = "link_code_pairing_wrapped_key_bundle";
                Ok(Self::Finish {
                    identity: reader.child("companion_identity_public")?.array()?,
                    wrapped_bundle: reader.child(wrapped)?.bytes().to_vec(),
                })
            }
            _ => Err(reader.wrong("stage")),
        }
    }
}

/// The phone's side of one linking.
pub(in crate::whatsapp) struct LinkCode {
    wrapped_key: Vec<u8>,
    reference: Vec<u8>,
    phone_key: KeyPair,
    /// What was typed in, once it was.
    code: Option<String>,
}

/// The phone and the client do not agree: as a rule the code was mistyped.
#[derive(Debug, thiserror::Error)]
pub(in crate::whatsapp) enum LinkFault {
    #[error("a linking by code is finished before a code was typed in")]
    NoCode,
    #[error("the client's {0} cannot be decrypted with what the code gives")]
    Sealed(&'static str),
    #[error("the client's {0} is no public key")]
    NotAKey(&'static str),
}

impl LinkCode {
    pub(in crate::whatsapp) fn begin(wrapped_key: Vec<u8>, reference: &str, seed: &Seed) -> Self {
        let phone_key = KeyPair::generate(&mut seed.of("code").of(reference).randomness());
        Self {
            wrapped_key,
            reference: reference.as_bytes().to_vec(),
            phone_key,
            code: None,
        }
    }

    /// What answers the client's hello.
    pub(in crate::whatsapp) fn reference(&self) -> Node {
        let stage = NodeBuilder::new("link_code_companion_reg").attr("stage", "companion_hello");
        stage.children([self.reference_node()]).build()
    }

    fn reference_node(&self) -> Node {
        let reference = NodeBuilder::new("link_code_pairing_ref");
        reference.bytes(self.reference.clone()).build()
    }

    /// The owner typed the code in: the phone's hello. The key is slow to make, by design, so
    /// this is not for a task that others wait for.
    pub(in crate::whatsapp) fn hello(
        &mut self,
        id: &str,
        typed: &str,
        phone: &[u8; 32],
        t: u64,
    ) -> Node {
        let code = typed.replace('-', "").to_uppercase();
        let wrapped = PairCodeUtils::encrypt_ephemeral_pub(&raw(&self.phone_key), &code);
        self.code = Some(code);
        let wrapper = NodeBuilder::new("link_code_pairing_wrapped_primary_ephemeral_pub");
        let stage = NodeBuilder::new("link_code_companion_reg").attr("stage", "primary_hello");
        let stage = stage.children([
            wrapper.bytes(wrapped.to_vec()).build(),
            NodeBuilder::new("primary_identity_pub")
                .bytes(*phone)
                .build(),
            self.reference_node(),
        ]);
        let node = NodeBuilder::new("notification").attr("from", server());
        let node = node
            .attr("type", "link_code_companion_reg")
            .attr("id", id.to_owned());
        node.attr("t", t.to_string())
            .children([stage.build()])
            .build()
    }

    /// The secret that both sides have now.
    ///
    /// # Errors
    /// They do not agree.
    pub(in crate::whatsapp) fn secret(
        &self,
        phone: &DeviceKeys,
        identity: &[u8; 32],
        wrapped_bundle: &[u8],
    ) -> Result<[u8; 32], LinkFault> {
        let code = self.code.as_deref().ok_or(LinkFault::NoCode)?;
        let client_key = PairCodeUtils::decrypt_primary_ephemeral_pub(&self.wrapped_key, code);
        let client_key = client_key.map_err(|_fault| LinkFault::Sealed("key"))?;
        let agreed = agree(
            |key| self.phone_key.calculate_agreement(key),
            &client_key,
            "key",
        )?;
        let random = unwrap(&agreed, wrapped_bundle).ok_or(LinkFault::Sealed("bundle"))?;
        let own = phone.identity.private_key();
        let known = agree(|key| own.calculate_agreement(key), identity, "identity")?;
        let mut secret = [0; 32];
        let material = [agreed, known, random].concat();
        let derived = hkdf_sha256_into(&material, None, b"adv_secret", &mut secret);
        derived.map_err(|_fault| LinkFault::Sealed("secret"))?;
        Ok(secret)
    }
}

fn agree<E>(
    with: impl Fn(&PublicKey) -> Result<[u8; 32], E>,
    key: &[u8; 32],
    name: &'static str,
) -> Result<[u8; 32], LinkFault> {
    let key =
        PublicKey::from_djb_public_key_bytes(key).map_err(|_fault| LinkFault::NotAKey(name))?;
    with(&key).map_err(|_fault| LinkFault::NotAKey(name))
}

/// The client's random part of the bundle: both identities stand before it. None: it cannot be
/// decrypted.
fn unwrap(agreed: &[u8; 32], wrapped: &[u8]) -> Option<[u8; 32]> {
    let (salt, rest) = wrapped.split_at_checked(SALT)?;
    let (vector, sealed) = rest.split_first_chunk::<VECTOR>()?;
    let mut key = [0; 32];
    let mut plain = Vec::new();
    let opened = hkdf_sha256_into(agreed, Some(salt), BUNDLE_KEY, &mut key).is_ok()
        && aes_256_gcm_decrypt(&key, vector, b"", sealed, &mut plain).is_ok();
    let random = plain.get(64..)?.first_chunk()?;
    opened.then_some(*random)
}
