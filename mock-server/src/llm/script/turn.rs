//! The model's script as people write it: turns, and what each answers and says.
//!
//! Types only. A turn is checked where it is read (patterns, templates, counts), so that
//! a mistake has its place in the file; that turns fit together is seen when they are added.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::llm::script::fault::ScriptedFault;
use crate::llm::script::pattern::TextPattern;
use crate::llm::script::stream::StreamShape;
use crate::llm::script::template::TemplateText;
use crate::llm::script::wording::NumberOr;

/// One answer of the model, and which request it answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScriptedTurn {
    /// The name shown in every message about this turn; unique. Default: `turn-<place>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Which requests this turn answers; without it, any request in its lane.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matches: Option<Match>,
    /// What the model says. May be left out if a fault is all that comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Response>,
    /// How often it may be said: a number, or `any` (also never). Default: 1.
    #[serde(default, skip_serializing_if = "is_default")]
    pub times: Times,
    /// Whether the turn may stay unsaid.
    #[serde(default, skip_serializing_if = "is_default")]
    pub optional: bool,
    /// The lane it is said in. Default: `main`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    /// A gate: the answer waits until the gate is released, and passes once it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<String>,
    /// How the answer is streamed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stream: StreamShape,
    /// What goes wrong. With a `response` the answer is broken so often before it is said,
    /// and being broken does not count as said, unless `times` is `any`; without one the
    /// fault is the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<ScriptedFault>,
}

/// Which requests a turn answers: a condition on the last real user text, or several.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Match {
    /// The last real user text holds this.
    User(TextPattern),
    /// All of these hold.
    All(Box<Clauses>),
}

/// Conditions on a request. All that are given must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Clauses {
    /// The last real user text: the last `user` message that is no `<system-reminder>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<TextPattern>,
    /// One of the tool results that came after the model's last message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_result: Option<ToolResultClause>,
    /// The system prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<TextPattern>,
    /// The model that is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<TextPattern>,
    /// The lane of the request; the same as `lane` beside `match`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    /// Which answer of the model this is within its conversation, from 1: one more than
    /// the assistant messages that the request carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<NonZeroUsize>,
    /// For each role named, some message of it in the conversation.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub messages: BTreeMap<Speaker, TextPattern>,
}

/// Whose message it is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Speaker {
    User,
    Assistant,
    Tool,
}

/// Conditions on one tool result.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolResultClause {
    /// The tool that was called, exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The call, by the id that the script gave it, by its turn (`upload`; its second call is
    /// `upload#2`) or by its tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// A JSON pointer to what must be in the result, e.g. `/file/id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// What the result says, or what it says at the pointer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<TextPattern>,
    /// Whether it went well. A result is a failure if it begins with `error` (in any
    /// case), with `<system>ERROR`, or is a JSON object with an `error` or `"ok": false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ok: Option<bool>,
}

/// What the model says. Texts are templates: `{{ user }}`, `{{ tool_result }}`,
/// `{{ tool.<name>.<argument> }}` of the call to that tool which was answered last,
/// `{{ result("<call>", "/json/pointer") }}` of what a tool said to that call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Response {
    /// The text of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<TemplateText>,
    /// Tools the model calls, in parallel if there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ScriptedCall>,
    /// What the model thinks before it speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<TemplateText>,
    /// Default: `tool_calls` if there are any, else `stop`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<FinishReason>,
    /// Default: one token for every four bytes of text, rounded up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<ScriptedUsage>,
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScriptedCall {
    /// The tool's name, as the request offers it.
    pub name: String,
    /// The arguments. A text is sent as it stands, so that it need not be JSON.
    #[serde(default)]
    pub arguments: Arguments,
    /// The call's id; made from turn and place by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// The arguments of a call.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Arguments {
    /// Sent as JSON.
    Named(IndexMap<String, serde_json::Value>),
    /// Sent as it stands.
    Raw(TemplateText),
}

/// Why the model stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    Stop,
    ToolCalls,
    Length,
    ContentFilter,
    Error,
}

/// What the answer is said to have cost, in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScriptedUsage {
    /// Tokens of the request.
    pub prompt_tokens: u64,
    /// Tokens of the answer.
    pub completion_tokens: u64,
    /// Tokens of the request that came from a cache.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cached_tokens: u64,
}

/// How often a turn may be said.
pub type Times = NumberOr<Any>;

/// The word `any`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Any {
    Any,
}

impl Default for NumberOr<Any> {
    fn default() -> Self {
        Self::Number(NonZeroU32::MIN)
    }
}

impl Default for Arguments {
    fn default() -> Self {
        Self::Named(IndexMap::new())
    }
}

impl FinishReason {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::ToolCalls => "tool_calls",
            Self::Length => "length",
            Self::ContentFilter => "content_filter",
            Self::Error => "error",
        }
    }
}

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn read(turn: &str) -> Result<ScriptedTurn, String> {
        yaml::read("script.yaml", turn).map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn a_turn_is_written_as_it_was_read() {
        for turn in [
            r#"{"match":"/^hi$/","response":{"content":"hello {{ user }}"}}"#,
            r#"{"id":"a","match":{"user":"x","tool_result":{"name":"bash","text":"y","ok":false},"system":"s","model":"m","lane":"l","turn":2,"messages":{"assistant":"z"}},"response":{"tool_calls":[{"name":"bash","arguments":{"command":"ls"}},{"name":"bash","arguments":"{oops","id":"c1"}],"reasoning":"r","finish_reason":"length","usage":{"prompt_tokens":1,"completion_tokens":2}},"times":"any","optional":true,"lane":"l","hold":"g","stream":{"chunk":3,"arguments":4},"fault":{"html":502}}"#,
        ] {
            let scripted = read(turn).unwrap();
            assert_eq!(serde_json::to_string(&scripted).unwrap(), turn);
        }
    }

    #[test]
    fn what_is_usual_need_not_be_written() {
        let turn = read("{ response: {} }").unwrap();
        assert_eq!(
            (turn.times, turn.optional, turn.stream),
            (Times::default(), false, StreamShape::default())
        );
    }

    #[test]
    fn a_turn_that_cannot_be_is_refused_at_its_place() {
        #[track_caller]
        fn check(turn: &str, column: usize, complaint: &str) {
            let mistake = read(turn).unwrap_err();
            assert!(
                mistake.contains(&format!("script.yaml:1:{column}\n")),
                "{mistake}"
            );
            assert!(mistake.contains(complaint), "{mistake}");
        }
        check("{ times: 0, response: {} }", 10, "a number from 1 on");
        check("{ times: -1, response: {} }", 10, "a number from 1 on");
        check("{ times: often, response: {} }", 10, "often");
        check(
            "{ match: { usr: x }, response: {} }",
            12,
            "did you mean `user`?",
        );
        check(
            "{ match: { user: /(/ }, response: {} }",
            18,
            "unclosed group",
        );
        check(
            "{ response: { content: '{{ usr }}' } }",
            24,
            "a template knows no `usr`",
        );
        check(
            "{ response: { tool_calls: [{ name: x, arguments: { a: '{{ b }}' } }] } }",
            55,
            "a template knows no `b`",
        );
    }
}
