//! Which calls of a conversation a script means by a name.
//!
//! A name is the id that the script gave a call, a turn (`upload`, its first call;
//! `upload#2`, its second), or a tool (its call that was answered last).

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::llm::question::call_id::{may_become, plain};

/// A call as it was made, or as a client sends it back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Called<'a> {
    pub(crate) id: &'a str,
    pub(crate) tool: &'a str,
    pub(crate) arguments: &'a str,
}

/// How well a name fits a call; the better is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fit {
    Tool,
    Turn,
    /// The id, if a client has cut or numbered it.
    AlmostId,
    Id,
}

/// The calls that turns have made, as far as anybody will ask for them.
#[derive(Debug, Default)]
pub(crate) struct GivenIds {
    turns: HashMap<Arc<str>, Arc<Mutex<Ids>>>,
}

type Ids = HashSet<Given>;

/// A call that a turn has made. Some services count ids anew in every conversation, so that
/// only tool and arguments tell it from another's with the same id.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Given {
    /// Among the calls of the turn.
    place: usize,
    id: String,
    tool: String,
    /// None if they are no JSON; nobody knows what a client makes of such.
    arguments: Option<Value>,
}

impl Given {
    fn is(&self, call: Called<'_>) -> bool {
        let heard = json(call.arguments);
        let both = self.arguments.as_ref().zip(heard.as_ref());
        may_become(&self.id, call.id)
            && self.tool == call.tool
            && both.is_none_or(|(given, heard)| given == heard)
    }
}

fn json(arguments: &str) -> Option<Value> {
    match serde_json::from_str(arguments) {
        Ok(arguments) => Some(arguments),
        Err(_malformed) => None,
    }
}

impl GivenIds {
    /// Those of these turns; what is known of them stays known.
    pub(crate) fn renewed<'a>(&self, turns: impl Iterator<Item = &'a Arc<str>>) -> Self {
        let known = |turn: &Arc<str>| {
            let ids = self.turns.get(turn).map(Arc::clone).unwrap_or_default();
            (Arc::clone(turn), ids)
        };
        Self {
            turns: turns.map(known).collect(),
        }
    }

    /// This was the call at `place` of the turn, in some conversation.
    pub(crate) fn note(&self, turn: &str, place: usize, call: Called<'_>) {
        if let Some(given) = self.turns.get(turn) {
            let mut given = given.lock().unwrap_or_else(PoisonError::into_inner);
            given.insert(Given {
                place,
                id: plain(call.id),
                tool: call.tool.to_owned(),
                arguments: json(call.arguments),
            });
        }
    }

    /// Whether and how well `name` fits a call.
    pub(crate) fn fit(&self, name: &str, call: Called<'_>) -> Option<Fit> {
        if plain(name) == plain(call.id) {
            return Some(Fit::Id);
        }
        if may_become(name, call.id) {
            return Some(Fit::AlmostId);
        }
        if self.is_of_turn(name, call) {
            return Some(Fit::Turn);
        }
        (name == call.tool).then_some(Fit::Tool)
    }

    fn is_of_turn(&self, name: &str, call: Called<'_>) -> bool {
        let (turn, place) = place_in_turn(name);
        self.turns.get(turn).is_some_and(|given| {
            let given = given.lock().unwrap_or_else(PoisonError::into_inner);
            let mut given = given.iter().filter(|given| given.place == place);
            given.any(|given| given.is(call))
        })
    }
}

/// `upload#2` is the second call of the turn `upload`, at place 1.
fn place_in_turn(name: &str) -> (&str, usize) {
    let place = name.rsplit_once('#').and_then(|(turn, place)| {
        let place: usize = match place.parse() {
            Ok(place) => place,
            Err(_no_number) => return None,
        };
        Some((turn, place.checked_sub(1)?))
    });
    place.unwrap_or((name, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called<'a>(id: &'a str, tool: &'a str, arguments: &'a str) -> Called<'a> {
        Called {
            id,
            tool,
            arguments,
        }
    }

    #[track_caller]
    fn check(name: &str, id: &str, fit: Option<Fit>) {
        let tool = if id.contains("Bash") { "Bash" } else { "Write" };
        check_call(name, called(id, tool, r#"{ "b": 2, "a": 1 }"#), fit);
    }

    #[track_caller]
    fn check_call(name: &str, call: Called<'_>, fit: Option<Fit>) {
        let given = GivenIds::default().renewed([Arc::from("upload")].iter());
        let arguments = r#"{"a":1,"b":2}"#;
        given.note("upload", 0, called("Write:0", "Write", arguments));
        given.note("upload", 1, called("Bash:1", "Bash", arguments));
        given.note("upload", 2, called("Bash:2", "Bash", r#"{"a":"#));
        assert_eq!(given.fit(name, call), fit, "{name} for {call:?}");
    }

    #[test]
    fn a_call_of_another_conversation_is_told_by_its_tool_and_arguments() {
        let other = r#"{"a":1}"#;
        check_call("upload", called("Write:0", "Write", other), None);
        check_call(
            "upload",
            called("Write:0", "Read", r#"{"a":1,"b":2}"#),
            None,
        );
        // What a client makes of no JSON nobody knows.
        let spoilt = Some(Fit::Turn);
        check_call("upload#3", called("Bash:2", "Bash", other), spoilt);
        check_call("upload", called("Write:0", "Write", "{"), spoilt);
    }

    #[test]
    fn a_call_is_known_by_its_id_its_turn_and_its_tool() {
        check("c:1", "c_1", Some(Fit::Id));
        check("c:1", "c_1__2", Some(Fit::AlmostId));
        check("upload", "Write_0", Some(Fit::Turn));
        check("upload#1", "Write_0", Some(Fit::Turn));
        check("upload#2", "Bash_1", Some(Fit::Turn));
        check("Write", "Write_7", Some(Fit::Tool));
        check("upload#2", "Write_0", None);
        check("upload#0", "Write_0", None);
        check("other", "Write_0", None);
    }
}
