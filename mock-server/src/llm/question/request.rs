//! What a client asks, read from its JSON once and then only looked at.
//!
//! Shapes: OpenAI chat completions, in all the forms that clients were seen to send (a
//! content is a text, a list of parts, or absent). What is not needed is not read.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{Error, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::llm::dialect::responses;
use crate::llm::question::given::Called;
use crate::llm::question::protocol::Violation;
use crate::llm::services::routing::ProviderWish;

/// Stand around the texts that clients add in the user's name.
const REMINDER: &str = "<system-reminder>";
const REMINDER_END: &str = "</system-reminder>";

/// The body of `POST chat/completions`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ChatBody {
    #[serde(default)]
    pub(crate) messages: Vec<Value>,
    pub(crate) model: Option<String>,
    pub(crate) stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    tools: Option<Vec<OfferedTool>>,
    pub(crate) prompt_cache_key: Option<String>,
    session_id: Option<String>,
    user: Option<String>,
    thinking: Option<Thinking>,
    response_format: Option<ResponseFormat>,
    /// OpenRouter: what may answer instead of `model`.
    #[serde(default, deserialize_with = "list")]
    pub(crate) models: Vec<String>,
    /// OpenRouter: whose machine it may run on.
    pub(crate) provider: Option<ProviderWish>,
    /// What a protocol other than chat completions has against it.
    #[serde(skip)]
    pub(crate) unfit: Option<Violation>,
    /// What is kept of a request for Responses.
    #[serde(skip)]
    pub(crate) responses: Option<responses::Request>,
}

#[derive(Debug, Deserialize)]
struct ResponseFormat {
    r#type: Option<String>,
}

/// Moonshot's switch; `type` is `enabled` or `disabled`.
#[derive(Debug, Deserialize)]
struct Thinking {
    r#type: Option<String>,
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

/// One that the service runs itself is no function, and not called by turns.
#[derive(Debug, Deserialize)]
struct OfferedTool {
    function: Option<OfferedFunction>,
}

#[derive(Debug, Deserialize)]
struct OfferedFunction {
    name: String,
}

impl From<serde_json::Error> for Violation {
    fn from(fault: serde_json::Error) -> Self {
        let fault = fault.to_string();
        Self::NotARequest { fault }
    }
}

impl ChatBody {
    pub(crate) fn wants_stream(&self) -> bool {
        self.stream == Some(true)
    }

    pub(crate) fn wants_usage(&self) -> bool {
        let options = self.stream_options.as_ref();
        options.and_then(|options| options.include_usage) == Some(true)
    }

    /// Whether the model is told to think.
    pub(crate) fn wants_thinking(&self) -> bool {
        let thinking = self.thinking.as_ref();
        thinking.and_then(|thinking| thinking.r#type.as_deref()) == Some("enabled")
    }

    /// Whether the answer is to be any JSON object.
    pub(crate) fn wants_json(&self) -> bool {
        let format = self.response_format.as_ref();
        format.and_then(|format| format.r#type.as_deref()) == Some("json_object")
    }

    /// The models that may answer, the wanted one first.
    pub(crate) fn candidates(&self) -> impl Iterator<Item = &str> + Clone {
        self.model.iter().chain(&self.models).map(String::as_str)
    }

    /// What the client calls this conversation: Kimi's and OpenAI's name for it first, then
    /// OpenRouter's two.
    pub(crate) fn conversation(&self) -> Option<&str> {
        let names = [&self.prompt_cache_key, &self.session_id, &self.user];
        names.into_iter().flatten().map(String::as_str).next()
    }

    /// The names of the tools that the model may call.
    pub(crate) fn tools(&self) -> impl Iterator<Item = &str> {
        let tools = self.tools.iter().flatten();
        let functions = tools.filter_map(|tool| tool.function.as_ref());
        functions.map(|function| function.name.as_str())
    }
}

/// A list for which some clients send `null` if it is empty.
pub(crate) fn list<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<String>, D::Error> {
    let list = Option::<Vec<String>>::deserialize(input)?;
    Ok(list.unwrap_or_default())
}

/// One message of the conversation, borrowed from the body.
#[derive(Debug, Deserialize)]
pub(crate) struct Message<'a> {
    pub(crate) role: Role,
    #[serde(default, borrow)]
    content: Content<'a>,
    #[serde(borrow)]
    tool_calls: Option<Vec<ToolCall<'a>>>,
    pub(crate) tool_call_id: Option<&'a str>,
    /// Whether a tool failed, where the protocol has a field for it.
    is_error: Option<bool>,
    reasoning_content: Option<IgnoredAny>,
    partial: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    System,
    Developer,
    User,
    Assistant,
    Tool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ToolCall<'a> {
    pub(crate) id: &'a str,
    #[serde(borrow)]
    pub(crate) function: CalledFunction<'a>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct CalledFunction<'a> {
    pub(crate) name: &'a str,
    pub(crate) arguments: &'a str,
}

/// The text of a message.
#[derive(Debug, Default)]
enum Content<'a> {
    #[default]
    Absent,
    Text(&'a str),
    Parts(Vec<&'a str>),
}

/// What a tool said, and which call it answers.
#[derive(Debug)]
pub(crate) struct ToolResult<'a> {
    /// The id of the call that it answers.
    pub(crate) call: &'a str,
    pub(crate) name: &'a str,
    /// With what it was called.
    pub(crate) arguments: &'a str,
    pub(crate) text: Cow<'a, str>,
    pub(crate) ok: bool,
}

impl ToolResult<'_> {
    /// The call that it answers.
    pub(crate) fn called(&self) -> Called<'_> {
        Called {
            id: self.call,
            tool: self.name,
            arguments: self.arguments,
        }
    }
}

impl<'a> Message<'a> {
    pub(crate) fn text(&self) -> Cow<'a, str> {
        match &self.content {
            Content::Absent => Cow::Borrowed(""),
            Content::Text(text) => Cow::Borrowed(text),
            Content::Parts(parts) => joined(parts.iter().copied()),
        }
    }

    /// The text without what the client itself has added, if any is left.
    pub(crate) fn real_text(&self) -> Option<Cow<'a, str>> {
        match &self.content {
            Content::Absent => None,
            Content::Text(text) => said(text),
            Content::Parts(parts) => {
                let mut parts = parts.iter().copied().filter_map(said);
                let first = parts.next()?;
                Some(parts.fold(first, |text, part| Cow::Owned(format!("{text}\n{part}"))))
            }
        }
    }

    /// Moonshot: the answer begins with this text.
    pub(crate) fn is_partial(&self) -> bool {
        self.partial == Some(true)
    }

    /// Whether the tool did its work, by the field for it or by what its result says.
    pub(crate) fn went_well(&self) -> bool {
        let said = || went_well(&self.text());
        self.is_error.map_or_else(said, |failed| !failed)
    }

    /// Whether the model's thoughts came with the message, be they empty.
    pub(crate) fn has_reasoning(&self) -> bool {
        self.reasoning_content.is_some()
    }

    pub(crate) fn tool_calls(&self) -> &[ToolCall<'a>] {
        self.tool_calls.as_deref().unwrap_or(&[])
    }
}

/// What is left of a text without the reminders in it. One client sends each on its own,
/// another joins them with what was said before and after, with an empty line between.
fn said(text: &str) -> Option<Cow<'_, str>> {
    let mut kept = Vec::new();
    let mut rest = text;
    while let Some((before, reminder)) = rest.split_once(REMINDER) {
        let is_first = kept.is_empty() && before.trim().is_empty();
        let Some((_, after)) = reminder.split_once(REMINDER_END) else {
            // Without an end it is one only if nothing stands before it.
            rest = if is_first { "" } else { rest };
            break;
        };
        kept.extend(Some(before.trim()).filter(|piece| !piece.is_empty()));
        rest = after;
    }
    let is_whole = rest.len() == text.len();
    let last = if is_whole { rest } else { rest.trim() };
    if !last.trim().is_empty() {
        kept.push(last);
    }
    match *kept {
        [] => None,
        [only] => Some(Cow::Borrowed(only)),
        [..] => Some(Cow::Owned(kept.join("\n\n"))),
    }
}

/// A client that has several texts for one message means them one below the other.
fn joined<'a>(mut parts: impl Iterator<Item = &'a str>) -> Cow<'a, str> {
    let Some(first) = parts.next() else {
        return Cow::Borrowed("");
    };
    parts.fold(Cow::Borrowed(first), |text, part| {
        Cow::Owned(format!("{text}\n{part}"))
    })
}

/// Whether a tool's result says that the tool did its work. The wire has no field for it,
/// so this reads what agents write: `Error: …`, `<system>ERROR: …`, `{"error": …}`.
pub(crate) fn went_well(result: &str) -> bool {
    let result = result.trim_start();
    let begins = |word: &str| {
        let beginning = result.get(..word.len());
        beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(word))
    };
    !(begins("error") || result.contains("<system>ERROR") || is_error_object(result))
}

fn is_error_object(result: &str) -> bool {
    #[derive(Deserialize)]
    struct Outcome {
        error: Option<Value>,
        ok: Option<bool>,
    }
    result.starts_with('{')
        && serde_json::from_str::<Outcome>(result)
            .is_ok_and(|outcome| outcome.error.is_some() || outcome.ok == Some(false))
}

impl Role {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Developer => "developer",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(TextOrParts)
    }
}

struct TextOrParts;

impl<'de> Visitor<'de> for TextOrParts {
    type Value = Content<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a text or a list of parts")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Content::Absent)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Content::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, parts: A) -> Result<Self::Value, A::Error> {
        #[derive(Deserialize)]
        struct Part<'a> {
            text: Option<&'a str>,
        }
        let parts = Vec::<Part<'de>>::deserialize(SeqAccessDeserializer::new(parts))?;
        Ok(Content::Parts(
            parts.into_iter().filter_map(|part| part.text).collect(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(message: &Value, text: &str, real: Option<&str>) {
        let message = Message::deserialize(message).unwrap();
        assert_eq!(message.text(), text);
        assert_eq!(message.real_text().as_deref(), real);
    }

    #[test]
    fn a_content_is_a_text_or_parts_or_absent() {
        check(&json!({"role": "user", "content": "hi"}), "hi", Some("hi"));
        check(&json!({"role": "assistant"}), "", None);
        check(&json!({"role": "assistant", "content": null}), "", None);
        check(
            &json!({"role": "user", "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "x"}},
                {"type": "text", "text": "here"},
            ]}),
            "look\nhere",
            Some("look\nhere"),
        );
    }

    #[test]
    fn reminders_are_not_what_the_user_said() {
        let reminder = "\n<system-reminder>\nIt is Monday.</system-reminder>";
        let said = |content: Value| json!({"role": "user", "content": content});
        check(&said(reminder.into()), reminder, None);
        check(
            &said(json!([
                {"type": "text", "text": "hi"},
                {"type": "text", "text": reminder},
            ])),
            &format!("hi\n{reminder}"),
            Some("hi"),
        );
        let unclosed = "<system-reminder> and so on";
        check(&said(unclosed.into()), unclosed, None);
        check(&said("  ".into()), "  ", None);
    }

    #[test]
    fn reminders_within_a_text_are_taken_out_of_it() {
        #[track_caller]
        fn check(text: &str, real: &str) {
            assert_eq!(said(text).as_deref(), Some(real));
        }
        check(
            "first\n\n<system-reminder>\nIt is Monday.\n</system-reminder>\n\nsecond",
            "first\n\nsecond",
        );
        check(
            "<system-reminder>a</system-reminder><system-reminder>b</system-reminder> hi\n",
            "hi",
        );
        check("hi\n\n<system-reminder>a</system-reminder>", "hi");
        check(" untouched\n", " untouched\n");
        check(
            "what is a <system-reminder>?",
            "what is a <system-reminder>?",
        );
    }

    #[test]
    fn a_failed_tool_is_known_by_what_it_says() {
        for failed in [
            "Error: no such file",
            "ERROR exit code 3",
            "Wall time: 0.1s\n<system>ERROR: Tool execution failed.</system>",
            r#"{"error": "denied"}"#,
            r#"{"ok": false}"#,
        ] {
            assert!(!went_well(failed), "{failed}");
        }
        for well in ["", "wrote 12 bytes", r#"{"error": null}"#, "no errors", "é"] {
            assert!(went_well(well), "{well}");
        }
    }
}
