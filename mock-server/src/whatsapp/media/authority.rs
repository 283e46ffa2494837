//! The certificate authority behind the media host: trusted by no one who is not told of it.
//!
//! Its keys follow from the seed, as all keys here do; nobody should trust it for longer than
//! a test takes.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PKCS_ED25519,
    SanType,
};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

use crate::advertised::Beside;
use crate::whatsapp::phone::Seed;

/// What stands before the 32 bytes of an Ed25519 key in PKCS #8 (RFC 8410, section 7).
const PKCS8: &[u8] = &[
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// The media host's identity could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthorityError {
    #[error("no certificate for the media host could be made")]
    Certificate(#[from] rcgen::Error),
    #[error("the media host's certificate cannot be used for TLS")]
    Tls(#[from] rustls::Error),
}

/// The authority's certificate as PEM, and TLS with a certificate that it signed for
/// `localhost` and for what clients know the host as.
pub(super) fn identity(
    seed: &Seed,
    beside: &Beside,
) -> Result<(String, TlsAcceptor), AuthorityError> {
    let seed = seed.of("media host");
    let authority = CertifiedIssuer::self_signed(authority_params(), key(&seed.of("authority"))?)?;
    let (name, ip) = beside.names();
    let names = ["localhost"].into_iter().chain(name);
    // A name that is an address is read as one.
    let names: Vec<String> = names.map(str::to_owned).collect();
    let mut params = CertificateParams::new(names)?;
    params.subject_alt_names.push(SanType::IpAddress(ip));
    let key = key(&seed.of("host"))?;
    let certificate = params.signed_by(&key, &authority)?;
    let chain = vec![certificate.der().clone(), authority.der().clone()];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok((authority.pem(), TlsAcceptor::from(Arc::new(config))))
}

/// An Ed25519 key, which any 32 bytes are.
fn key(seed: &Seed) -> Result<KeyPair, rcgen::Error> {
    let der = [PKCS8, &seed.bytes()].concat();
    KeyPair::from_pkcs8_der_and_sign_algo(&der.into(), &PKCS_ED25519)
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(DnType::CommonName, "mock-server media authority");
    params
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_is_the_same_for_the_same_seed() {
        let made = |seed| {
            identity(&Seed::of_scenario(seed), &Beside::default())
                .unwrap()
                .0
        };
        assert_eq!(made(1), made(1));
        assert_ne!(made(1), made(2));
    }
}
