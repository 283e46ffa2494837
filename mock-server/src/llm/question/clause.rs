//! One condition of a turn: whether it holds, and if not, why not.

use std::borrow::Cow;
use std::num::NonZeroUsize;

use crate::llm::question::Question;
use crate::llm::question::given::GivenIds;
use crate::llm::question::request::{Role, ToolResult};
use crate::llm::question::result_json::{as_text, json_in};
use crate::llm::script::pattern::{Heard, TextPattern};
use crate::llm::script::turn::{Clauses, Match, Speaker, ToolResultClause};

/// One condition that a turn makes.
#[derive(Debug)]
pub(crate) enum Clause<'a> {
    User(&'a TextPattern),
    ToolResult(&'a ToolResultClause),
    System(&'a TextPattern),
    Model(&'a TextPattern),
    Turn(NonZeroUsize),
    Messages(Speaker, &'a TextPattern),
}

impl Clauses {
    /// The conditions that are given, without the lane.
    pub(crate) fn given(&self) -> impl Iterator<Item = Clause<'_>> {
        let messages = self.messages.iter();
        (self.user.iter().map(Clause::User))
            .chain(self.tool_result.iter().map(Clause::ToolResult))
            .chain(self.system.iter().map(Clause::System))
            .chain(self.model.iter().map(Clause::Model))
            .chain(self.turn.iter().copied().map(Clause::Turn))
            .chain(messages.map(|(speaker, pattern)| Clause::Messages(*speaker, pattern)))
    }

    pub(crate) fn hold(&self, question: &Question<'_>) -> bool {
        self.given().all(|clause| clause.holds(question))
    }
}

impl From<Match> for Clauses {
    fn from(matches: Match) -> Self {
        match matches {
            Match::All(clauses) => *clauses,
            Match::User(pattern) => Self {
                user: Some(pattern),
                ..Self::default()
            },
        }
    }
}

impl Clause<'_> {
    pub(crate) fn holds(&self, question: &Question<'_>) -> bool {
        match self {
            Self::User(pattern) => question
                .user
                .as_ref()
                .is_some_and(|user| pattern.is_in(user)),
            Self::System(pattern) => {
                let system = question.system.as_ref();
                system.is_some_and(|system| pattern.is_in(system))
            }
            Self::Model(pattern) => pattern.is_in(&question.model),
            Self::Turn(turn) => question.turn() == turn.get(),
            Self::ToolResult(wanted) => {
                let mut results = question.tool_results.iter();
                results.any(|result| wanted.unlike(result, &question.given).is_none())
            }
            Self::Messages(speaker, pattern) => {
                let mut messages = question.said_by(speaker.role());
                messages.any(|said| pattern.is_in(&said.text))
            }
        }
    }

    /// Why it does not hold.
    pub(crate) fn failure(&self, question: &Question<'_>) -> String {
        match self {
            Self::User(_) if question.user.is_none() => "there is no user text".to_owned(),
            Self::User(pattern) => format!("user does not {pattern}"),
            Self::System(_) if question.system.is_none() => "there is no system prompt".to_owned(),
            Self::System(pattern) => format!("system does not {pattern}"),
            Self::Model(pattern) => format!("model does not {pattern}"),
            Self::Turn(turn) => format!("turn is {}, not {turn}", question.turn()),
            Self::ToolResult(wanted) => no_such_result(wanted, question),
            Self::Messages(speaker, pattern) => {
                format!("no {} message does {pattern}", speaker.role().as_str())
            }
        }
    }
}

impl ToolResultClause {
    fn unlike(&self, result: &ToolResult<'_>, given: &GivenIds) -> Option<String> {
        if let Some(name) = &self.name
            && name != result.name
        {
            return Some(format!("tool_result is of `{}`, not `{name}`", result.name));
        }
        if let Some(call) = &self.call
            && given.fit(call, result.called()).is_none()
        {
            return Some(format!(
                "tool_result is of the call `{}`, not `{call}`",
                result.call
            ));
        }
        if let Some(ok) = self.ok
            && ok != result.ok
        {
            let outcome = if result.ok { "went well" } else { "failed" };
            return Some(format!("tool_result of `{}` {outcome}", result.name));
        }
        self.unlike_text(result)
    }

    fn unlike_text(&self, result: &ToolResult<'_>) -> Option<String> {
        let (place, text) = match &self.pointer {
            None => (String::new(), Cow::Borrowed(&*result.text)),
            Some(pointer) => {
                let json = json_in(&result.text);
                let found = json.as_ref().and_then(|json| json.pointer(pointer));
                let Some(found) = found else {
                    return Some(format!(
                        "tool_result of `{}` has nothing at `{pointer}`",
                        result.name
                    ));
                };
                (format!(" at `{pointer}`"), Cow::Owned(as_text(found)))
            }
        };
        let pattern = self.text.as_ref()?;
        (!pattern.is_in(&Heard::new(text)))
            .then(|| format!("tool_result of `{}`{place} does not {pattern}", result.name))
    }
}

/// Of several results the one of the right call or tool tells most.
fn no_such_result(wanted: &ToolResultClause, question: &Question<'_>) -> String {
    let results = &question.tool_results;
    let same_tool = |result: &&ToolResult<'_>| match &wanted.call {
        Some(call) => question.given.fit(call, result.called()).is_some(),
        None => Some(result.name) == wanted.name.as_deref(),
    };
    let nearest = results.iter().find(same_tool).or_else(|| results.last());
    nearest
        .and_then(|result| wanted.unlike(result, &question.given))
        .unwrap_or_else(|| "there is no tool_result".to_owned())
}

impl Speaker {
    pub(crate) fn role(self) -> Role {
        match self {
            Self::User => Role::User,
            Self::Assistant => Role::Assistant,
            Self::Tool => Role::Tool,
        }
    }
}
