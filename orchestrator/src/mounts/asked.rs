//! What is asked for: a path of this machine, a name below `/workspace/extra`, and whether the
//! agent wants to write.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use agent_protocol::AdditionalMount;
use serde::Serialize;

/// Something of this machine that a group's agents are to see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct AskedMount {
    pub name: MountName,
    pub path: HostPath,
    pub writable: bool,
}

/// A mount of a group, whichever that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupMount {
    pub is_main: bool,
    pub asked: AskedMount,
}

/// What a mount is called below `/workspace/extra`, e.g. `photos`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct MountName(String);

/// A path of this machine, absolute or below the operator's home, e.g. `~/photos`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct HostPath(String);

/// Text that is no mount.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMount {
    #[error(
        "`{0}` is not a name below /workspace/extra: expected a letter or digit, then at most 63 letters, digits, `_`, `-` or `.`"
    )]
    Name(String),
    #[error("`{0}` is not a path to be mounted: expected one from `/` or `~/` on, without `..`")]
    Path(String),
    #[error("two mounts are called `{0}`; give one of them another containerPath")]
    Twice(MountName),
}

impl AskedMount {
    /// Without a name it is called as what it leads to.
    pub(crate) fn new(
        path: &str,
        name: Option<&str>,
        writable: bool,
    ) -> Result<Self, InvalidMount> {
        let path: HostPath = path.parse()?;
        let last = Path::new(&path.0).file_name();
        let last = last.map(|last| last.to_string_lossy().into_owned());
        let name = match (name, last) {
            (Some(name), _) => name.parse()?,
            (None, Some(last)) => last.parse()?,
            (None, None) => return Err(InvalidMount::Name(path.0)),
        };
        Ok(Self {
            name,
            path,
            writable,
        })
    }

    /// As a group's `containerConfig` says them.
    pub(crate) fn all_from_agent(asked: &[AdditionalMount]) -> Result<Vec<Self>, InvalidMount> {
        let mut mounts: Vec<Self> = Vec::new();
        for asked in asked {
            let mount = Self::from_agent(asked)?;
            if mounts.iter().any(|other| other.name == mount.name) {
                return Err(InvalidMount::Twice(mount.name));
            }
            mounts.push(mount);
        }
        Ok(mounts)
    }

    /// Read-only unless it says otherwise.
    fn from_agent(asked: &AdditionalMount) -> Result<Self, InvalidMount> {
        let writable = asked.readonly == Some(false);
        Self::new(&asked.host_path, asked.container_path.as_deref(), writable)
    }
}

impl MountName {
    #[must_use]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MountName {
    type Err = InvalidMount;

    fn from_str(text: &str) -> Result<Self, InvalidMount> {
        let mut bytes = text.bytes();
        let known = text.len() <= 64
            && bytes.next().is_some_and(|b| b.is_ascii_alphanumeric())
            && bytes.all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
        if known {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidMount::Name(text.to_owned()))
        }
    }
}

impl HostPath {
    #[must_use]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The path itself; none if it lies below a home and there is none.
    #[must_use]
    pub(crate) fn below(&self, home: Option<&Path>) -> Option<PathBuf> {
        expand(&self.0, home)
    }
}

impl FromStr for HostPath {
    type Err = InvalidMount;

    fn from_str(text: &str) -> Result<Self, InvalidMount> {
        let climbs = Path::new(text)
            .components()
            .any(|part| part == Component::ParentDir);
        let begins = text == "~" || text.starts_with("~/") || text.starts_with('/');
        if begins && !climbs && !text.contains(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidMount::Path(text.to_owned()))
        }
    }
}

/// `~` stands for the home; none for a path that is neither below it nor absolute.
pub(super) fn expand(path: &str, home: Option<&Path>) -> Option<PathBuf> {
    match path.strip_prefix('~') {
        Some("") => home.map(Path::to_owned),
        Some(below) => Some(home?.join(below.strip_prefix('/')?)),
        None => path.starts_with('/').then(|| PathBuf::from(path)),
    }
}

impl fmt::Display for MountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for HostPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
