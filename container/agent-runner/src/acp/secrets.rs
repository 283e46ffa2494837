//! What the agent knows and nobody must be told: the key, or the tokens of a login.
//!
//! Tokens rotate while a turn is played, so they are read anew whenever something is told, and
//! none that was ever seen is forgotten. A token in another spelling (cut in two, encoded) is not
//! found: the box is what keeps an agent from sending it away.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde_json::Value;

use crate::failure::Failure;
use crate::settings::{Access, Secret, Settings};

/// A login leaves one file; whoever fills the folder is not followed for ever.
const MOST_FILES: usize = 32;
const LONGEST_FILE: u64 = 256 * 1024;
const MOST_SECRETS: usize = 256;

/// What a token's name ends with, and how long one is at least: `token_type` is none.
const NAMES: [&str; 3] = ["token", "key", "secret"];
const SHORTEST: usize = 8;
/// A text of this length is a token, whatever its name.
const CERTAINLY: usize = 32;

/// The secrets of a turn, the longest first, since one may begin with another.
#[derive(Clone, Debug)]
pub(super) struct Secrets {
    known: Vec<Secret>,
    /// Where a login keeps its tokens.
    folder: Option<PathBuf>,
}

impl Secrets {
    pub(super) fn of(settings: &Settings, access: &Access) -> Self {
        let mut secrets = match access {
            Access::Key(model) => Self {
                known: vec![model.key.clone()],
                folder: None,
            },
            Access::Login(login) => Self::in_folder(login.join("credentials")),
            Access::Own => Self::in_folder(settings.home.join(".kimi-code/credentials")),
        };
        secrets.look_again();
        secrets
    }

    fn in_folder(folder: PathBuf) -> Self {
        Self {
            known: Vec::new(),
            folder: Some(folder),
        }
    }

    /// `text` without them.
    pub(super) fn mask(&mut self, text: String) -> String {
        self.look_again();
        self.mask_known(text)
    }

    /// A value whose texts are without them.
    pub(super) fn mask_value(&mut self, value: Value) -> Value {
        self.look_again();
        self.mask_values(value)
    }

    pub(super) fn mask_failure(&mut self, failure: Failure) -> Failure {
        Failure {
            message: self.mask(failure.message),
            ..failure
        }
    }

    fn mask_known(&self, text: String) -> String {
        let mask = |text, secret: &Secret| secret.mask(text);
        self.known.iter().fold(text, mask)
    }

    fn mask_values(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.mask_known(text)),
            Value::Array(values) => {
                let masked = values.into_iter().map(|value| self.mask_values(value));
                Value::Array(masked.collect())
            }
            Value::Object(fields) => {
                let masked = fields
                    .into_iter()
                    .map(|(name, value)| (self.mask_known(name), self.mask_values(value)));
                Value::Object(masked.collect())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value,
        }
    }

    /// Learns the tokens that have come since.
    fn look_again(&mut self) {
        let Some(folder) = &self.folder else {
            return;
        };
        for token in tokens_in(folder) {
            if self.known.len() < MOST_SECRETS && !self.known.contains(&token) {
                self.known.push(token);
            }
        }
        self.known
            .sort_by_key(|secret| Reverse(secret.reveal().len()));
    }
}

/// A folder that is not there holds no tokens; nor does a file that is not as a login writes it.
fn tokens_in(folder: &Path) -> Vec<Secret> {
    let mut tokens = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else {
        return tokens;
    };
    for entry in entries.take(MOST_FILES) {
        let Ok(entry) = entry else { continue };
        if let Some(login) = login_in(&entry.path()) {
            collect_tokens("", &login, &mut tokens);
        }
    }
    tokens
}

fn login_in(path: &Path) -> Option<Value> {
    let is_json = path
        .extension()
        .is_some_and(|extension| extension == "json");
    let found = match fs::metadata(path) {
        // Opening anything but a file may wait for ever.
        Ok(found) if is_json && found.is_file() && found.len() <= LONGEST_FILE => fs::read(path),
        Ok(_) | Err(_) => return None,
    };
    match found.map(|bytes| serde_json::from_slice(&bytes)) {
        Ok(Ok(login)) => Some(login),
        Ok(Err(_)) | Err(_) => None,
    }
}

fn collect_tokens(name: &str, value: &Value, tokens: &mut Vec<Secret>) {
    match value {
        Value::String(text) if is_token(name, text) => tokens.push(Secret::new(text.clone())),
        Value::Array(values) => {
            for value in values {
                collect_tokens(name, value, tokens);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                collect_tokens(name, value, tokens);
            }
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn is_token(name: &str, text: &str) -> bool {
    let name = name.to_lowercase();
    let named = NAMES.iter().any(|end| name.ends_with(end));
    text.len() >= CERTAINLY || (named && text.len() >= SHORTEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(login: &Value, expected: &[&str]) {
        let mut tokens = Vec::new();
        collect_tokens("", login, &mut tokens);
        let found: Vec<&str> = tokens.iter().map(Secret::reveal).collect();
        assert_eq!(found, expected, "{login}");
    }

    #[test]
    fn tokens_are_told_from_words() {
        check(
            &json!({"access_token": "a-secret-1", "refreshToken": "a-secret-2",
                "token_type": "Bearer", "scope": "kimi-code", "expires_at": 1}),
            &["a-secret-1", "a-secret-2"],
        );
        check(&json!([{"api_key": ["sk-123456"]}]), &["sk-123456"]);
        let long = "e".repeat(32);
        check(&json!({"jwt": long, "token": "no"}), &[&long]);
    }

    #[test]
    fn one_that_begins_with_another_is_masked_whole() {
        let folder = tempfile::tempdir().unwrap();
        let login = r#"{"a_token":"secret-12","b_token":"secret-123"}"#;
        fs::write(folder.path().join("kimi.json"), login).unwrap();
        let mut secrets = Secrets::in_folder(folder.path().to_owned());
        let masked = secrets.mask("secret-123 secret-12".to_owned());
        assert_eq!(masked, "[secret] [secret]");
    }
}
