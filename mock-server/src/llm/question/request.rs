//! What a client asks, read from its JSON once and then only looked at.
//!
//! Shapes: OpenAI chat completions, in all the forms that clients were seen to send (a
//! content is a text, a list of parts, or absent). What is not needed is not read.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Begins the texts that clients add in the user's name.
const REMINDER: &str = "<system-reminder>";

/// The body of `POST chat/completions`.
#[derive(Debug, Deserialize)]
pub(crate) struct ChatBody {
    #[serde(default)]
    pub(crate) messages: Vec<Value>,
    pub(crate) model: Option<String>,
    pub(crate) stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    tools: Option<Vec<OfferedTool>>,
    pub(crate) prompt_cache_key: Option<String>,
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct OfferedTool {
    function: OfferedFunction,
}

#[derive(Debug, Deserialize)]
struct OfferedFunction {
    name: String,
}

impl ChatBody {
    pub(crate) fn wants_stream(&self) -> bool {
        self.stream == Some(true)
    }

    pub(crate) fn wants_usage(&self) -> bool {
        let options = self.stream_options.as_ref();
        options.and_then(|options| options.include_usage) == Some(true)
    }

    /// The names of the tools that the model may call.
    pub(crate) fn tools(&self) -> impl Iterator<Item = &str> {
        self.tools
            .iter()
            .flatten()
            .map(|tool| tool.function.name.as_str())
    }
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
    pub(crate) name: &'a str,
    pub(crate) text: Cow<'a, str>,
    pub(crate) ok: bool,
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
        let real = |text: &&str| !text.trim_start().starts_with(REMINDER);
        match &self.content {
            Content::Absent => None,
            Content::Text(text) => Some(*text).filter(|text| real(text)).map(Cow::Borrowed),
            Content::Parts(parts) => {
                let mut parts = parts.iter().copied().filter(|text| real(text)).peekable();
                parts.peek()?;
                Some(joined(parts))
            }
        }
    }

    /// Whether the tool did its work, by the field for it or by what its result says.
    pub(crate) fn went_well(&self) -> bool {
        let said = || went_well(&self.text());
        self.is_error.map_or_else(said, |failed| !failed)
    }

    pub(crate) fn tool_calls(&self) -> &[ToolCall<'a>] {
        self.tool_calls.as_deref().unwrap_or(&[])
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
fn went_well(result: &str) -> bool {
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
        check(
            &json!({"role": "user", "content": reminder}),
            reminder,
            None,
        );
        check(
            &json!({"role": "user", "content": [
                {"type": "text", "text": "hi"},
                {"type": "text", "text": reminder},
            ]}),
            &format!("hi\n{reminder}"),
            Some("hi"),
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
