//! Why the login gives no token, in the words of RFC 8628 and of Kimi.

use axum::http::StatusCode;
use serde_json::{Value, json};

/// A question to the token endpoint that gets no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoToken {
    Pending,
    SlowDown,
    Expired,
    Denied,
    /// The refresh token is unknown, or was used before.
    InvalidGrant,
    /// The user has logged the device out.
    Revoked,
    UnsupportedGrant,
    /// The field is missing.
    Missing(&'static str),
}

impl NoToken {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Revoked => StatusCode::UNAUTHORIZED,
            Self::Pending
            | Self::SlowDown
            | Self::Expired
            | Self::Denied
            | Self::InvalidGrant
            | Self::UnsupportedGrant
            | Self::Missing(_) => StatusCode::BAD_REQUEST,
        }
    }

    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Pending => "authorization_pending",
            Self::SlowDown => "slow_down",
            Self::Expired => "expired_token",
            Self::Denied => "access_denied",
            Self::InvalidGrant => "invalid_grant",
            Self::Revoked => "invalid_token",
            Self::UnsupportedGrant => "unsupported_grant_type",
            Self::Missing(_) => "invalid_request",
        }
    }

    pub(crate) fn body(self) -> Value {
        let description = match self {
            Self::Pending => "The authorization request is still pending".to_owned(),
            Self::SlowDown => "The client is polling too quickly".to_owned(),
            Self::Expired => "The device code has expired".to_owned(),
            Self::Denied => "The user denied the authorization request".to_owned(),
            Self::InvalidGrant => "The provided authorization grant is invalid".to_owned(),
            Self::Revoked => "The refresh token is invalid or expired.".to_owned(),
            Self::UnsupportedGrant => "The grant type is not supported".to_owned(),
            Self::Missing(field) => format!("{field} is required"),
        };
        json!({ "error": self.code(), "error_description": description })
    }
}
