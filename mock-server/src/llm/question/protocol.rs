//! The rules of the wire that a real server enforces, checked on every request.
//!
//! A mock that is more lenient than the service lets bugs through: a history with an
//! unanswered tool call works here and is a 400 in production.

use std::collections::HashSet;

use crate::llm::dialect::{Dialect, Refused, anthropic, responses};
pub(crate) use crate::llm::question::broken::BrokenArguments;
use crate::llm::question::broken::is_json;
use crate::llm::question::request::{Role, ToolCall};
use crate::llm::question::{Question, Said};
use crate::llm::script::lenient::{Lenience, WireRule};
use crate::text::shorten;

/// What Moonshot takes, in bytes.
pub(crate) const LARGEST_BODY: usize = 2_097_152;

/// What is wrong with a request. Places are indices into `messages`, from 0.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Violation {
    #[error("the body is not a chat request: {fault}")]
    NotARequest { fault: String },
    #[error("`messages` is empty")]
    NoMessages,
    #[error("messages[{place}]: {fault}")]
    Unreadable { place: usize, fault: String },
    #[error(
        "messages[{place}]: the call `{id}` of `{tool}` has no id of its own; it is used before"
    )]
    DuplicateCall {
        place: usize,
        id: String,
        tool: String,
    },
    #[error("messages[{place}]: a call of `{tool}` has an empty id")]
    EmptyId { place: usize, tool: String },
    #[error("messages[{place}]: the arguments of `{tool}` are not JSON: {arguments:?}")]
    Arguments {
        place: usize,
        tool: String,
        arguments: String,
    },
    #[error("messages[{place}]: the call `{id}` of `{tool}` has no result before the next message")]
    Unanswered {
        place: usize,
        id: String,
        tool: String,
    },
    #[error("messages[{place}]: the tool result answers `{id}`, which is no open call{open}")]
    NoSuchCall {
        place: usize,
        id: String,
        open: String,
    },
    #[error("messages[{place}]: a tool result without a `tool_call_id`")]
    NoCallId { place: usize },
    #[error(
        "thinking is enabled but reasoning_content is missing in assistant tool call message at index {place}"
    )]
    NoReasoning { place: usize },
    #[error("Invalid request: partial mode does not go with response_format json_object")]
    PartialJson,
    #[error("function name {tool} is duplicated")]
    DuplicateTool { tool: String },
    #[error("total message size {length} exceeds limit {LARGEST_BODY}")]
    TooLarge { length: usize },
    /// What a protocol other than chat completions does not allow, in its own words.
    #[error(transparent)]
    Anthropic(#[from] anthropic::Unfit),
    #[error(transparent)]
    Responses(#[from] responses::Unfit),
    #[error("turn `{turn}` calls `{tool}`, but the request offers {offered}")]
    NotOffered {
        turn: String,
        tool: String,
        offered: String,
    },
}

impl Violation {
    /// The answer that a request goes on from, if nobody knows it.
    pub(crate) fn unheard(&self) -> Option<&str> {
        if let Self::Responses(responses::Unfit::NoPrevious { id }) = self {
            Some(id)
        } else {
            None
        }
    }

    /// The rule that is broken, if a script may put it out of force.
    pub(crate) fn rule(&self) -> Option<WireRule> {
        match self {
            Self::NotARequest { .. }
            | Self::NoMessages
            | Self::Unreadable { .. }
            | Self::PartialJson => None,
            Self::DuplicateCall { .. } | Self::EmptyId { .. } => Some(WireRule::DuplicateIds),
            Self::Arguments { .. } => Some(WireRule::Arguments),
            Self::Unanswered { .. } | Self::NoSuchCall { .. } | Self::NoCallId { .. } => {
                Some(WireRule::Pairing)
            }
            Self::NoReasoning { .. } => Some(WireRule::ReasoningContent),
            Self::DuplicateTool { .. } => Some(WireRule::DuplicateTools),
            Self::TooLarge { .. } => Some(WireRule::BodySize),
            Self::Anthropic(unfit) => unfit.rule(),
            Self::Responses(unfit) => unfit.rule(),
            Self::NotOffered { .. } => Some(WireRule::UnknownTool),
        }
    }
}

/// What a request is held against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules<'a> {
    pub(crate) dialect: Dialect,
    pub(crate) lenience: &'a Lenience,
    /// Knows the arguments that the script itself has sent broken: a client may, and some
    /// do, send them back as they came.
    pub(crate) scripted: &'a BrokenArguments,
    /// How long the request is, in bytes.
    pub(crate) length: usize,
}

/// Checks the conversation.
pub(crate) fn check(question: &Question<'_>, rules: Rules<'_>) -> Result<(), Violation> {
    if rules.dialect.is_moonshots()
        && rules.length > LARGEST_BODY
        && rules.lenience.minds(WireRule::BodySize)
    {
        let length = rules.length;
        return Err(Violation::TooLarge { length });
    }
    if let Some(unfit) = question.unfit
        && unfit.rule().is_none_or(|rule| rules.lenience.minds(rule))
    {
        return Err(unfit.clone());
    }
    if question.messages.is_empty() {
        return Err(Violation::NoMessages);
    }
    let is_partial = question
        .lead()
        .is_some_and(|said| said.message.is_partial());
    if is_partial && question.wants_json {
        return Err(Violation::PartialJson);
    }
    if rules.lenience.minds(WireRule::DuplicateTools) {
        check_tools(&question.tools)?;
    }
    let mut ledger = Ledger {
        rules,
        wants_reasoning: question.wants_thinking
            && rules.dialect.is_moonshots()
            && rules.lenience.minds(WireRule::ReasoningContent),
        known: HashSet::new(),
        open: Vec::new(),
    };
    for (place, said) in question.messages.iter().enumerate() {
        ledger.read(place, said)?;
    }
    ledger.all_answered()
}

fn check_tools(tools: &[&str]) -> Result<(), Violation> {
    let mut known = HashSet::with_capacity(tools.len());
    let twice = tools.iter().find(|tool| !known.insert(**tool));
    twice.map_or(Ok(()), |tool| {
        let tool = (*tool).to_owned();
        Err(Violation::DuplicateTool { tool })
    })
}

/// The calls seen so far, and which of them wait for a result.
struct Ledger<'a> {
    rules: Rules<'a>,
    wants_reasoning: bool,
    known: HashSet<&'a str>,
    open: Vec<(usize, &'a ToolCall<'a>)>,
}

impl<'a> Ledger<'a> {
    fn read(&mut self, place: usize, said: &'a Said<'a>) -> Result<(), Violation> {
        match said.message.role {
            Role::Tool => self.answer(place, said.message.tool_call_id),
            Role::System | Role::Developer | Role::User | Role::Assistant => {
                self.all_answered()?;
                let calls = said.message.tool_calls();
                if self.wants_reasoning && !calls.is_empty() && !said.message.has_reasoning() {
                    return Err(Violation::NoReasoning { place });
                }
                let mut calls = calls.iter();
                calls.try_for_each(|call| self.call(place, call))
            }
        }
    }

    fn call(&mut self, place: usize, call: &'a ToolCall<'a>) -> Result<(), Violation> {
        if self.rules.lenience.minds(WireRule::DuplicateIds) {
            self.has_own_id(place, call)?;
        }
        let arguments = call.function.arguments;
        if self.rules.lenience.minds(WireRule::Arguments)
            && !is_json(arguments)
            && !self.rules.scripted.knows(arguments)
        {
            return Err(Violation::Arguments {
                place,
                tool: call.function.name.to_owned(),
                arguments: shorten(arguments, 60),
            });
        }
        self.open.push((place, call));
        Ok(())
    }

    fn has_own_id(&mut self, place: usize, call: &'a ToolCall<'a>) -> Result<(), Violation> {
        let tool = || call.function.name.to_owned();
        if call.id.is_empty() {
            return Err(Violation::EmptyId {
                place,
                tool: tool(),
            });
        }
        if !self.known.insert(call.id) {
            return Err(Violation::DuplicateCall {
                place,
                id: call.id.to_owned(),
                tool: tool(),
            });
        }
        Ok(())
    }

    /// Results may come in any order.
    fn answer(&mut self, place: usize, id: Option<&str>) -> Result<(), Violation> {
        if !self.rules.lenience.minds(WireRule::Pairing) {
            return Ok(());
        }
        let id = id.ok_or(Violation::NoCallId { place })?;
        match self.open.iter().position(|(_, call)| call.id == id) {
            Some(open) => {
                self.open.remove(open);
                Ok(())
            }
            None => Err(Violation::NoSuchCall {
                place,
                id: id.to_owned(),
                open: self.open_calls(),
            }),
        }
    }

    fn all_answered(&self) -> Result<(), Violation> {
        match self.open.first() {
            None => Ok(()),
            Some(_) if !self.rules.lenience.minds(WireRule::Pairing) => Ok(()),
            Some((place, call)) => Err(Violation::Unanswered {
                place: *place,
                id: call.id.to_owned(),
                tool: call.function.name.to_owned(),
            }),
        }
    }

    fn open_calls(&self) -> String {
        if self.open.is_empty() {
            return String::new();
        }
        let ids: Vec<_> = self
            .open
            .iter()
            .map(|(_, call)| format!("`{}`", call.id))
            .collect();
        format!("; open: {}", ids.join(", "))
    }
}

impl From<&Violation> for Refused {
    fn from(violation: &Violation) -> Self {
        if let Violation::Responses(unfit) = violation {
            unfit.refused()
        } else {
            Self::Malformed
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::llm::question::request::ChatBody;

    /// With the rules that are put out of force.
    fn judged(request: Value, dialect: Dialect, lenient: &[WireRule]) -> Result<(), String> {
        let length = request["length"].as_u64().unwrap_or_default();
        let body: ChatBody = serde_json::from_value(request).unwrap();
        let scripted = BrokenArguments::default();
        scripted.sent("{broken");
        let rules = Rules {
            dialect,
            lenience: &Lenience::default().and(lenient),
            scripted: &scripted,
            length: usize::try_from(length).unwrap(),
        };
        Question::read(&body)
            .and_then(|question| check(&question, rules))
            .map_err(|violation| violation.to_string())
    }

    fn verdict(messages: &Value) -> Result<(), String> {
        judged(json!({ "messages": messages }), Dialect::OpenAi, &[])
    }

    #[track_caller]
    fn check_refused(messages: &Value, expected: &str) {
        assert_eq!(verdict(messages), Err(expected.to_owned()));
    }

    /// Refused by Moonshot with its words, by nobody else, and not if a script says so.
    #[track_caller]
    fn check_moonshots(request: &Value, rule: WireRule, expected: &str) {
        let judged = |dialect, lenient: &[_]| judged(request.clone(), dialect, lenient);
        assert_eq!(judged(Dialect::Moonshot, &[]), Err(expected.to_owned()));
        assert_eq!(judged(Dialect::Moonshot, &[rule]), Ok(()));
        assert_eq!(judged(Dialect::OpenRouter, &[]), Ok(()));
    }

    /// Not refused if a script says so.
    #[track_caller]
    fn check_lenient(messages: &Value, rule: WireRule) {
        assert!(verdict(messages).is_err());
        let request = json!({ "messages": messages });
        assert_eq!(judged(request, Dialect::OpenAi, &[rule]), Ok(()));
    }

    #[test]
    fn moonshot_wants_the_thoughts_back_that_came_with_a_call() {
        let mut called = calls(&[("a", "{}")]);
        let request = |called: &Value| {
            json!({
                "thinking": {"type": "enabled", "keep": "all"},
                "messages": [{"role": "user", "content": "go"}, called, result("a")],
            })
        };
        check_moonshots(
            &request(&called),
            WireRule::ReasoningContent,
            "thinking is enabled but reasoning_content is missing in assistant tool call message at index 1",
        );
        let mut unthinking = request(&called);
        unthinking["thinking"]["type"] = "disabled".into();
        assert_eq!(judged(unthinking, Dialect::Moonshot, &[]), Ok(()));
        called["reasoning_content"] = "".into();
        assert_eq!(judged(request(&called), Dialect::Moonshot, &[]), Ok(()));
    }

    #[test]
    fn moonshot_takes_two_megabytes_and_not_a_byte_more() {
        let request = |length: usize| json!({"length": length, "messages": [{"role": "user"}]});
        check_moonshots(
            &request(2_097_153),
            WireRule::BodySize,
            "total message size 2097153 exceeds limit 2097152",
        );
        assert_eq!(judged(request(2_097_152), Dialect::Moonshot, &[]), Ok(()));
    }

    #[test]
    fn a_tool_is_offered_once() {
        let tool = json!({"type": "function", "function": {"name": "bash"}});
        let request = json!({"messages": [{"role": "user"}], "tools": [tool, tool]});
        let judged = |lenient: &[_]| judged(request.clone(), Dialect::OpenAi, lenient);
        assert_eq!(
            judged(&[]),
            Err("function name bash is duplicated".to_owned())
        );
        assert_eq!(judged(&[WireRule::DuplicateTools]), Ok(()));
    }

    #[test]
    fn a_script_may_put_a_rule_out_of_force() {
        check_lenient(&json!([calls(&[("a", "{}")])]), WireRule::Pairing);
        check_lenient(&json!([result("a")]), WireRule::Pairing);
        check_lenient(
            &json!([{"role": "tool", "content": "done"}]),
            WireRule::Pairing,
        );
        check_lenient(
            &json!([calls(&[("a", "{oops")]), result("a")]),
            WireRule::Arguments,
        );
        check_lenient(
            &json!([calls(&[("a", "{}"), ("a", "{}")]), result("a"), result("a")]),
            WireRule::DuplicateIds,
        );
        check_lenient(
            &json!([calls(&[("", "{}")]), result("")]),
            WireRule::DuplicateIds,
        );
    }

    fn calls(calls: &[(&str, &str)]) -> Value {
        let calls: Vec<_> = calls
            .iter()
            .map(|(id, arguments)| {
                json!({"id": id, "type": "function", "function": {"name": "bash", "arguments": arguments}})
            })
            .collect();
        json!({"role": "assistant", "tool_calls": calls})
    }

    fn result(id: &str) -> Value {
        json!({"role": "tool", "tool_call_id": id, "content": "done"})
    }

    #[test]
    fn results_may_come_in_any_order_and_with_the_scripts_own_broken_arguments() {
        let history = json!([
            calls(&[("a", "{}"), ("b", "{broken")]),
            result("b"),
            result("a")
        ]);
        assert_eq!(verdict(&history), Ok(()));
    }

    #[test]
    fn calls_and_results_are_paired() {
        check_refused(&json!([]), "`messages` is empty");
        check_refused(
            &json!([calls(&[("a", "{}")]), {"role": "user", "content": "hi"}]),
            "messages[0]: the call `a` of `bash` has no result before the next message",
        );
        check_refused(
            &json!([calls(&[("a", "{}")])]),
            "messages[0]: the call `a` of `bash` has no result before the next message",
        );
        check_refused(
            &json!([calls(&[("a", "{}")]), result("b")]),
            "messages[1]: the tool result answers `b`, which is no open call; open: `a`",
        );
        check_refused(
            &json!([calls(&[("a", "{}")]), result("a"), result("a")]),
            "messages[2]: the tool result answers `a`, which is no open call",
        );
        check_refused(
            &json!([{"role": "tool", "content": "done"}]),
            "messages[0]: a tool result without a `tool_call_id`",
        );
    }

    #[test]
    fn each_call_has_an_id_of_its_own_and_arguments_in_json() {
        check_refused(
            &json!([calls(&[("a", "{}"), ("a", "{}")])]),
            "messages[0]: the call `a` of `bash` has no id of its own; it is used before",
        );
        check_refused(
            &json!([calls(&[("", "{}")])]),
            "messages[0]: a call of `bash` has an empty id",
        );
        check_refused(
            &json!([calls(&[("a", "{oops")])]),
            r#"messages[0]: the arguments of `bash` are not JSON: "{oops""#,
        );
    }

    #[test]
    fn a_message_must_be_one() {
        check_refused(
            &json!([{"role": "robot", "content": "hi"}]),
            "messages[0]: unknown variant `robot`, expected one of `system`, `developer`, `user`, `assistant`, `tool`",
        );
        check_refused(
            &json!([{"content": "hi"}]),
            "messages[0]: missing field `role`",
        );
        check_refused(
            &json!([{"role": "user", "content": 5}]),
            "messages[0]: invalid type: integer `5`, expected a text or a list of parts",
        );
    }
}
