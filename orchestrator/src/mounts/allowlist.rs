//! The operator's list of what may be mounted, a file outside our root.
//!
//! ```json
//! { "allowedRoots": [{ "path": "~/photos", "allowReadWrite": true }],
//!   "blockedPatterns": ["private*"], "nonMainReadOnly": true }
//! ```

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::asked::expand;

/// Names that are never part of a mounted path: keys and passwords lie there.
const SECRET: [&str; 18] = [
    ".ssh",
    ".gnupg",
    ".gpg",
    ".aws",
    ".azure",
    ".gcloud",
    ".kube",
    ".docker",
    ".kimi",
    ".kimi-code",
    ".env*",
    ".netrc",
    ".npmrc",
    ".pypirc",
    ".git-credentials",
    "credentials",
    "id_rsa*",
    "id_ed25519*",
];

/// What a list is to look like.
const EXAMPLE: &str = r#"{"allowedRoots": [{"path": "~/photos", "allowReadWrite": false}]}"#;

/// Where we are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ground<'a> {
    /// Our own folder, of which nothing is ever mounted this way.
    pub root: &'a Path,
    /// The operator's.
    pub home: Option<&'a Path>,
    pub list: Option<&'a Path>,
}

/// What may be mounted.
#[derive(Debug)]
pub(crate) struct Allowlist {
    /// The list itself, without links.
    pub(super) file: PathBuf,
    roots: Vec<Root>,
    /// One name each; `*` stands for any part of it.
    blocked: Vec<String>,
    pub(super) others_read_only: bool,
}

#[derive(Debug)]
struct Root {
    /// Without links.
    path: PathBuf,
    writable: bool,
}

/// There is no list that could be gone by; then nothing may be mounted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AllowlistError {
    #[error("it is not known where the list of what may be mounted is: set mount_allowlist")]
    Nowhere,
    #[error("{}: this list of what may be mounted is not there; write it, as {}", .0.display(), EXAMPLE)]
    Missing(PathBuf),
    #[error("{}: the list of what may be mounted lies in nanokimi's own folder, where agents write; move it, and set mount_allowlist to where it is", .0.display())]
    WithinReach(PathBuf),
    #[error("{}: others than its owner may write to the list of what may be mounted; `chmod go-w` it", .0.display())]
    Open(PathBuf),
    #[error("{}: is no list of what may be mounted; expected e.g. {}", .file.display(), EXAMPLE)]
    Malformed {
        file: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error("the list of what may be mounted cannot be read")]
    Unreadable(#[source] io::Error),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    allowed_roots: Vec<WrittenRoot>,
    #[serde(default)]
    blocked_patterns: Vec<String>,
    /// Groups other than main only read.
    #[serde(default = "yes")]
    non_main_read_only: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WrittenRoot {
    path: String,
    #[serde(default)]
    allow_read_write: bool,
    /// For people.
    #[serde(default, rename = "description")]
    _description: Option<String>,
}

fn yes() -> bool {
    true
}

/// Reads the list as it is now.
pub(crate) fn read(ground: Ground<'_>) -> Result<Allowlist, AllowlistError> {
    let named = ground.list.ok_or(AllowlistError::Nowhere)?;
    let file = match fs_err::canonicalize(named) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(AllowlistError::Missing(named.to_owned()));
        }
        Err(error) => return Err(AllowlistError::Unreadable(error)),
    };
    let root = fs_err::canonicalize(ground.root).map_err(AllowlistError::Unreadable)?;
    if file.starts_with(&root) {
        return Err(AllowlistError::WithinReach(file));
    }
    let found = fs_err::metadata(&file).map_err(AllowlistError::Unreadable)?;
    if found.permissions().mode() & 0o022 != 0 {
        return Err(AllowlistError::Open(file));
    }
    let text = fs_err::read(&file).map_err(AllowlistError::Unreadable)?;
    let written: Written = match serde_json::from_slice(&text) {
        Ok(written) => written,
        Err(source) => return Err(AllowlistError::Malformed { file, source }),
    };
    let roots = written.allowed_roots.iter();
    let secret = SECRET.iter().map(|&name| name.to_owned());
    Ok(Allowlist {
        file,
        roots: roots.filter_map(|root| real(root, ground.home)).collect(),
        blocked: secret.chain(written.blocked_patterns).collect(),
        others_read_only: written.non_main_read_only,
    })
}

/// One that is not there allows nothing.
fn real(root: &WrittenRoot, home: Option<&Path>) -> Option<Root> {
    match fs_err::canonicalize(expand(&root.path, home)?) {
        Ok(path) => Some(Root {
            path,
            writable: root.allow_read_write,
        }),
        Err(error) => {
            tracing::debug!(%error, "a root of the list of what may be mounted is left out");
            None
        }
    }
}

impl Allowlist {
    /// Whether a path without links may be mounted, and then whether to write: the nearest root
    /// that holds it decides.
    pub(super) fn allows(&self, path: &Path) -> Option<bool> {
        let holding = self
            .roots
            .iter()
            .filter(|root| path.starts_with(&root.path));
        let nearest = holding.max_by_key(|root| root.path.components().count());
        nearest.map(|root| root.writable)
    }

    /// The first part of a path that is blocked, and by which pattern.
    pub(super) fn blocks<'a>(&'a self, path: &'a Path) -> Option<(&'a OsStr, &'a str)> {
        path.iter().find_map(|part| {
            let text = part.to_string_lossy();
            let mut patterns = self.blocked.iter();
            let pattern = patterns.find(|pattern| matches(pattern, &text))?;
            Some((part, pattern.as_str()))
        })
    }
}

/// Whether a pattern is the whole of a name; `*` stands for any part of it.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(rest) = name.strip_prefix(before) else {
        return false;
    };
    let starts = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    starts.into_iter().any(|at| matches(after, &rest[at..]))
}
