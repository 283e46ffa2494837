//! The real Kimi CLI: the one that is given or what the script of the repository brings, and how
//! nanokimi is set up to have it as its agent.
//!
//! Scenarios that need it are not played where it cannot be had, and that is said.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::StageError;
use super::binaries::{Binaries, BinariesError, found};
use crate::scenario::KimiLogin;

/// Installs the CLI below the build folder at its first use, and prints where it is.
const SCRIPT: &str = "ci/kimi-cli";

impl Binaries {
    /// With the Kimi CLI as well.
    ///
    /// # Errors
    /// [`BinariesError::Kimi`] where it cannot be had; [`BinariesError::Missing`] if the one
    /// that is given is not there.
    pub fn with_kimi(
        mut self,
        given: Option<&Path>,
        workspace: &Path,
    ) -> Result<Self, BinariesError> {
        self.kimi = Some(match given {
            Some(given) => found(given)?,
            None => brought(workspace)?,
        });
        Ok(self)
    }
}

fn brought(workspace: &Path) -> Result<PathBuf, BinariesError> {
    let script = workspace.join(SCRIPT);
    let missing = |why: String| BinariesError::Kimi(why);
    let output = Command::new(&script)
        .current_dir(workspace)
        .output()
        .map_err(|error| missing(format!("`{SCRIPT}` cannot be run: {error}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rfind(|line| !line.trim().is_empty());
        return Err(missing(last.map_or_else(
            || format!("`{SCRIPT}` ended with {}", output.status),
            str::to_owned,
        )));
    }
    found(Path::new(String::from_utf8_lossy(&output.stdout).trim()))
}

/// nanokimi's settings that make the CLI its agent.
pub(super) fn settings(mock_url: &str) -> [(String, Value); 3] {
    let settings = [
        ("engine", "acp".to_owned()),
        // With a key it is Moonshot's open platform that is asked: Kimi's coding service lets
        // nobody in who calls himself by the name of a library, as `kimi acp` 2.1.0 then does.
        ("llm_base_url", format!("{mock_url}/moonshot/v1")),
        ("llm_model", "kimi-k2.5".to_owned()),
    ];
    settings.map(|(key, value)| (key.to_owned(), value.into()))
}

const MODEL: &str = "kimi-for-coding";

fn base_url(mock_url: &str) -> String {
    format!("{mock_url}/coding/v1")
}

/// The files that `kimi login` (2.1.0) leaves in its home, by their paths there, with the tokens
/// of a scenario.
pub(super) fn left_behind(
    login: &KimiLogin,
    mock_url: &str,
) -> Result<[(String, String); 2], StageError> {
    let slot = slot(mock_url);
    // An instant long before or long after all that the CLI may take for now.
    let expires_at = if login.expired {
        1_000_000_000
    } else {
        4_000_000_000_u64
    };
    let tokens = json!({
        "access_token": login.access,
        "refresh_token": login.refresh,
        "expires_at": expires_at,
        "scope": "kimi-code",
        "token_type": "Bearer",
        "expires_in": 900,
    });
    let settings = json!({
        "default_model": "kimi",
        "providers": { "managed:kimi-code": {
            "type": "kimi",
            "api_key": "",
            "base_url": base_url(mock_url),
            "oauth": { "storage": "file", "key": format!("oauth/{slot}"), "oauth_host": mock_url },
        } },
        "models": { "kimi": {
            "provider": "managed:kimi-code",
            "model": MODEL,
            "max_context_size": 262_144,
            "capabilities": ["thinking", "tool_use"],
        } },
    });
    let settings = toml::to_string(&settings).map_err(StageError::Settings)?;
    Ok([
        ("config.toml".to_owned(), settings),
        (format!("credentials/{slot}.json"), tokens.to_string()),
    ])
}

/// Where the CLI keeps the tokens of a host that is not Moonshot's own: a hash of both addresses,
/// as measured with 2.1.0.
fn slot(mock_url: &str) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Hosts<'a> {
        oauth_host: &'a str,
        base_url: &'a str,
    }
    let hosts = json!(Hosts {
        oauth_host: mock_url,
        base_url: &base_url(mock_url),
    });
    let digest = Sha256::digest(hosts.to_string());
    let mut slot = "kimi-code-env-".to_owned();
    for byte in &digest[..8] {
        let (Ok(()) | Err(_)) = write!(slot, "{byte:02x}");
    }
    slot
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(script: &str) -> tempfile::TempDir {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        fs_err::create_dir(folder.path().join("ci")).unwrap();
        let path = folder.path().join(SCRIPT);
        fs_err::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        folder
    }

    #[track_caller]
    fn check(script: &str, expected: &str) {
        let folder = workspace(script);
        let told = match brought(folder.path()) {
            Ok(path) => path.display().to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(told, expected);
    }

    #[test]
    fn tokens_are_kept_where_the_cli_looks_for_them() {
        // As `kimi login` named the file for these addresses.
        assert_eq!(
            slot("http://127.0.0.1:18084"),
            "kimi-code-env-f76c9b15438f16d5"
        );
    }

    #[test]
    fn what_the_script_brings_is_taken_and_what_it_complains_of_is_told() {
        check("echo /bin/sh", "/bin/sh");
        check(
            "echo trying >&2; echo there is no npm here >&2; exit 3",
            "the Kimi CLI is missing: there is no npm here",
        );
        check(
            "exit 3",
            "the Kimi CLI is missing: `ci/kimi-cli` ended with exit status: 3",
        );
    }
}
