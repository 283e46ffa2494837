//! What the Kimi CLI keeps from the protocol: why a turn failed, what it cost, and which text is
//! the answer.
//!
//! Over ACP a rate limit, a broken endpoint and most refusals end the turn as if it had gone well,
//! and a text that broke off is followed by the next attempt's without a seam (seen in 2.1.0).
//! The CLI's own log of the session, `wire.jsonl`, tells all of them apart.
//! Another agent has no such file, and then nothing is read here.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use agent_protocol::{AgentErrorKind, Usage};
use fs_err as fs;
use serde::Deserialize;

use crate::events::note;
use crate::failure::Failure;

/// Of one turn, in bytes. The end of the turn stands at the end.
const MOST: u64 = 64 * 1024 * 1024;

/// A session's log; none when there is no such file.
#[derive(Debug)]
pub(super) struct KimiLog {
    path: Option<PathBuf>,
}

/// One turn's part of it.
#[derive(Debug, Default)]
pub(super) struct TurnRecord {
    /// Of each request to the model.
    pub usage: Vec<Usage>,
    pub failure: Option<Failure>,
    /// The text of the last answer of the model.
    pub answer: String,
    /// The last answer stopped at the model's output limit.
    pub cut_off: bool,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Entry {
    #[serde(rename = "usage.record")]
    Usage { usage: Tokens },
    #[serde(rename = "context.append_loop_event")]
    Loop { event: LoopEvent },
    #[serde(rename = "turn.ended")]
    Ended { error: Option<LoggedError> },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tokens {
    input_other: u64,
    output: u64,
    input_cache_read: u64,
    input_cache_creation: u64,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum LoopEvent {
    #[serde(rename = "step.begin")]
    StepBegin,
    #[serde(rename = "content.part")]
    Part { part: Part },
    #[serde(rename = "step.end", rename_all = "camelCase")]
    StepEnd { finish_reason: Option<String> },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part {
    Text {
        text: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct LoggedError {
    /// Tells a login that is gone from a fault of the program, which share a code.
    #[serde(default)]
    name: String,
    code: String,
    message: String,
    #[serde(default)]
    details: Details,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Details {
    status_code: Option<u16>,
}

impl KimiLog {
    /// The log of a session in a home of the CLI, which sorts sessions by their working folder.
    pub(super) fn find(home: &Path, session: &str) -> Self {
        let Ok(folders) = fs::read_dir(home.join("sessions")) else {
            return Self { path: None };
        };
        let path = folders
            .filter_map(|folder| match folder {
                Ok(folder) => Some(folder.path().join(session).join("agents/main/wire.jsonl")),
                Err(_gone) => None,
            })
            .find(|path| path.is_file());
        Self { path }
    }

    pub(super) fn length(&self) -> u64 {
        let metadata = self.path.as_ref().map(fs::metadata);
        match metadata {
            Some(Ok(metadata)) => metadata.len(),
            Some(Err(_)) | None => 0,
        }
    }

    /// What was written after the first `skip` bytes. A log that cannot be read is said to be so,
    /// and the turn is judged without it.
    pub(super) fn read_from(&self, skip: u64) -> TurnRecord {
        let Some(path) = &self.path else {
            return TurnRecord::default();
        };
        match read(path, skip) {
            Ok(text) => record(&text),
            Err(error) => {
                note(&format!("the agent's log cannot be read: {error}"));
                TurnRecord::default()
            }
        }
    }
}

fn read(path: &Path, skip: u64) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    if length.saturating_sub(skip) > MOST {
        note("the agent's log is too long: what comes before its last part is not counted");
    }
    let begin = skip.max(length.saturating_sub(MOST));
    file.seek(SeekFrom::Start(begin))?;
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn record(text: &str) -> TurnRecord {
    let mut record = TurnRecord::default();
    for line in text.lines() {
        // A line of another shape is of a version that we do not know; the others still count.
        let Ok(entry) = serde_json::from_str::<Entry>(line) else {
            continue;
        };
        match entry {
            Entry::Usage { usage } => record.count(usage.into()),
            Entry::Loop { event } => record.follow(event),
            Entry::Ended { error } => record.failure = error.map(LoggedError::into_failure),
            Entry::Other => {}
        }
    }
    record
}

impl TurnRecord {
    /// Nothing is written for an endpoint that does not count.
    fn count(&mut self, usage: Usage) {
        if usage != Usage::default() {
            self.usage.push(usage);
        }
    }

    fn follow(&mut self, event: LoopEvent) {
        match event {
            LoopEvent::StepBegin => self.answer.clear(),
            LoopEvent::Part {
                part: Part::Text { text },
            } => self.answer.push_str(&text),
            LoopEvent::StepEnd { finish_reason } => {
                self.cut_off = finish_reason.as_deref() == Some("max_tokens");
            }
            LoopEvent::Part { part: Part::Other } | LoopEvent::Other => {}
        }
    }
}

impl From<Tokens> for Usage {
    fn from(tokens: Tokens) -> Self {
        Self {
            prompt_tokens: tokens.input_other
                + tokens.input_cache_read
                + tokens.input_cache_creation,
            completion_tokens: tokens.output,
            cached_tokens: tokens.input_cache_read,
        }
    }
}

/// The name of the error when the refresh token is refused (seen in 2.1.0).
const LOGIN_IS_GONE: &str = "OAuthUnauthorizedError";

impl LoggedError {
    fn into_failure(self) -> Failure {
        let (kind, retryable) = self.judge();
        Failure {
            kind,
            message: format!("the agent's model request failed: {}", self.message),
            retryable,
        }
    }

    fn judge(&self) -> (AgentErrorKind, bool) {
        use AgentErrorKind as Kind;
        if self.name == LOGIN_IS_GONE {
            return (Kind::Auth, false);
        }
        match (self.code.as_str(), self.details.status_code) {
            ("context.overflow", _) => (Kind::ContextTooLong, false),
            (code, _) if code.starts_with("compaction.") => (Kind::ContextTooLong, false),
            ("provider.filtered", _) => (Kind::ContentFilter, false),
            ("loop.max_steps_exceeded", _) => (Kind::TooManySteps, false),
            (code, _) if code.starts_with("model.") => (Kind::Config, false),
            ("auth.login_required" | "auth.token_missing" | "auth.model_not_resolved", _) => {
                (Kind::Config, false)
            }
            (_, Some(401 | 403)) => (Kind::Auth, false),
            (code, _) if code.starts_with("auth.") => (Kind::Auth, false),
            (_, Some(402)) => (Kind::Quota, false),
            (_, Some(429)) => (Kind::RateLimit, true),
            (_, Some(400..=499)) => (Kind::Request, false),
            ("provider.connection_error", _) => (Kind::Network, true),
            _ => (Kind::Upstream, true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[track_caller]
    fn check(error: &str, expected: (AgentErrorKind, bool)) {
        let line = format!(r#"{{"type":"turn.ended","reason":"failed","error":{error}}}"#);
        let failure = record(&line).failure.unwrap();
        assert_eq!((failure.kind, failure.retryable), expected, "{failure}");
    }

    #[test]
    fn a_failure_is_told_by_what_can_be_done_about_it() {
        use AgentErrorKind::{Auth, ContextTooLong, Quota, RateLimit, Request, Upstream};
        let status = |code: &str, status: u16| {
            format!(r#"{{"code":"{code}","message":"m","details":{{"statusCode":{status}}}}}"#)
        };
        check(&status("provider.auth_error", 401), (Auth, false));
        check(&status("provider.api_error", 402), (Quota, false));
        check(&status("provider.rate_limit", 429), (RateLimit, true));
        check(&status("provider.api_error", 500), (Upstream, true));
        check(&status("provider.api_error", 400), (Request, false));
        check(
            r#"{"code":"context.overflow","message":"m"}"#,
            (ContextTooLong, false),
        );
        check(r#"{"code":"new.in.2.2","message":"m"}"#, (Upstream, true));
        check(
            r#"{"code":"internal","message":"m","name":"OAuthUnauthorizedError"}"#,
            (Auth, false),
        );
    }

    #[test]
    fn of_an_endless_log_the_end_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wire.jsonl");
        let file = fs::File::create(&path).unwrap();
        file.set_len(MOST * 2).unwrap();
        drop(file);
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(
            b"\n{\"type\":\"turn.ended\",\"error\":{\"code\":\"c\",\"message\":\"m\"}}\n",
        )
        .unwrap();
        let text = read(&path, 7).unwrap();
        assert_eq!(text.len() as u64, MOST);
        assert!(record(&text).failure.is_some());
    }

    #[test]
    fn every_request_is_counted_and_lines_of_other_shapes_are_passed_over() {
        let record = record(concat!(
            r#"{"type":"usage.record","usage":{"inputOther":5,"output":2,"inputCacheRead":3,"inputCacheCreation":1}}"#,
            "\nnot json\n{\"type\":\"usage.record\"}\n",
            r#"{"type":"context.append_loop_event","event":{"type":"step.end","finishReason":"max_tokens"}}"#,
            "\n",
            r#"{"type":"turn.ended","reason":"completed"}"#,
        ));
        let usage = Usage {
            prompt_tokens: 9,
            completion_tokens: 2,
            cached_tokens: 3,
        };
        assert_eq!(record.usage, [usage]);
        assert!(record.cut_off);
        assert!(record.failure.is_none());
    }
}
