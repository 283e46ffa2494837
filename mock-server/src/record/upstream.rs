//! The service behind the recorder, and a client for it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use axum::http::Uri;
use reqwest::Url;

const TO_CONNECT: Duration = Duration::from_secs(10);
/// A model may think for minutes before it says its first word.
const TO_READ: Duration = Duration::from_secs(600);

/// Where requests are passed on to, e.g. `https://openrouter.ai/api/v1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream(Url);

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no service to pass requests on to: expected http://… or https://…")]
pub struct InvalidUpstream(String);

impl FromStr for Upstream {
    type Err = InvalidUpstream;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match Url::parse(text) {
            Ok(url) if ["http", "https"].contains(&url.scheme()) => Ok(Self(url)),
            Ok(_) | Err(_) => Err(InvalidUpstream(text.to_owned())),
        }
    }
}

/// Without what stands before an `@`, which is a secret, and without a query.
impl fmt::Display for Upstream {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = self.0.origin().ascii_serialization();
        write!(out, "{origin}{}", self.0.path().trim_end_matches('/'))
    }
}

impl Upstream {
    /// The address of what is asked for below the upstream.
    pub(crate) fn below(&self, asked: &Uri) -> Url {
        let mut url = self.0.clone();
        let base = self.0.path().trim_end_matches('/');
        url.set_path(&format!("{base}{}", asked.path()));
        url.set_query(asked.query());
        url
    }

    pub(crate) fn client(&self) -> reqwest::Result<reqwest::Client> {
        let builder = client();
        // Without TLS a machine needs no certificates.
        let builder = if self.0.scheme() == "http" {
            builder.tls_certs_only([])
        } else {
            builder
        };
        builder.build()
    }
}

/// Passes on what it gets: it follows nothing, and it waits long, but not for ever.
fn client() -> reqwest::ClientBuilder {
    // An error means that somebody has chosen a provider before us.
    let (Ok(()) | Err(_)) = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(TO_CONNECT)
        .read_timeout(TO_READ)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_asked_for_below_the_upstream() {
        #[track_caller]
        fn check(upstream: &str, asked: &str, expected: &str) {
            let upstream: Upstream = upstream.parse().unwrap();
            assert_eq!(upstream.below(&asked.parse().unwrap()).as_str(), expected);
        }
        check("http://a", "/v1/models?x=1", "http://a/v1/models?x=1");
        check("https://a/api/v1/", "/models", "https://a/api/v1/models");
    }

    #[test]
    fn what_is_no_service_is_refused_and_a_password_is_not_shown() {
        let upstream: Upstream = "https://me:secret@a/api/v1/?k=1".parse().unwrap();
        assert_eq!(upstream.to_string(), "https://a/api/v1");
        assert_eq!(
            "ftp://a".parse::<Upstream>().unwrap_err().to_string(),
            "`ftp://a` is no service to pass requests on to: expected http://… or https://…"
        );
    }
}
