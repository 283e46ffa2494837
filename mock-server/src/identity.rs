//! Who our HTTPS hosts are: certificates under an authority that is trusted by no one who is not
//! told of it.
//!
//! Its keys follow from a seed, as all keys here do; nobody should trust it for longer than a test
//! takes.

use std::fmt;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PKCS_ED25519,
    SanType,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::advertised::Beside;

/// What stands before the 32 bytes of an Ed25519 key in PKCS #8 (RFC 8410, section 7).
const PKCS8: &[u8] = &[
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// A certificate for `localhost` and for what clients know a host as, and who has signed it.
#[derive(Clone)]
pub(crate) struct Identity {
    authority: Arc<str>,
    acceptor: TlsAcceptor,
}

/// It could not be made.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("no certificate for HTTPS could be made")]
    Certificate(#[from] rcgen::Error),
    #[error("the certificate cannot be used for TLS")]
    Tls(#[from] rustls::Error),
}

impl Identity {
    /// `secret` gives 32 bytes for each part, the same for the same.
    ///
    /// # Errors
    /// What clients know the host as cannot stand in a certificate.
    pub(crate) fn make(
        secret: impl Fn(&str) -> [u8; 32],
        beside: &Beside,
    ) -> Result<Self, IdentityError> {
        let signs = key(secret("authority"))?;
        let authority = CertifiedIssuer::self_signed(authority_params(), signs)?;
        let (name, ip) = beside.names();
        let names = ["localhost"].into_iter().chain(name);
        // A name that is an address is read as one.
        let names: Vec<String> = names.map(str::to_owned).collect();
        let mut params = CertificateParams::new(names)?;
        params.subject_alt_names.push(SanType::IpAddress(ip));
        let key = key(secret("host"))?;
        let certificate = params.signed_by(&key, &authority)?;
        let chain = vec![certificate.der().clone(), authority.der().clone()];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok(Self {
            authority: authority.pem().into(),
            acceptor: TlsAcceptor::from(Arc::new(config)),
        })
    }

    /// The certificate of the authority to be trusted, as PEM.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// Shows it to a client. None if we are to stop, or if the client does not trust it and hangs
    /// up; its own logs say why.
    pub(crate) async fn show(
        &self,
        socket: TcpStream,
        stop: &CancellationToken,
    ) -> Option<TlsStream<TcpStream>> {
        tokio::select! {
            shaken = self.acceptor.accept(socket) => match shaken {
                Ok(stream) => Some(stream),
                Err(_no_handshake) => None,
            },
            () = stop.cancelled() => None,
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// An Ed25519 key, which any 32 bytes are.
fn key(secret: [u8; 32]) -> Result<KeyPair, rcgen::Error> {
    let der = [PKCS8, &secret].concat();
    KeyPair::from_pkcs8_der_and_sign_algo(&der.into(), &PKCS_ED25519)
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(DnType::CommonName, "mock-server authority");
    params
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_is_the_same_for_the_same_secrets() {
        let made = |seed: u8| {
            let secret = |part: &str| [seed ^ u8::try_from(part.len()).unwrap(); 32];
            let identity = Identity::make(secret, &Beside::default()).unwrap();
            identity.authority().to_owned()
        };
        assert_eq!(made(1), made(1));
        assert_ne!(made(1), made(2));
    }
}
