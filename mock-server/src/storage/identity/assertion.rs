//! What a service account says of itself when it asks for a token: a signed JSON Web Token.
//!
//! <https://developers.google.com/identity/protocols/oauth2/service-account#httprest>

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The longest life that a claim may have, in seconds.
const LONGEST: i64 = 3_600;

/// What is claimed.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    pub(super) iss: String,
    #[serde(default)]
    pub(super) scope: String,
    aud: String,
    iat: i64,
    exp: i64,
}

#[derive(Debug, Deserialize)]
struct Head {
    alg: String,
}

impl Claims {
    /// The claims of an assertion, in the service's own words if they are not right.
    pub(super) fn read(assertion: &str, now: Timestamp) -> Result<Self, String> {
        let parts: Vec<_> = assertion.split('.').collect();
        let [head, claims, signature] = parts[..] else {
            return Err("Bad Request: the assertion is no JSON Web Token.".to_owned());
        };
        let head: Head = decoded(head)?;
        if head.alg != "RS256" || signature.is_empty() {
            return Err("Invalid JWT Signature.".to_owned());
        }
        let claims: Self = decoded(claims)?;
        if claims.iss.is_empty() || claims.aud.is_empty() {
            return Err("Invalid JWT: iss and aud must be told.".to_owned());
        }
        let life = claims.exp.saturating_sub(claims.iat);
        let age = now.as_second().saturating_sub(claims.iat);
        // The clock of who asks may be a little ahead, and may be the real one.
        if !(1..=LONGEST).contains(&life) {
            let message = format!(
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. It lives for {life} s and is {age} s old."
            );
            return Err(message);
        }
        Ok(claims)
    }
}

fn decoded<T: DeserializeOwned>(part: &str) -> Result<T, String> {
    let malformed = |fault: &dyn std::fmt::Display| format!("Invalid JWT: {fault}");
    let bytes = URL_SAFE_NO_PAD.decode(part.trim_end_matches('='));
    let bytes = bytes.map_err(|fault| malformed(&fault))?;
    serde_json::from_slice(&bytes).map_err(|fault| malformed(&fault))
}
