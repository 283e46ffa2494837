//! What a workspace holds, by names that any store and any JSON can hold too.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fmt::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The two folders of a group that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    /// `groups/<folder>`.
    Group,
    /// `data/sessions/<folder>`, the agent's home.
    Home,
}

impl Scope {
    pub(crate) const ALL: [Self; 2] = [Self::Group, Self::Home];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Home => "home",
        }
    }

    /// The folder in which each group has one of its name.
    pub(crate) fn parent(self) -> &'static str {
        match self {
            Self::Group => "groups",
            Self::Home => "data/sessions",
        }
    }

    /// What never leaves the machine: our own records of runs, what can be fetched again, and
    /// whatever a login leaves behind.
    fn left_here(self) -> &'static [&'static str] {
        match self {
            Self::Group => &["logs"],
            Self::Home => &[
                ".cache",
                ".kimi/config.toml",
                ".kimi/credentials",
                ".kimi-code/config.toml",
                ".kimi-code/credentials",
                ".kimi-code/nanokimi-login",
                ".kimi-code/oauth",
            ],
        }
    }
}

/// Bytes of a name on any disk that we know.
pub(crate) const LONGEST_NAME: usize = 255;

/// `group/notes/a.md` or `home/.kimi/…`: a scope, then names. A byte that is not UTF-8, a
/// control character and `%` itself stand as `%XX`, so each path has one spelling and every
/// name a file can have is told from every other.
///
/// Invariant: at least one name; none is empty, `.` or `..`, or holds `/` or a zero byte.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct EntryPath(String);

/// Text that is no path in a workspace.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no path in a workspace: expected `group/…` or `home/…`, without `..`")]
pub(crate) struct InvalidEntryPath(String);

impl EntryPath {
    /// The path of a name right below a scope.
    pub(crate) fn top(scope: Scope, name: &OsStr) -> Self {
        Self(format!("{}/{}", scope.word(), escaped(name)))
    }

    /// The path of a name in the folder that this path names.
    pub(crate) fn below(&self, name: &OsStr) -> Self {
        Self(format!("{}/{}", self.0, escaped(name)))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn scope(&self) -> Scope {
        if self.0.starts_with("home/") {
            Scope::Home
        } else {
            Scope::Group
        }
    }

    /// The names as they stand on the disk: of the folders, and the last one.
    pub(crate) fn names(&self) -> (Vec<OsString>, OsString) {
        let mut names: Vec<OsString> = self.0.split('/').skip(1).map(unescaped).collect();
        // By the invariant there is one.
        let last = names.pop().unwrap_or_default();
        (names, last)
    }

    /// Whether it stays on this machine.
    pub(crate) fn is_left_here(&self) -> bool {
        let scope = self.scope();
        let inside = self.0.split_once('/').map_or("", |(_scope, inside)| inside);
        scope.left_here().iter().any(|left| {
            inside
                .strip_prefix(left)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    /// Whether it is one of these, or lies below one.
    pub(crate) fn is_within(&self, paths: &BTreeSet<Self>) -> bool {
        self.outer_in(paths).is_some()
    }

    /// Which of these it is, or lies below.
    pub(crate) fn outer_in<'a>(&self, paths: &'a BTreeSet<Self>) -> Option<&'a Self> {
        let ends = self.0.match_indices('/').map(|(end, _)| end);
        let mut outer = ends.chain([self.0.len()]);
        outer.find_map(|end| paths.get(&Self(self.0[..end].to_owned())))
    }

    /// How many folders lie between the scope's own and this.
    pub(crate) fn depth(&self) -> usize {
        self.0.matches('/').count() - 1
    }
}

impl FromStr for EntryPath {
    type Err = InvalidEntryPath;

    fn from_str(text: &str) -> Result<Self, InvalidEntryPath> {
        let mut parts = text.split('/');
        let scope = parts.next().unwrap_or_default();
        let is_scope = Scope::ALL.iter().any(|known| known.word() == scope);
        let names: Vec<&str> = parts.collect();
        let fits = |part: &&str| {
            let name = unescaped(part);
            let bytes = name.as_bytes();
            let climbs = bytes.is_empty() || bytes == b"." || bytes == b"..";
            !climbs && !bytes.contains(&b'/') && !bytes.contains(&0) && escaped(&name) == **part
        };
        if is_scope && !names.is_empty() && names.iter().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidEntryPath(text.to_owned()))
        }
    }
}

impl TryFrom<String> for EntryPath {
    type Error = InvalidEntryPath;

    fn try_from(text: String) -> Result<Self, InvalidEntryPath> {
        text.parse()
    }
}

impl From<EntryPath> for String {
    fn from(path: EntryPath) -> Self {
        path.0
    }
}

impl fmt::Display for EntryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name as it stands in a path, and what a link says.
pub(crate) fn escaped(name: &OsStr) -> String {
    let mut text = String::new();
    for chunk in name.as_bytes().utf8_chunks() {
        for letter in chunk.valid().chars() {
            if letter == '%' || letter.is_control() {
                let mut bytes = [0; 4];
                letter
                    .encode_utf8(&mut bytes)
                    .bytes()
                    .for_each(|b| push_escape(&mut text, b));
            } else {
                text.push(letter);
            }
        }
        chunk
            .invalid()
            .iter()
            .for_each(|b| push_escape(&mut text, *b));
    }
    text
}

fn push_escape(text: &mut String, byte: u8) {
    // Writing to a string does not fail.
    let (Ok(()) | Err(_)) = write!(text, "%{byte:02X}");
}

pub(crate) fn unescaped(text: &str) -> OsString {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escape = (*first == b'%').then(|| after.get(..2)).flatten();
        let byte = escape.and_then(|digits| {
            let text = str::from_utf8(digits);
            let value = text.map(|text| u8::from_str_radix(text, 16));
            match value {
                Ok(Ok(value)) => Some(value),
                Ok(Err(_)) | Err(_) => None,
            }
        });
        rest = if byte.is_some() { &after[2..] } else { after };
        bytes.push(byte.unwrap_or(*first));
    }
    OsString::from_vec(bytes)
}

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Entry {
    File {
        size: u64,
        executable: bool,
        sha256: Sha256Hex,
        /// As eight hexadecimal digits.
        crc32c: String,
    },
    /// An empty one: others are told by what is in them.
    Folder {},
    /// What it says, with the escapes of a path.
    Link { target: String },
}

/// All that a workspace holds.
pub(crate) type Entries = BTreeMap<EntryPath, Entry>;

/// The name of a content: its SHA-256 in 64 small hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Sha256Hex(String);

/// Text that is no SHA-256.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no SHA-256: expected 64 small hexadecimal digits")]
pub(crate) struct InvalidSha256(String);

impl Sha256Hex {
    pub(crate) fn of_digest(digest: &[u8]) -> Self {
        let mut text = String::with_capacity(64);
        for byte in digest {
            // Writing to a string does not fail.
            let (Ok(()) | Err(_)) = write!(text, "{byte:02x}");
        }
        Self(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Sha256Hex {
    type Error = InvalidSha256;

    fn try_from(text: String) -> Result<Self, InvalidSha256> {
        let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() == 64 && text.bytes().all(is_digit) {
            Ok(Self(text))
        } else {
            Err(InvalidSha256(text))
        }
    }
}

impl From<Sha256Hex> for String {
    fn from(sha: Sha256Hex) -> Self {
        sha.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_one_spelling_and_comes_back() {
        for name in [
            &b"plain.md"[..],
            b"two words",
            "Zo\u{eb} \u{1f980}".as_bytes(),
            b"line\nbreak",
            b"100%",
            b"%41",
            b"\xff\xfe",
            b"a\x7fb",
        ] {
            let name = OsStr::from_bytes(name);
            let path = EntryPath::top(Scope::Group, name);
            assert_eq!(path.as_str().parse::<EntryPath>().as_ref(), Ok(&path));
            assert_eq!(path.names(), (Vec::new(), name.to_owned()), "{path}");
        }
    }

    #[test]
    fn no_path_climbs_or_has_a_second_spelling() {
        for bad in [
            "",
            "group",
            "group/",
            "other/a",
            "/group/a",
            "group/../a",
            "group/.",
            "group//a",
            "group/%2e%2e",
            "group/%2E%2E",
            "group/a%2Fb",
            "group/a%00",
            "group/%41",
            "group/100%",
            "home/a\nb",
        ] {
            assert!(bad.parse::<EntryPath>().is_err(), "{bad}");
        }
    }

    #[test]
    fn logs_caches_and_logins_stay() {
        let path = |text: &str| text.parse::<EntryPath>().unwrap();
        for stays in [
            "group/logs",
            "group/logs/a",
            "home/.cache/x",
            "home/.kimi-code/credentials/k",
        ] {
            assert!(path(stays).is_left_here(), "{stays}");
        }
        for leaves in [
            "group/logs.md",
            "group/a/logs",
            "home/.kimi/sessions/a",
            "home/logs",
        ] {
            assert!(!path(leaves).is_left_here(), "{leaves}");
        }
    }
}
