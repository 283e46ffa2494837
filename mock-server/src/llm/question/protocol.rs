//! The rules of the wire that a real server enforces, checked on every request.
//!
//! A mock that is more lenient than the service lets bugs through: a history with an
//! unanswered tool call works here and is a 400 in production.

use std::collections::HashSet;

use crate::llm::dialect::anthropic::Unfit;
use crate::llm::question::request::{Role, ToolCall};
use crate::llm::question::{Question, Said};

/// What is wrong with a request. Places are indices into `messages`, from 0.
#[derive(Debug, thiserror::Error)]
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
    /// What a protocol other than chat completions does not allow, in its own words.
    #[error(transparent)]
    Anthropic(#[from] Unfit),
    #[error("turn `{turn}` calls `{tool}`, but the request offers {offered}")]
    NotOffered {
        turn: String,
        tool: String,
        offered: String,
    },
}

impl From<serde_json::Error> for Violation {
    fn from(fault: serde_json::Error) -> Self {
        let fault = fault.to_string();
        Self::NotARequest { fault }
    }
}

/// Checks the conversation. `scripted` knows the arguments that the script itself has
/// sent broken: a client may, and some do, send them back as they came.
pub(crate) fn check(question: &Question<'_>, scripted: &HashSet<String>) -> Result<(), Violation> {
    if question.messages.is_empty() {
        return Err(Violation::NoMessages);
    }
    let mut ledger = Ledger {
        scripted,
        known: HashSet::new(),
        open: Vec::new(),
    };
    for (place, said) in question.messages.iter().enumerate() {
        ledger.read(place, said)?;
    }
    ledger.all_answered()
}

/// The calls seen so far, and which of them wait for a result.
struct Ledger<'a> {
    scripted: &'a HashSet<String>,
    known: HashSet<&'a str>,
    open: Vec<(usize, &'a ToolCall<'a>)>,
}

impl<'a> Ledger<'a> {
    fn read(&mut self, place: usize, said: &'a Said<'a>) -> Result<(), Violation> {
        match said.message.role {
            Role::Tool => self.answer(place, said.message.tool_call_id),
            Role::System | Role::Developer | Role::User | Role::Assistant => {
                self.all_answered()?;
                let mut calls = said.message.tool_calls().iter();
                calls.try_for_each(|call| self.call(place, call))
            }
        }
    }

    fn call(&mut self, place: usize, call: &'a ToolCall<'a>) -> Result<(), Violation> {
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
        let arguments = call.function.arguments;
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(arguments).is_ok();
        if !is_json && !self.scripted.contains(arguments) {
            return Err(Violation::Arguments {
                place,
                tool: tool(),
                arguments: crate::text::shorten(arguments, 60),
            });
        }
        self.open.push((place, call));
        Ok(())
    }

    /// Results may come in any order.
    fn answer(&mut self, place: usize, id: Option<&str>) -> Result<(), Violation> {
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::llm::question::request::ChatBody;

    fn verdict(messages: &Value) -> Result<(), String> {
        let body: ChatBody = serde_json::from_value(json!({ "messages": messages })).unwrap();
        let scripted = HashSet::from(["{broken".to_owned()]);
        Question::read(&body)
            .and_then(|question| check(&question, &scripted))
            .map_err(|violation| violation.to_string())
    }

    #[track_caller]
    fn check_refused(messages: &Value, expected: &str) {
        assert_eq!(verdict(messages), Err(expected.to_owned()));
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
