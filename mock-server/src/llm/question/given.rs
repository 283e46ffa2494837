//! Which calls of a conversation a script means by a name.
//!
//! A name is the id that the script gave a call, a turn (`upload`, its first call;
//! `upload#2`, its second), or a tool (its call that was answered last).

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use crate::llm::question::call_id::{may_become, plain};

/// How well a name fits a call; the better is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fit {
    Tool,
    Turn,
    /// The id, if a client has cut or numbered it.
    AlmostId,
    Id,
}

/// The ids that turns have given their calls, as far as anybody will ask for them.
#[derive(Debug, Default)]
pub(crate) struct GivenIds {
    turns: HashMap<Arc<str>, Arc<Mutex<Ids>>>,
}

/// Ids of calls, each with the place of its call in the turn.
type Ids = HashSet<(usize, String)>;

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

    /// The call at `place` of the turn got this id, in some conversation.
    pub(crate) fn note(&self, turn: &str, place: usize, id: &str) {
        if let Some(given) = self.turns.get(turn) {
            let mut given = given.lock().unwrap_or_else(PoisonError::into_inner);
            given.insert((place, plain(id)));
        }
    }

    /// Whether and how well `name` fits a call of `tool` with this id.
    pub(crate) fn fit(&self, name: &str, id: &str, tool: &str) -> Option<Fit> {
        if plain(name) == plain(id) {
            return Some(Fit::Id);
        }
        if may_become(name, id) {
            return Some(Fit::AlmostId);
        }
        if self.is_of_turn(name, id) {
            return Some(Fit::Turn);
        }
        (name == tool).then_some(Fit::Tool)
    }

    fn is_of_turn(&self, name: &str, id: &str) -> bool {
        let (turn, place) = place_in_turn(name);
        self.turns.get(turn).is_some_and(|given| {
            let given = given.lock().unwrap_or_else(PoisonError::into_inner);
            let mut given = given.iter().filter(|(at, _)| *at == place);
            given.any(|(_, sent)| may_become(sent, id))
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

    #[track_caller]
    fn check(name: &str, id: &str, fit: Option<Fit>) {
        let given = GivenIds::default().renewed([Arc::from("upload")].iter());
        given.note("upload", 0, "Write:0");
        given.note("upload", 1, "Bash:1");
        assert_eq!(given.fit(name, id, "Write"), fit, "{name} for {id}");
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
