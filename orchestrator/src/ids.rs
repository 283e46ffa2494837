//! Names the world gives to things, parsed once at the edge.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A place where people talk: `http:<conversation>`, `<digits>@g.us`, `<digits>@s.whatsapp.net`
/// or `<digits>@lid`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChatJid(String);

/// Text that names no chat.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a chat: expected `http:<name>` (letters, digits, `._:/@+-`, at most 100), `<digits>@g.us`, `<digits>@s.whatsapp.net` or `<digits>@lid`"
)]
pub struct InvalidChatJid(String);

impl ChatJid {
    /// The chat of an HTTP conversation.
    pub fn http(conversation: &str) -> Result<Self, InvalidChatJid> {
        format!("http:{conversation}").parse()
    }

    /// The conversation's name, if this is a chat of the HTTP channel.
    #[must_use]
    pub fn http_conversation(&self) -> Option<&str> {
        self.0.strip_prefix("http:")
    }

    /// Whether several people talk here; who writes over HTTP decides that anew each time.
    #[must_use]
    pub fn is_group(&self) -> bool {
        self.0.starts_with("http:") || self.0.ends_with("@g.us")
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ChatJid {
    type Err = InvalidChatJid;

    fn from_str(text: &str) -> Result<Self, InvalidChatJid> {
        let digits = |user: &str| !user.is_empty() && user.bytes().all(|b| b.is_ascii_digit());
        let known = match (text.strip_prefix("http:"), text.split_once('@')) {
            (Some(conversation), _) => is_conversation(conversation),
            (None, Some((user, "s.whatsapp.net" | "lid"))) => digits(user),
            // Older group ids are `<creator>-<time>`.
            (None, Some((user, "g.us"))) => user.split('-').all(digits),
            (None, Some(_) | None) => false,
        };
        if known {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidChatJid(text.to_owned()))
        }
    }
}

fn is_conversation(name: &str) -> bool {
    (1..=100).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._:/@+-".contains(&b))
}

/// The folder of a group below `groups/`, and its identity everywhere else.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GroupFolder(String);

/// A name that cannot be a group's folder.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGroupFolder {
    #[error(
        "`{0}` is not a folder name: expected a letter or digit, then at most 63 letters, digits, `_` or `-`"
    )]
    Malformed(String),
    #[error("`{0}` is a reserved folder name")]
    Reserved(String),
}

impl GroupFolder {
    /// The folder of the one main group; no other group may take it.
    #[must_use]
    pub fn main() -> Self {
        Self("main".to_owned())
    }

    #[must_use]
    pub fn is_main(&self) -> bool {
        self.0 == "main"
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for GroupFolder {
    type Err = InvalidGroupFolder;

    fn from_str(text: &str) -> Result<Self, InvalidGroupFolder> {
        let mut bytes = text.bytes();
        let well_formed = text.len() <= 64
            && bytes.next().is_some_and(|b| b.is_ascii_alphanumeric())
            && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if !well_formed {
            return Err(InvalidGroupFolder::Malformed(text.to_owned()));
        }
        let lower = text.to_ascii_lowercase();
        // `Main` beside `main` would be one folder on some file systems.
        if ["global", "errors"].contains(&lower.as_str()) || (lower == "main" && text != "main") {
            return Err(InvalidGroupFolder::Reserved(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A scheduled task, e.g. `task-3f9a0c12`; agents may choose the name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskId(String);

/// Text that names no task.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a task id: expected 1 to 64 letters, digits, `_`, `-` or `.`")]
pub struct InvalidTaskId(String);

impl TaskId {
    #[must_use]
    pub fn new_random() -> Self {
        Self(format!("task-{:08x}", rand::random::<u32>()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TaskId {
    type Err = InvalidTaskId;

    fn from_str(text: &str) -> Result<Self, InvalidTaskId> {
        let known = (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
        if known {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidTaskId(text.to_owned()))
        }
    }
}

/// One run of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

/// Text that names no run.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a run id: expected a UUID")]
pub struct InvalidRunId(String);

impl RunId {
    #[must_use]
    pub fn new_random() -> Self {
        Self(uuid::Uuid::new_v4().to_string())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RunId {
    type Err = InvalidRunId;

    fn from_str(text: &str) -> Result<Self, InvalidRunId> {
        match uuid::Uuid::try_parse(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_not_a_uuid) => Err(InvalidRunId(text.to_owned())),
        }
    }
}

/// A conversation of an agent, as the agent named it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId(String);

/// Text that names no session.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a session id: expected 1 to 128 letters, digits, `_`, `-`, `:` or `.`, and no `..`"
)]
pub struct InvalidSessionId(String);

impl SessionId {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SessionId {
    type Err = InvalidSessionId;

    fn from_str(text: &str) -> Result<Self, InvalidSessionId> {
        // The agent makes a path of it, so nothing that could climb.
        let known = (1..=128).contains(&text.len())
            && !text.contains("..")
            && text != "."
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-:.".contains(&b));
        if known {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidSessionId(text.to_owned()))
        }
    }
}

/// Gives each id its text form, in both directions, through the one parser above.
macro_rules! text_form {
    ($($id:ident: $invalid:ident),* $(,)?) => {$(
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $id {
            type Error = $invalid;

            fn try_from(text: String) -> Result<Self, $invalid> {
                text.parse()
            }
        }

        impl From<$id> for String {
            fn from(id: $id) -> Self {
                id.0
            }
        }
    )*};
}

text_form!(
    ChatJid: InvalidChatJid,
    GroupFolder: InvalidGroupFolder,
    TaskId: InvalidTaskId,
    RunId: InvalidRunId,
    SessionId: InvalidSessionId,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: FromStr>(good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(text.parse::<T>().is_ok(), "`{text}` is refused");
        }
        for text in bad {
            assert!(text.parse::<T>().is_err(), "`{text}` is accepted");
        }
    }

    #[test]
    fn chats_are_http_conversations_or_whatsapp_ids() {
        check::<ChatJid>(
            &[
                "http:main",
                "http:ada/trip",
                "http:ada@g.us",
                "12036@g.us",
                "49151-1600@g.us",
                "49151@s.whatsapp.net",
                "123@lid",
            ],
            &[
                "",
                "http:",
                "http:a b",
                "main",
                "x@g.us",
                "@g.us",
                "1@example.org",
                "-@g.us",
            ],
        );
    }

    #[test]
    fn a_folder_stays_inside_groups() {
        check::<GroupFolder>(
            &["main", "family", "a-b_9", "9"],
            &[
                "",
                "..",
                "a/b",
                "-a",
                "a b",
                "Main",
                "GLOBAL",
                "errors",
                "ä",
                &"a".repeat(65),
            ],
        );
    }

    #[test]
    fn a_session_id_makes_no_path() {
        check::<SessionId>(
            &["3f9a", "kiro:main", "session_58b1-ec"],
            &["", "a/b", ".", "..", "a..b", "a b"],
        );
    }
}
