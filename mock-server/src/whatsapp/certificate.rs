//! The authority of the mock and the certificate it shows in the Noise handshake: keys that are
//! the same in every run, so that a client that saw them once comes back with a short handshake.
//!
//! Nobody trusts it. A client built as for production refuses it in a full handshake; one that
//! knows the leaf's key already resumes with Noise IK, where no signature is asked for.
//! The format is WhatsApp Web's `CertChain`, as whatsapp-rust 0.7.0 reads it.

use buffa::{Message as _, MessageField};
use wacore_libsignal::protocol::{CurveError, KeyPair, PrivateKey};
use waproto::whatsapp::CertChain;
use waproto::whatsapp::cert_chain::NoiseCertificate;
use waproto::whatsapp::cert_chain::noise_certificate::Details;

use super::phone::Seed;

/// 2020-01-01 and 2100-01-01, in seconds.
const VALID: std::ops::Range<u64> = 1_577_836_800..4_102_444_800;
/// The serial of the root, of which there is no certificate.
const ROOT: u32 = 0;
const INTERMEDIATE: u32 = 1;
const LEAF: u32 = 2;

/// What the server proves itself with.
#[derive(Clone)]
pub(crate) struct Certificate {
    /// The leaf's keys: the server's static keys.
    pub(super) server: KeyPair,
    /// `CertChain`, encoded.
    pub(super) chain: Vec<u8>,
    intermediate: KeyPair,
    root: KeyPair,
}

impl Certificate {
    /// # Errors
    /// The curve refuses, which these keys do not make it.
    pub(crate) fn issue() -> Result<Self, CurveError> {
        let seed = Seed::constant().of("certificate");
        let (root, intermediate) = (pair(&seed.of("root"))?, pair(&seed.of("intermediate"))?);
        let server = pair(&seed.of("leaf"))?;
        let chain = CertChain {
            intermediate: signed(INTERMEDIATE, &intermediate, ROOT, &root)?,
            leaf: signed(LEAF, &server, INTERMEDIATE, &intermediate)?,
        };
        Ok(Self {
            server,
            chain: chain.encode_to_vec(),
            intermediate,
            root,
        })
    }

    pub(crate) fn shown(&self) -> ShownCertificate {
        ShownCertificate {
            root: raw(&self.root),
            intermediate: raw(&self.intermediate),
            leaf: raw(&self.server),
            valid: VALID,
        }
    }
}

/// The public part of the certificate: what a client keeps of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownCertificate {
    pub root: [u8; 32],
    pub intermediate: [u8; 32],
    pub leaf: [u8; 32],
    /// When it holds, in seconds since 1970.
    pub valid: std::ops::Range<u64>,
}

fn pair(seed: &Seed) -> Result<KeyPair, CurveError> {
    KeyPair::try_from(PrivateKey::deserialize(&seed.bytes())?)
}

/// X25519 public keys have 32 bytes.
pub(super) fn raw(pair: &KeyPair) -> [u8; 32] {
    let mut key = [0; 32];
    key.copy_from_slice(pair.public_key.public_key_bytes());
    key
}

fn signed(
    serial: u32,
    key: &KeyPair,
    issuer_serial: u32,
    issuer: &KeyPair,
) -> Result<MessageField<NoiseCertificate>, CurveError> {
    let details = Details {
        serial: Some(serial),
        issuer_serial: Some(issuer_serial),
        key: Some(raw(key).to_vec()),
        not_before: Some(VALID.start),
        not_after: Some(VALID.end),
    }
    .encode_to_vec();
    // A signature holds randomness; made from the seed, it is the same in every run.
    let mut randomness = Seed::constant().nth("certificate", serial).randomness();
    let signature = issuer.calculate_signature(&details, &mut randomness)?;
    Ok(MessageField::some(NoiseCertificate {
        details: Some(details),
        signature: Some(signature.to_vec()),
    }))
}

#[cfg(test)]
mod tests {
    use wacore_libsignal::protocol::PublicKey;

    use super::*;

    #[test]
    fn each_link_of_the_chain_is_signed_by_the_one_above() {
        let certificate = Certificate::issue().unwrap();
        let chain = CertChain::decode_from_slice(&certificate.chain).unwrap();
        let shown = certificate.shown();
        for (link, issuer) in [
            (&chain.intermediate, shown.root),
            (&chain.leaf, shown.intermediate),
        ] {
            let issuer = PublicKey::from_djb_public_key_bytes(&issuer).unwrap();
            let details = link.details.as_deref().unwrap();
            assert!(issuer.verify_signature(details, link.signature.as_deref().unwrap()));
        }
    }

    #[test]
    fn the_certificate_is_the_same_in_every_run() {
        let (once, again) = (Certificate::issue().unwrap(), Certificate::issue().unwrap());
        assert_eq!(once.chain, again.chain);
        let leaf = once.shown().leaf.map(|byte| format!("{byte:02x}")).concat();
        // Stores that were paired with the mock know this key.
        assert_eq!(
            leaf,
            "8a48b5d487db3104131dd8e5d32f025711e5d07ed65a7efc2c89fba5da077d46"
        );
    }
}
