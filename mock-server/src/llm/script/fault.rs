//! What goes wrong with an answer, as scripts write it.
//!
//! Types only: one word says what goes wrong, others beside it the particulars. What it
//! looks like on the wire is the business of the delivery.

use std::num::NonZeroUsize;

use axum::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use axum::http::{HeaderName, HeaderValue};
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::lapse::Lapse;
use crate::llm::script::moment::{ErrorMoment, FaultMoment, HeaderText};
use crate::llm::script::turn::{Times, is_default};

/// What goes wrong instead of an answer, or within it: exactly one of `status`, `error`,
/// `html`, `empty`, `reset`, `close`, `end`, `invalid`, `stall`, `slow`, `lost` and `corrupt`.
/// `error` and `invalid` are for the model, `lost` and `corrupt` for the storage.
///
/// A moment is `request` (before a byte of the answer), `headers` (after them), a number
/// (after so many frames; comments are not counted), `arguments` (inside those of the first
/// call), `said` (after the last word of the response, before anything of its end) or
/// `{ bytes: 120 }` (of the body). An answer that is not streamed has no frames: there a
/// number, `arguments` and `said` mean the middle of its body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "FaultWords", into = "FaultWords")]
pub struct ScriptedFault {
    /// How often, before the response is said.
    pub times: Option<Times>,
    pub fault: Fault,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// The service refuses.
    Status(StatusFault),
    /// A proxy before the service refuses.
    Html(u16),
    /// An error within an answer that began well.
    Error(StreamError),
    /// An answer without anything to say.
    Empty(Emptiness),
    /// The answer breaks off.
    Break(Breaking, FaultMoment),
    /// The frame after so many is no JSON.
    Invalid(usize),
    /// The answer comes drop by drop.
    Slow(Drops),
    /// All is done that was asked for, and the answer is lost: the connection is reset.
    Lost,
    /// The byte at this moment of the body is another.
    Corrupt(FaultMoment),
}

/// How an answer breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaking {
    /// The connection is reset.
    Reset,
    /// The connection is closed, though the body is not at its end.
    Close,
    /// The body ends as if it were whole.
    End,
    /// Nothing more comes, and the connection stays.
    Stall,
}

/// A refusal with a status.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusFault {
    pub status: u16,
    pub headers: IndexMap<String, HeaderText>,
    pub message: Option<String>,
    pub error_type: Option<String>,
    pub body: Option<Value>,
}

/// An error within a stream. An answer that is not streamed is that error, with status 200.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StreamError {
    /// After how many frames, or `said`: after the last word of the response, before anything
    /// of its end. Default: 0.
    pub after: ErrorMoment,
    /// The service's word for it. Default: the service has broken down.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub error_type: Option<String>,
    /// Default: what the service says then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Which of their two events OpenAI's Responses end with; all others have one way only.
    #[serde(skip_serializing_if = "is_default")]
    pub event: ErrorEvent,
}

/// How a stream of Responses tells of an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ErrorEvent {
    /// The event is the error.
    #[default]
    #[serde(rename = "error")]
    Error,
    /// The response is there once more, and has failed.
    #[serde(rename = "response.failed")]
    ResponseFailed,
}

/// What is left of an answer that says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Emptiness {
    /// No byte of a body.
    Nothing,
    /// The end mark.
    Done,
    /// Comments.
    Comments,
    /// What the model thinks, and no word after it.
    Reasoning,
}

/// A body that comes in drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Drops {
    /// How many bytes at once. Default: 1.
    #[serde(default = "one")]
    pub bytes: NonZeroUsize,
    /// How long it takes from each to the next.
    pub every: Lapse,
}

/// A fault as it is written.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct FaultWords {
    /// How often, before the response is said: a number, or `any` for always. Default: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<Times>,
    /// The answer is an error with this status, worded as the service words it.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// Headers beside `status`, e.g. `{ retry-after: 7 }`.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    headers: IndexMap<String, HeaderText>,
    /// The message of the error beside `status`. Default: the service's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// The type of the error beside `status`. Default: the service's own.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    error_type: Option<String>,
    /// The whole body beside `status`: a text, or what is sent as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Value>,
    /// The answer breaks off with an error in its stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<StreamError>,
    /// The answer is a proxy's page with this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    html: Option<u16>,
    /// The answer has status 200, and only this.
    #[serde(skip_serializing_if = "Option::is_none")]
    empty: Option<Emptiness>,
    /// The connection is reset at this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    reset: Option<FaultMoment>,
    /// The connection is closed at this moment, within the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    close: Option<FaultMoment>,
    /// The body ends at this moment, as if it were whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<FaultMoment>,
    /// The frame after so many is cut in half, so that it is no JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    invalid: Option<usize>,
    /// From this moment on nothing more comes. The turn's gate, if it has one, is there
    /// instead of before the answer; without one it lasts until one side hangs up.
    #[serde(skip_serializing_if = "Option::is_none")]
    stall: Option<FaultMoment>,
    /// The body comes drop by drop.
    #[serde(skip_serializing_if = "Option::is_none")]
    slow: Option<Drops>,
    /// What was asked for is done, and the answer lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<Lost>,
    /// The byte at this moment of the body is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    corrupt: Option<FaultMoment>,
}

/// What is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Lost {
    Answer,
}

/// Words that make no fault.
#[derive(Debug, thiserror::Error)]
enum UnclearFault {
    #[error("a fault needs one of {}", WORDS.join(", "))]
    None,
    #[error("a fault is one thing, and this says {0}; keep one")]
    Several(String),
    #[error("`{0}` goes with `status` only")]
    NoStatus(&'static str),
    #[error("`{0}` is no status of an answer; they go from 200 to 599")]
    Status(u16),
    #[error("`{name}: {value}` is no header")]
    Header { name: String, value: String },
    #[error(
        "`{0}` says where the body ends, which is for the server to say; `end` and `close` cut it"
    )]
    Framing(String),
    #[error("the body cannot end before there is one; `end: headers` is an empty body")]
    EndOfNothing,
}

const WORDS: [&str; 12] = [
    "status", "error", "html", "empty", "reset", "close", "end", "invalid", "stall", "slow",
    "lost", "corrupt",
];

impl Fault {
    /// Whether the whole answer arrives all the same, though late.
    pub(crate) fn lets_all_through(&self, has_gate: bool) -> bool {
        match self {
            Self::Slow(_) => true,
            Self::Break(Breaking::Stall, _) => has_gate,
            Self::Break(Breaking::Reset | Breaking::Close | Breaking::End, _)
            | Self::Status(_)
            | Self::Html(_)
            | Self::Error(_)
            | Self::Empty(_)
            | Self::Invalid(_)
            | Self::Lost
            | Self::Corrupt(_) => false,
        }
    }

    /// Whether it can befall an answer of the model.
    pub(crate) fn is_the_models(&self) -> bool {
        !matches!(self, Self::Lost | Self::Corrupt(_))
    }

    /// Whether it can befall an answer of a service that has neither frames nor calls.
    pub(crate) fn is_a_documents(&self) -> bool {
        let has_frames = |moment: &FaultMoment| {
            matches!(
                moment,
                FaultMoment::Frames(_) | FaultMoment::Arguments | FaultMoment::Said
            )
        };
        match self {
            Self::Error(_) | Self::Invalid(_) => false,
            Self::Empty(emptiness) => *emptiness == Emptiness::Nothing,
            Self::Break(_, moment) | Self::Corrupt(moment) => !has_frames(moment),
            Self::Status(_) | Self::Html(_) | Self::Slow(_) | Self::Lost => true,
        }
    }

    /// The word that says what goes wrong.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Status(_) => "status",
            Self::Html(_) => "html",
            Self::Error(_) => "error",
            Self::Empty(_) => "empty",
            Self::Break(Breaking::Reset, _) => "reset",
            Self::Break(Breaking::Close, _) => "close",
            Self::Break(Breaking::End, _) => "end",
            Self::Break(Breaking::Stall, _) => "stall",
            Self::Invalid(_) => "invalid",
            Self::Slow(_) => "slow",
            Self::Lost => "lost",
            Self::Corrupt(_) => "corrupt",
        }
    }
}

impl TryFrom<FaultWords> for ScriptedFault {
    type Error = UnclearFault;

    fn try_from(words: FaultWords) -> Result<Self, UnclearFault> {
        let times = words.times;
        check_beside(&words)?;
        let mut faults = spoken(words);
        let fault = faults.pop().ok_or(UnclearFault::None)?;
        if !faults.is_empty() {
            let words = faults.iter().chain([&fault]).map(Fault::word);
            return Err(UnclearFault::Several(
                words.collect::<Vec<_>>().join(" and "),
            ));
        }
        check(&fault)?;
        Ok(Self { times, fault })
    }
}

/// Each fault that the words name.
fn spoken(words: FaultWords) -> Vec<Fault> {
    let breaking = |how| move |moment| Fault::Break(how, moment);
    let status = words.status.map(|status| {
        Fault::Status(StatusFault {
            status,
            headers: words.headers,
            message: words.message,
            error_type: words.error_type,
            body: words.body,
        })
    });
    let faults = [
        status,
        words.error.map(Fault::Error),
        words.html.map(Fault::Html),
        words.empty.map(Fault::Empty),
        words.reset.map(breaking(Breaking::Reset)),
        words.close.map(breaking(Breaking::Close)),
        words.end.map(breaking(Breaking::End)),
        words.invalid.map(Fault::Invalid),
        words.stall.map(breaking(Breaking::Stall)),
        words.slow.map(Fault::Slow),
        words.lost.map(|Lost::Answer| Fault::Lost),
        words.corrupt.map(Fault::Corrupt),
    ];
    faults.into_iter().flatten().collect()
}

fn check_beside(words: &FaultWords) -> Result<(), UnclearFault> {
    let beside = [
        ("headers", !words.headers.is_empty()),
        ("message", words.message.is_some()),
        ("type", words.error_type.is_some()),
        ("body", words.body.is_some()),
    ];
    let stray = beside.iter().find(|(_, is_there)| *is_there);
    match stray {
        Some((word, _)) if words.status.is_none() => Err(UnclearFault::NoStatus(word)),
        Some(_) | None => Ok(()),
    }
}

fn check(fault: &Fault) -> Result<(), UnclearFault> {
    match fault {
        Fault::Status(StatusFault { status, .. }) | Fault::Html(status)
            if !(200..600).contains(status) =>
        {
            Err(UnclearFault::Status(*status))
        }
        Fault::Status(refusal) => refusal.headers.iter().try_for_each(check_header),
        Fault::Break(Breaking::End, FaultMoment::Request) => Err(UnclearFault::EndOfNothing),
        Fault::Html(_)
        | Fault::Error(_)
        | Fault::Empty(_)
        | Fault::Break(..)
        | Fault::Invalid(_)
        | Fault::Slow(_)
        | Fault::Lost
        | Fault::Corrupt(_) => Ok(()),
    }
}

fn check_header((name, value): (&String, &HeaderText)) -> Result<(), UnclearFault> {
    let (Ok(header), Ok(_)) = (HeaderName::try_from(name), HeaderValue::try_from(&value.0)) else {
        return Err(UnclearFault::Header {
            name: name.clone(),
            value: value.0.clone(),
        });
    };
    if [CONTENT_LENGTH, TRANSFER_ENCODING].contains(&header) {
        return Err(UnclearFault::Framing(name.clone()));
    }
    Ok(())
}

impl From<ScriptedFault> for FaultWords {
    fn from(scripted: ScriptedFault) -> Self {
        let mut words = Self {
            times: scripted.times,
            ..Self::default()
        };
        match scripted.fault {
            Fault::Status(refusal) => {
                words.status = Some(refusal.status);
                words.headers = refusal.headers;
                words.message = refusal.message;
                words.error_type = refusal.error_type;
                words.body = refusal.body;
            }
            Fault::Html(status) => words.html = Some(status),
            Fault::Error(error) => words.error = Some(error),
            Fault::Empty(emptiness) => words.empty = Some(emptiness),
            Fault::Break(Breaking::Reset, moment) => words.reset = Some(moment),
            Fault::Break(Breaking::Close, moment) => words.close = Some(moment),
            Fault::Break(Breaking::End, moment) => words.end = Some(moment),
            Fault::Break(Breaking::Stall, moment) => words.stall = Some(moment),
            Fault::Invalid(frames) => words.invalid = Some(frames),
            Fault::Slow(drops) => words.slow = Some(drops),
            Fault::Lost => words.lost = Some(Lost::Answer),
            Fault::Corrupt(moment) => words.corrupt = Some(moment),
        }
        words
    }
}

fn one() -> NonZeroUsize {
    NonZeroUsize::MIN
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn read(fault: &str) -> Result<ScriptedFault, String> {
        yaml::read("script.yaml", fault).map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn a_fault_is_written_as_it_was_read() {
        for fault in [
            r#"{"times":"any","status":429,"headers":{"retry-after":"7"},"message":"m","type":"t","body":{"a":1}}"#,
            r#"{"error":{"after":3,"type":"provider_unavailable","message":"m"}}"#,
            r#"{"error":{"after":0}}"#,
            r#"{"error":{"after":"said","event":"response.failed"}}"#,
            r#"{"html":502}"#,
            r#"{"times":2,"empty":"comments"}"#,
            r#"{"reset":"request"}"#,
            r#"{"close":"headers"}"#,
            r#"{"end":3}"#,
            r#"{"stall":"arguments"}"#,
            r#"{"reset":"said"}"#,
            r#"{"reset":{"bytes":120}}"#,
            r#"{"invalid":3}"#,
            r#"{"slow":{"bytes":1,"every":"50ms"}}"#,
        ] {
            assert_eq!(serde_json::to_string(&read(fault).unwrap()).unwrap(), fault);
        }
    }

    #[test]
    fn a_fault_that_cannot_be_is_refused() {
        #[track_caller]
        fn check(fault: &str, complaint: &str) {
            let mistake = read(fault).unwrap_err();
            assert!(mistake.contains(complaint), "{mistake}");
        }
        check("{ times: 1 }", "a fault needs one of status, error, html");
        check(
            "{ html: 502, stall: 3 }",
            "a fault is one thing, and this says html and stall; keep one",
        );
        check(
            "{ html: 502, message: no }",
            "`message` goes with `status` only",
        );
        check("{ status: 99 }", "`99` is no status of an answer");
        check("{ html: 700 }", "`700` is no status of an answer");
        check(
            "{ status: 429, headers: { 're try': 1 } }",
            "`re try: 1` is no header",
        );
        for framing in ["content-length", "Transfer-Encoding"] {
            check(
                &format!("{{ status: 429, headers: {{ {framing}: 1 }} }}"),
                "says where the body ends",
            );
        }
        check("{ end: request }", "`end: headers` is an empty body");
        check("{ reset: soon }", "a moment");
        check("{ reset: 0 }", "a moment");
        check(
            "{ error: { after: headers } }",
            "a number of frames, or `said`",
        );
        check("{ reset: { byte: 1 } }", "did you mean `bytes`?");
        check("{ stal: 3 }", "did you mean `stall`?");
    }
}
