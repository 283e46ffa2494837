//! The operator's list of what may be mounted, a file outside our root.
//!
//! ```json
//! { "allowedRoots": [{ "path": "~/photos", "allowReadWrite": true }],
//!   "blockedPatterns": ["private*"], "nonMainReadOnly": true }
//! ```

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;
use serde::Deserialize;

use super::asked::expand;
use super::way::Way;

/// Names that are never part of a mounted path: keys and passwords lie there.
const SECRET: [&str; 23] = [
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
    "id_ecdsa*",
    ".secret*",
    "private_key*",
    "*.env",
    "credentials*",
];

/// What a list is to look like.
const EXAMPLE: &str = r#"{"allowedRoots": [{"path": "~/photos", "allowReadWrite": false}]}"#;

/// Where we are.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    /// Our own folder, of which nothing is ever mounted this way.
    pub root: PathBuf,
    /// The operator's.
    pub home: Option<PathBuf>,
    pub list: Option<PathBuf>,
}

/// What may be mounted.
#[derive(Debug)]
pub(crate) struct Allowlist {
    /// What leads to the list, and last the list itself.
    pub(super) way: Vec<PathBuf>,
    roots: Vec<Root>,
    /// One name each; `*` stands for any part of it.
    blocked: Vec<String>,
    pub(super) others_read_only: bool,
}

#[derive(Debug)]
struct Root {
    /// As the list says it.
    written: PathBuf,
    /// Over what it leads there.
    steps: Vec<PathBuf>,
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
    #[error("{}: the list of what may be mounted, or the way to it, lies in nanokimi's own folder, where agents write; move it, and set mount_allowlist to where it is", .0.display())]
    WithinReach(PathBuf),
    #[error("{}: others than its owner may write to the list of what may be mounted; `chmod go-w` it", .0.display())]
    Open(PathBuf),
    #[error("{}: the list of what may be mounted is another user's; `chown` it to root, or to the user that nanokimi runs as", .0.display())]
    Foreign(PathBuf),
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
    blocked_patterns: Vec<Pattern>,
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

/// What is blocked: one name, where `*` stands for any part of it.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Pattern(String);

/// Whoever wrote it believes something blocked that is not.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` blocks nothing: expected one name of a path, without `/`; `*` stands for any part")]
struct InvalidPattern(String);

impl TryFrom<String> for Pattern {
    type Error = InvalidPattern;

    fn try_from(text: String) -> Result<Self, InvalidPattern> {
        if ["", ".", ".."].contains(&text.as_str()) || text.contains('/') {
            return Err(InvalidPattern(text));
        }
        Ok(Self(text))
    }
}

fn yes() -> bool {
    true
}

/// Reads the list as it is now.
pub(crate) fn read(ground: &Ground) -> Result<Allowlist, AllowlistError> {
    let named = ground.list.as_deref().ok_or(AllowlistError::Nowhere)?;
    let Way { steps, end: file } = match Way::of(named) {
        Ok(way) => way,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(AllowlistError::Missing(named.to_owned()));
        }
        Err(error) => return Err(AllowlistError::Unreadable(error)),
    };
    let root = fs_err::canonicalize(&ground.root).map_err(AllowlistError::Unreadable)?;
    if let Some(within) = steps.iter().rfind(|step| step.starts_with(&root)) {
        return Err(AllowlistError::WithinReach(within.clone()));
    }
    let found = fs_err::metadata(&file).map_err(AllowlistError::Unreadable)?;
    if !is_trusted(found.uid(), geteuid().as_raw()) {
        return Err(AllowlistError::Foreign(file));
    }
    if found.mode() & 0o022 != 0 {
        return Err(AllowlistError::Open(file));
    }
    let text = fs_err::read(&file).map_err(AllowlistError::Unreadable)?;
    let written: Written = match serde_json::from_slice(&text) {
        Ok(written) => written,
        Err(source) => return Err(AllowlistError::Malformed { file, source }),
    };
    let roots = written.allowed_roots.iter();
    let roots = roots.filter_map(|root| real(root, ground.home.as_deref()));
    let secret = SECRET.iter().map(|&name| name.to_owned());
    let blocked = written.blocked_patterns.into_iter();
    Ok(Allowlist {
        way: steps,
        roots: without_led_out(roots.collect()),
        blocked: secret.chain(blocked.map(|Pattern(name)| name)).collect(),
        others_read_only: written.non_main_read_only,
    })
}

/// Whether the list's owner may say what we mount: root, or whoever we run as.
pub(super) fn is_trusted(owner: u32, us: u32) -> bool {
    owner == 0 || owner == us
}

/// One that is not there allows nothing.
fn real(root: &WrittenRoot, home: Option<&Path>) -> Option<Root> {
    let written = expand(&root.path, home)?;
    match Way::of(&written) {
        Ok(Way { steps, end }) => Some(Root {
            written,
            steps,
            path: end,
            writable: root.allow_read_write,
        }),
        Err(error) => {
            tracing::debug!(%error, "a root of the list of what may be mounted is left out");
            None
        }
    }
}

/// Leaves out roots that lead out of another that agents may write to: one of them may have put
/// the link there.
fn without_led_out(roots: Vec<Root>) -> Vec<Root> {
    let leads_out = |root: &Root| {
        let mut writable = roots.iter().filter(|other| other.writable);
        let out_of = writable.find(|other| root.leads_out_of(other));
        if let Some(other) = out_of {
            let (written, path) = (root.written.display(), root.path.display());
            tracing::warn!(root = %written, "the list of what may be mounted: this root is left out, for it leads to {path}, by a link below {}, where agents may write; name {path} itself if it is meant", other.written.display());
        }
        out_of.is_some()
    };
    let kept: Vec<bool> = roots.iter().map(|root| !leads_out(root)).collect();
    let judged = roots.into_iter().zip(kept);
    judged
        .filter_map(|(root, kept)| kept.then_some(root))
        .collect()
}

/// Whether a path lies below another, and is not that.
pub(super) fn is_strictly_below(path: &Path, holder: &Path) -> bool {
    path != holder && path.starts_with(holder)
}

impl Root {
    /// Whether its way goes by what lies in another root, and ends outside of that.
    fn leads_out_of(&self, other: &Self) -> bool {
        let mut steps = self.steps.iter();
        let goes_by = is_strictly_below(&self.written, &other.written)
            || steps.any(|step| is_strictly_below(step, &other.path));
        goes_by && !self.path.starts_with(&other.path)
    }
}

impl Allowlist {
    /// Whether a path as it is written is below a root, before anything is looked at.
    pub(super) fn names(&self, path: &Path) -> bool {
        self.roots
            .iter()
            .any(|root| path.starts_with(&root.written) || path.starts_with(&root.path))
    }

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
