//! Conversations that are over, written down in the group's folder: `conversations/<day>-<id>.md`.
//!
//! What was said, by whom, and no tools: for people, and for the agent to look up. That a
//! conversation cannot be written down costs no turn; it is named again in the next one.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};

use agent_protocol::{AgentEvent, AgentInput, LeftSession};
use fs_err as fs;

use crate::conversation::Message;
use crate::events::{EventLines, note};
use crate::failure::{Failure, chain};
use crate::replace_file::{Lasting, replace_file};
use crate::session::{ResumeError, Session};
use crate::settings::Settings;

/// Below the group's folder.
const CONVERSATIONS: &str = "conversations";
/// What is read of a session that grew without bound.
const MOST: u64 = 64 * 1024 * 1024;
/// Letters of each text, as the ancestors cut them.
const LONGEST: usize = 2000;
/// Letters at the end of a session's id that tell two of a day apart. Not those at its beginning:
/// some programs begin each with the same word.
const TOLD_APART: usize = 8;

#[derive(Debug, thiserror::Error)]
enum ArchiveError {
    #[error(transparent)]
    Session(#[from] ResumeError),
    #[error("the session cannot be read")]
    Read(#[source] io::Error),
    #[error("the conversation cannot be written down")]
    Write(#[source] io::Error),
    #[error("`{0}` is not a day such as `2026-01-05`")]
    Day(String),
}

/// Writes down what the group has left.
pub(crate) fn archive_left(
    input: &AgentInput,
    settings: &Settings,
    events: &mut EventLines<impl Write>,
) -> Result<(), Failure> {
    let name = input.assistant_name.as_deref().unwrap_or("Kai");
    for left in &input.left_sessions {
        match archive(left, name, settings) {
            Ok(file) => events.say(&AgentEvent::Archived {
                session_id: left.session_id.clone(),
                file,
            })?,
            Err(error) => {
                let (id, error) = (&left.session_id, chain(&error));
                note(&format!("session `{id}` is not archived: {error}"));
            }
        }
    }
    Ok(())
}

fn archive(
    left: &LeftSession,
    name: &str,
    settings: &Settings,
) -> Result<Option<String>, ArchiveError> {
    let day = &left.last_day;
    // It becomes part of a path.
    if !day
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'-')
    {
        return Err(ArchiveError::Day(day.clone()));
    }
    let Some(session) = Session::left(settings, &left.session_id)? else {
        return Ok(None);
    };
    let talk = read_talk(session, name).map_err(ArchiveError::Read)?;
    if talk.is_empty() {
        return Ok(None);
    }
    let file = file_of(day, &left.session_id);
    let text = format!("# Conversation until {day}\n\n---\n\n{talk}");
    write(settings, &file, &text).map_err(ArchiveError::Write)?;
    Ok(Some(file))
}

fn file_of(day: &str, id: &str) -> String {
    let begin = id.char_indices().rev().nth(TOLD_APART - 1);
    let end = &id[begin.map_or(0, |(at, _)| at)..];
    format!("{CONVERSATIONS}/{day}-{end}.md")
}

fn write(settings: &Settings, file: &str, text: &str) -> io::Result<()> {
    fs::create_dir_all(settings.folders.group.join(CONVERSATIONS))?;
    let path = settings.folders.group.join(file);
    replace_file(&path, text.as_bytes(), Lasting::Visible)
}

/// What people and the assistant said. A line that is no message is left out: a broken session
/// is written down as far as it can be read.
fn read_talk(session: impl Read, name: &str) -> io::Result<String> {
    let mut talk = String::new();
    for line in BufReader::new(session.take(MOST)).split(b'\n') {
        let (who, text) = match serde_json::from_slice(&line?) {
            Ok(Message::User { content }) => ("User", content),
            Ok(Message::Assistant {
                content: Some(content),
                ..
            }) => (name, content),
            Ok(Message::Assistant { content: None, .. } | Message::Tool { .. }) | Err(_) => {
                continue;
            }
        };
        if !text.trim().is_empty() {
            let text = cut(text.trim());
            let (Ok(()) | Err(_)) = write!(talk, "**{who}**: {text}\n\n");
        }
    }
    Ok(talk)
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_conversations_of_a_day_are_two_files() {
        let of = |id| file_of("2026-01-05", id);
        assert_eq!(
            of("session_58b1-00ec7701"),
            "conversations/2026-01-05-00ec7701.md"
        );
        assert_ne!(of("session_58b1-00ec7701"), of("session_58b1-00ec7702"));
        assert_eq!(of("aé"), "conversations/2026-01-05-aé.md");
    }

    #[test]
    fn what_was_said_is_kept_and_what_cannot_be_read_is_left_out() {
        let long = "é".repeat(LONGEST + 1);
        let session = format!(
            r#"{{"role":"_system_prompt","content":"You are Kai."}}
{{"role":"user","content":"my cat is Miso\n"}}
{{"role":"assistant","tool_calls":[]}}
{{"role":"tool","tool_call_id":"c0","content":"exit code 0"}}
{{"role":"assistant","content":"{long}"}}
{{"role":"us"#
        );
        let talk = read_talk(session.as_bytes(), "Kiki").unwrap();
        let cut = "é".repeat(LONGEST);
        assert_eq!(
            talk,
            format!("**User**: my cat is Miso\n\n**Kiki**: {cut}...\n\n")
        );
    }
}
