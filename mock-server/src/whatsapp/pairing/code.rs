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
/// The vector of the cipher that the fresh keys are encrypted with.
const STREAM_VECTOR: usize = 16;
/// What a mistyped code makes unreadable.
const BUNDLE: &str = "bundle";
const KEY: &str = "key";

/// A step of the client's.
#[derive(Clone, Debug)]
pub(in crate::whatsapp) enum LinkAsk {
    Hello {
        /// Whose phone is to be asked.
        jid: Jid,
        /// The client's fresh public key, encrypted with the code.
        wrapped_key: Vec<u8>,
    },
    Finish(Finish),
}

/// The client's last step.
#[derive(Clone, Debug)]
pub(in crate::whatsapp) struct Finish {
    identity: [u8; 32],
    reference: Vec<u8>,
    /// Its part of the secret, encrypted with what the fresh keys agree on.
    wrapped_bundle: Vec<u8>,
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
                let reference = reader.child("link_code_pairing_ref")?;
                Ok(Self::Finish(Finish {
                    identity: reader.child("companion_identity_public")?.array()?,
                    reference: reference.bytes().to_vec(),
                    wrapped_bundle: reader.child(wrapped)?.bytes().to_vec(),
                }))
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
    seed: Seed,
    /// The client's fresh key, as the code that was typed in gives it.
    client_key: Option<[u8; 32]>,
}

/// The phone and the client do not agree.
#[derive(Debug, thiserror::Error)]
pub(in crate::whatsapp) enum LinkFault {
    #[error("a linking by code is finished before a code was typed in")]
    NoCode,
    #[error("the client's {0} cannot be decrypted with what the code gives")]
    Sealed(&'static str),
    #[error("the client's {0} is no public key")]
    NotAKey(&'static str),
    #[error("the client's {0} is not the one that it began with")]
    Changed(&'static str),
}

impl LinkFault {
    /// Whether somebody only mistyped the code: then the client did nothing wrong.
    pub(in crate::whatsapp) fn is_a_typo(&self) -> bool {
        match self {
            Self::Sealed(what) => *what == BUNDLE,
            Self::NotAKey(what) => *what == KEY,
            Self::NoCode | Self::Changed(_) => false,
        }
    }
}

/// What the typed code is needed for, apart from all else because it is slow: its key is made in
/// 131,072 rounds, by design. Not for a task that others wait for.
pub(in crate::whatsapp) struct Typing {
    code: String,
    /// The client's fresh key, encrypted.
    wrapped_key: Vec<u8>,
    /// The phone's, with the salt and the vector that it is to be encrypted with.
    own: Vec<u8>,
}

/// What comes of it.
pub(in crate::whatsapp) struct Typed {
    client_key: [u8; 32],
    wrapped_own: Vec<u8>,
}

impl Typing {
    /// # Errors
    /// The client's key has a wrong length.
    pub(in crate::whatsapp) fn done(&self) -> Result<Typed, LinkFault> {
        // The cipher is a stream: what decrypts also encrypts.
        let apply = |wrapped: &[u8]| {
            let applied = PairCodeUtils::decrypt_primary_ephemeral_pub(wrapped, &self.code);
            applied.map_err(|_length| LinkFault::Sealed("wrapped key"))
        };
        let salted = self.own.get(..SALT + STREAM_VECTOR).unwrap_or(&[]);
        Ok(Typed {
            client_key: apply(&self.wrapped_key)?,
            wrapped_own: [salted, &apply(&self.own)?].concat(),
        })
    }
}

impl LinkCode {
    pub(in crate::whatsapp) fn begin(wrapped_key: Vec<u8>, reference: &str, seed: &Seed) -> Self {
        let seed = seed.of("code").of(reference);
        Self {
            wrapped_key,
            reference: reference.as_bytes().to_vec(),
            phone_key: KeyPair::generate(&mut seed.randomness()),
            seed,
            client_key: None,
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

    /// The owner types the code in.
    pub(in crate::whatsapp) fn typing(&self, typed: &str) -> Typing {
        let salt = self.seed.of("salt").bytes();
        let vector = self.seed.of("vector").bytes();
        Typing {
            code: typed.replace('-', "").to_uppercase(),
            wrapped_key: self.wrapped_key.clone(),
            own: [&salt[..], &vector[..STREAM_VECTOR], &raw(&self.phone_key)].concat(),
        }
    }

    /// The owner has typed the code in: the phone's hello.
    pub(in crate::whatsapp) fn hello(
        &mut self,
        id: &str,
        typed: Typed,
        phone: &[u8; 32],
        t: u64,
    ) -> Node {
        self.client_key = Some(typed.client_key);
        let wrapped = typed.wrapped_own;
        let wrapper = NodeBuilder::new("link_code_pairing_wrapped_primary_ephemeral_pub");
        let stage = NodeBuilder::new("link_code_companion_reg").attr("stage", "primary_hello");
        let stage = stage.children([
            wrapper.bytes(wrapped).build(),
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
        registered: &[u8; 32],
        finish: &Finish,
    ) -> Result<[u8; 32], LinkFault> {
        let client_key = self.client_key.ok_or(LinkFault::NoCode)?;
        if finish.reference != self.reference {
            return Err(LinkFault::Changed("reference"));
        }
        if finish.identity != *registered {
            return Err(LinkFault::Changed("identity"));
        }
        let fresh = |key: &PublicKey| self.phone_key.calculate_agreement(key);
        let agreed = agree(fresh, &client_key, KEY)?;
        let bundle = unwrap(&agreed, &finish.wrapped_bundle).ok_or(LinkFault::Sealed(BUNDLE))?;
        let own = phone.public_identity();
        let own = own.map_err(|_fault| LinkFault::NotAKey("phone's identity"))?;
        let Some((named, random)) = bundle.split_at_checked(2 * registered.len()) else {
            return Err(LinkFault::Changed("bundle"));
        };
        // Whom the client believes to be linked with whom.
        if named != [*registered, own].concat() {
            return Err(LinkFault::Changed("pair of identities"));
        }
        let known = |key: &PublicKey| phone.identity.private_key().calculate_agreement(key);
        let known = agree(known, registered, "identity")?;
        let mut secret = [0; 32];
        let material = [&agreed[..], &known, random].concat();
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

/// What is in the bundle: both identities, and the client's random part of the secret. None: it
/// cannot be decrypted.
fn unwrap(agreed: &[u8; 32], wrapped: &[u8]) -> Option<Vec<u8>> {
    let (salt, rest) = wrapped.split_at_checked(SALT)?;
    let (vector, sealed) = rest.split_first_chunk::<VECTOR>()?;
    let mut key = [0; 32];
    let mut plain = Vec::new();
    let opened = hkdf_sha256_into(agreed, Some(salt), BUNDLE_KEY, &mut key).is_ok()
        && aes_256_gcm_decrypt(&key, vector, b"", sealed, &mut plain).is_ok();
    opened.then_some(plain)
}
