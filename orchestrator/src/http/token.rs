//! The bearer token that stands between loopback and the agents.

use std::fmt;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Api;
use super::problem::Problem;

/// The secret in `data/api-token`.
#[derive(Clone)]
pub(crate) struct Token(Arc<str>);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The token file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("the API token cannot be read or made")]
    File(#[from] io::Error),
    #[error("data/api-token holds no token of at least 16 characters; delete it to get a new one")]
    Unfit,
}

impl Token {
    /// Reads the token, or makes one at the first start, readable by its owner alone.
    pub(crate) fn read_or_make(root: &Path) -> Result<Self, TokenError> {
        let file = root.join("data/api-token");
        let mut options = fs_err::OpenOptions::new();
        options.write(true).create_new(true);
        options.options_mut().mode(0o600);
        match options.open(&file) {
            Ok(mut new) => {
                let bytes: [u8; 24] = rand::random();
                let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                new.write_all(format!("{text}\n").as_bytes())?;
                new.sync_all()?;
                Ok(Self(text.into()))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::read(root),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads the token that an earlier start has made.
    pub(crate) fn read(root: &Path) -> Result<Self, TokenError> {
        let text = fs_err::read_to_string(root.join("data/api-token"))?;
        let text = text.trim();
        if text.len() < 16 {
            return Err(TokenError::Unfit);
        }
        Ok(Self(text.into()))
    }

    /// The secret itself, so that it can be kept out of logs.
    #[must_use]
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Compares without telling by its duration how much was right.
    fn is(&self, given: &str) -> bool {
        let differing = self
            .0
            .bytes()
            .zip(given.bytes())
            .fold(0, |differing, (ours, theirs)| differing | (ours ^ theirs));
        self.0.len() == given.len() && differing == 0
    }
}

pub(super) async fn require(State(api): State<Api>, request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "))
        .map(String::from_utf8_lossy);
    if given.is_some_and(|given| api.token.is(given.trim())) {
        return next.run(request).await;
    }
    let problem = Problem::new(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "send `Authorization: Bearer <token>` with the token from data/api-token",
    );
    problem.into_response()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_made_once_and_only_its_owner_may_read_it() {
        let root = tempfile::tempdir().unwrap();
        fs_err::create_dir(root.path().join("data")).unwrap();

        let made = Token::read_or_make(root.path()).unwrap();
        let read = Token::read_or_make(root.path()).unwrap();

        assert!(read.is(&made.0));
        assert!(!read.is(&made.0[1..]));
        assert!(!read.is(""));
        let file = fs_err::metadata(root.path().join("data/api-token")).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
    }
}
