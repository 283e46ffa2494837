//! HTTP clients: what every one of ours has in common.

use std::time::Duration;

use reqwest::{Client, ClientBuilder, redirect};

/// A host that does not answer the telephone is a broken connection, not a slow model.
const CONNECT: Duration = Duration::from_secs(10);

/// A client that can speak TLS; building it reads the machine's certificates.
pub(crate) fn with_tls() -> ClientBuilder {
    Client::builder()
        .connect_timeout(CONNECT)
        .user_agent(concat!("nanokimi-agent/", env!("CARGO_PKG_VERSION")))
}

/// A client for `http://` only. It trusts no certificate, so it needs none on the machine
/// (a container from scratch has none, and the verifier then refuses to be built), and it is
/// built in microseconds.
pub(crate) fn without_tls() -> ClientBuilder {
    with_tls()
        .tls_certs_only([])
        .redirect(redirect::Policy::none())
}
