//! A conversation on disk: `$HOME/.kimi/sessions/<md5 of the group folder>/<id>/context.jsonl`.
//!
//! The place and the line format are the Kimi CLIs'. A session is written once per turn and
//! whole, so a kill leaves the conversation before the turn or after it, never a part.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use agent_protocol::{AgentErrorKind, Usage};
use fs_err::{self as fs, File};
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::conversation::Message;
use crate::failure::Failure;
use crate::replace_file::{Lasting, replace_file, sync_folder};
use crate::settings::Settings;
use crate::told::told_file;

/// A conversation and its place on disk.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub id: SessionId,
    pub messages: Vec<Message>,
    folder: PathBuf,
}

/// A session's name, which is also the name of its folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionId(String);

#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is not a session id: expected letters, digits, `-`, `_`, `:` and `.` only, and no path"
)]
pub(crate) struct InvalidSessionId(String);

/// The session to continue cannot be used; a new one can.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResumeError {
    #[error(transparent)]
    Id(#[from] InvalidSessionId),
    #[error("session `{id}` is not on disk")]
    Missing {
        id: String,
        #[source]
        source: io::Error,
    },
    #[error("line {line} of `{}` is not a line of a session", path.display())]
    Broken {
        path: PathBuf,
        line: usize,
        #[source]
        source: serde_json::Error,
    },
    #[error("`{}` holds no message", path.display())]
    Empty { path: PathBuf },
    #[error(
        "session `{id}` has more than {limit} bytes; session_limit (NANOKIMI_SESSION_LIMIT) says how many one that is gone on with may have"
    )]
    TooLarge { id: String, limit: u64 },
}

impl From<ResumeError> for Failure {
    fn from(error: ResumeError) -> Self {
        let kind = match error {
            ResumeError::TooLarge { .. } => AgentErrorKind::SessionTooLarge,
            ResumeError::Id(_)
            | ResumeError::Missing { .. }
            | ResumeError::Broken { .. }
            | ResumeError::Empty { .. } => AgentErrorKind::SessionNotFound,
        };
        Self::passing(kind, &error)
    }
}

/// Lines that are not messages: for people and for the Kimi CLIs. We write them, and skip them
/// (and any other role that begins with `_`) when reading.
#[derive(Serialize)]
#[serde(tag = "role")]
enum Mark<'a> {
    #[serde(rename = "_system_prompt")]
    SystemPrompt { content: &'a str },
    #[serde(rename = "_usage")]
    Usage { token_count: u64 },
}

#[derive(Deserialize)]
struct Role {
    role: String,
}

impl SessionId {
    fn mint() -> Self {
        Self(Uuid::new_v4().to_string())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for SessionId {
    type Err = InvalidSessionId;

    fn from_str(text: &str) -> Result<Self, InvalidSessionId> {
        // Whatever another program calls a session, such as `kiro:main`, but nothing that climbs.
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_:.".contains(c);
        let climbs = text == "." || text.contains("..");
        if (1..=128).contains(&text.len()) && text.chars().all(allowed) && !climbs {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidSessionId(text.to_owned()))
        }
    }
}

impl Session {
    /// A conversation that has not begun. Nothing is on disk before [`Session::store`].
    pub(crate) fn begin(settings: &Settings) -> Self {
        let id = SessionId::mint();
        Self {
            folder: sessions_folder(settings).join(id.as_str()),
            id,
            messages: Vec::new(),
        }
    }

    /// The conversation that an earlier turn stored.
    pub(crate) fn resume(settings: &Settings, id: &str) -> Result<Self, ResumeError> {
        let id: SessionId = id.parse()?;
        let sessions = sessions_folder(settings);
        let folder = sessions.join(id.as_str());
        if !folder.exists() {
            take_along(&sessions, &id).map_err(|source| ResumeError::Missing {
                id: id.as_str().to_owned(),
                source,
            })?;
        }
        let messages = read_messages(&folder, &id, settings.session_limit)?;
        Ok(Self {
            id,
            messages,
            folder,
        })
    }

    /// The lines of a conversation that is not gone on with, be it ours or what was taken down of
    /// another program's; none if it is not on disk.
    pub(crate) fn left(settings: &Settings, id: &str) -> Result<Option<File>, ResumeError> {
        let id: SessionId = id.parse()?;
        let ours = context_file(&sessions_folder(settings).join(id.as_str()));
        let paths = [told_file(settings, &id), ours];
        // Asked before opening: opening a pipe would wait for its other end for ever.
        let Some(path) = paths.into_iter().find(|path| path.is_file()) else {
            return Ok(None);
        };
        let opened = File::open(path).map(Some);
        opened.map_err(|source| ResumeError::Missing {
            id: id.as_str().to_owned(),
            source,
        })
    }

    /// Puts the conversation on disk; it is there for good when this returns.
    pub(crate) fn store(&self, system_prompt: &str, usage: Option<Usage>) -> Result<(), Failure> {
        let text = self
            .render(system_prompt, usage)
            .map_err(|error| Failure::lasting(AgentErrorKind::Io, &error))?;
        self.write(&text)
            .map_err(|error| Failure::lasting(AgentErrorKind::Io, &error))
    }

    fn render(&self, system_prompt: &str, usage: Option<Usage>) -> serde_json::Result<Vec<u8>> {
        let mut text = Vec::new();
        push_line(
            &mut text,
            &Mark::SystemPrompt {
                content: system_prompt,
            },
        )?;
        for message in &self.messages {
            push_line(&mut text, message)?;
        }
        if let Some(usage) = usage {
            let token_count = usage.prompt_tokens.saturating_add(usage.completion_tokens);
            push_line(&mut text, &Mark::Usage { token_count })?;
        }
        Ok(text)
    }

    fn write(&self, text: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        replace_file(&context_file(&self.folder), text, Lasting::Durable)?;
        // The session's own name, and its parent's, may be new as well.
        for folder in self.folder.ancestors().skip(1).take(2) {
            sync_folder(folder)?;
        }
        Ok(())
    }
}

pub(crate) fn push_line(text: &mut Vec<u8>, line: &impl Serialize) -> serde_json::Result<()> {
    serde_json::to_writer(&mut *text, line)?;
    text.push(b'\n');
    Ok(())
}

fn context_file(folder: &Path) -> PathBuf {
    folder.join("context.jsonl")
}

/// On the host a home can have come from a machine where the group's folder has another path; the
/// conversation then lies beside our folder of sessions, and is moved into it.
fn take_along(sessions: &Path, id: &SessionId) -> io::Result<()> {
    let Some(all) = sessions.parent().filter(|all| all.is_dir()) else {
        return Ok(());
    };
    for other in fs::read_dir(all)? {
        let there = other?.path().join(id.as_str());
        if there.is_dir() {
            fs::create_dir_all(sessions)?;
            return fs::rename(there, sessions.join(id.as_str()));
        }
    }
    Ok(())
}

/// The Kimi CLIs name the folder by the path of the working folder as they were given it.
fn sessions_folder(settings: &Settings) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    let name = Md5::digest(settings.folders.group.as_os_str().as_bytes());
    let name: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
    settings.home.join(".kimi").join("sessions").join(name)
}

fn read_messages(folder: &Path, id: &SessionId, limit: u64) -> Result<Vec<Message>, ResumeError> {
    let path = context_file(folder);
    let id = || id.as_str().to_owned();
    let text =
        read_bounded(&path, limit).map_err(|source| ResumeError::Missing { id: id(), source })?;
    let Some(text) = text else {
        return Err(ResumeError::TooLarge { id: id(), limit });
    };
    let mut messages = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let message = read_line(line).map_err(|source| ResumeError::Broken {
            path: path.clone(),
            line: index + 1,
            source,
        })?;
        messages.extend(message);
    }
    if messages.is_empty() {
        return Err(ResumeError::Empty { path });
    }
    Ok(messages)
}

/// None if there is more than the limit. What is beyond it is not even read: it may be anything.
fn read_bounded(path: &Path, limit: u64) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Ok(None);
    }
    let text = String::from_utf8(bytes);
    text.map(Some)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn read_line(line: &str) -> serde_json::Result<Option<Message>> {
    let Role { role } = serde_json::from_str(line)?;
    if role.starts_with('_') {
        return Ok(None);
    }
    serde_json::from_str(line).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::chain;
    use crate::settings::Environment;

    fn settings(home: &Path) -> Settings {
        settings_at(home, Path::new("/workspace/group"))
    }

    fn settings_at(home: &Path, group: &Path) -> Settings {
        let variables = [
            ("HOME".into(), home.into()),
            ("MOONSHOT_API_KEY".into(), "sk-1".into()),
            ("NANOKIMI_GROUP_DIR".into(), group.into()),
        ];
        Settings::read(&Environment::new(variables, PathBuf::new())).unwrap()
    }

    fn says(content: &str) -> Message {
        Message::User {
            content: content.into(),
        }
    }

    #[test]
    fn a_stored_session_is_resumed_as_it_was() {
        let home = tempfile::tempdir().unwrap();
        let settings = settings(home.path());
        let mut session = Session::begin(&settings);
        session.messages.push(says("my cat is Miso"));
        session
            .store("You are Kai.", Some(Usage::default()))
            .unwrap();

        let again = Session::resume(&settings, session.id.as_str()).unwrap();

        assert_eq!(again.messages, session.messages);
        // md5 of `/workspace/group`, as the CLIs compute it.
        let place = ".kimi/sessions/0e2ca7b6e206c7dcc10613965b4b7897";
        assert!(home.path().join(place).join(session.id.as_str()).is_dir());
    }

    #[test]
    fn a_session_up_to_the_limit_is_resumed_and_one_beyond_it_is_not() {
        let home = tempfile::tempdir().unwrap();
        let mut settings = settings(home.path());
        let mut session = Session::begin(&settings);
        session.messages.push(says("my cat is Miso"));
        session.store("You are Kai.", None).unwrap();
        let size = fs::metadata(context_file(&session.folder)).unwrap().len();

        settings.session_limit = size;
        Session::resume(&settings, session.id.as_str()).unwrap();

        settings.session_limit = size - 1;
        let error = Session::resume(&settings, session.id.as_str()).unwrap_err();
        let failure = Failure::from(error);
        assert_eq!(failure.kind, AgentErrorKind::SessionTooLarge);
        let told = format!("has more than {} bytes; session_limit", size - 1);
        assert!(failure.message.contains(&told), "{failure}");
    }

    #[test]
    fn a_session_goes_on_where_the_group_has_another_path() {
        let home = tempfile::tempdir().unwrap();
        let there = settings_at(home.path(), Path::new("/old/groups/ada"));
        let mut session = Session::begin(&there);
        session.messages.push(says("my cat is Miso"));
        session.store("You are Kai.", None).unwrap();

        let here = settings_at(home.path(), Path::new("/new/groups/ada"));
        let again = Session::resume(&here, session.id.as_str()).unwrap();

        assert_eq!(again.messages, session.messages);
        assert!(sessions_folder(&here).join(session.id.as_str()).is_dir());
        assert!(!session.folder.exists());
    }

    #[track_caller]
    fn check(context: Option<&str>, id: &str, complaint: &str) {
        let home = tempfile::tempdir().unwrap();
        let settings = settings(home.path());
        if let Some(context) = context {
            let folder = sessions_folder(&settings).join(id);
            fs::create_dir_all(&folder).unwrap();
            fs::write(context_file(&folder), context).unwrap();
        }
        let told = chain(&Session::resume(&settings, id).unwrap_err());
        assert!(told.contains(complaint), "{told}");
    }

    #[test]
    fn a_session_that_cannot_be_continued_says_why() {
        check(
            None,
            "gone",
            "session `gone` is not on disk: failed to open file",
        );
        check(None, "../../etc", "`../../etc` is not a session id");
        check(None, "", "`` is not a session id");
        check(None, ".", "`.` is not a session id");
        check(None, "kiro:main", "session `kiro:main` is not on disk");
        check(Some(""), "empty", "holds no message");
        check(
            Some("{\"role\":\"user\",\"content\":\"hi\"}\n{\"role\":\"us"),
            "cut",
            "line 2 of `",
        );
        check(
            Some("{\"role\":\"robot\"}"),
            "odd",
            "unknown variant `robot`",
        );
    }
}
