//! All turns the model may still say, and which of them answers a request.
//!
//! Within a lane the first turn that is not used up and whose conditions hold answers.
//! To find it among a thousand, the pieces of user text that turns ask for are looked for
//! all at once; only turns without such a piece are tried one by one.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use aho_corasick::AhoCorasick;
use indexmap::IndexMap;

use crate::llm::question::Question;
use crate::llm::question::given::GivenIds;
use crate::llm::score::lines::{Lines, Occasion, Reply};
use crate::llm::script::fault::{Fault, ScriptedFault};
use crate::llm::script::lane::{LaneRule, MAIN_LANE, Origin};
use crate::llm::script::lenient::Lenience;
use crate::llm::script::pattern::Heard;
use crate::llm::script::stream::StreamShape;
use crate::llm::script::template::{Compiled, UnfilledTemplate};
use crate::llm::script::turn::{Any, Clauses, Response, ScriptedTurn, Times};
use crate::llm::script::wording::NumberOr;
use crate::llm::script::{Script, ScriptError};

/// A turn, ready to be said.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) id: Arc<str>,
    pub(crate) lane: String,
    pub(crate) clauses: Clauses,
    pub(crate) lines: Lines,
    pub(crate) times: Times,
    /// How often it was chosen.
    pub(crate) said: u32,
    /// How often its last byte was handed over.
    delivered: u32,
    pub(crate) hold: Option<String>,
    optional: bool,
    stream: StreamShape,
    fault: Option<Doom>,
}

/// The fault of a turn, how often it comes, and how often it came.
#[derive(Debug)]
struct Doom {
    fault: Arc<Fault>,
    times: Times,
    came: u32,
    /// Whether what it breaks is said all the same: all of it comes late, or no other
    /// answer ever comes.
    counts: bool,
}

/// What is to go wrong with one answer.
#[derive(Clone, Debug)]
pub(crate) struct Mishap {
    pub(crate) fault: Arc<Fault>,
    /// Whether the turn counts as said.
    pub(crate) counts: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Repertoire {
    turns: Vec<Turn>,
    lanes: IndexMap<String, LaneRule>,
    finders: BTreeMap<String, Finder>,
    compiled: Compiled,
    /// The rules of the wire that are out of force.
    pub(crate) lenience: Lenience,
    /// Which ids the calls of which turns got.
    pub(crate) given: Arc<GivenIds>,
}

impl Turn {
    pub(crate) fn is_used_up(&self) -> bool {
        match self.times {
            NumberOr::Number(times) => self.said >= times.get(),
            NumberOr::Word(_any) => false,
        }
    }

    /// What goes wrong now that the turn is said.
    pub(crate) fn befall(&mut self) -> Option<Mishap> {
        self.fault.as_mut().and_then(Doom::befall)
    }

    /// Whether it should have been heard to its end more often than it was.
    pub(crate) fn is_owed(&self) -> bool {
        match self.times {
            NumberOr::Number(times) => !self.optional && self.delivered < times.get(),
            NumberOr::Word(_any) => false,
        }
    }
}

impl Doom {
    fn of(turn: &str, scripted: &ScriptedTurn) -> Result<Option<Self>, ScriptError> {
        let turn = || turn.to_owned();
        let Some(ScriptedFault { times, fault }) = scripted.fault.clone() else {
            return match scripted.response {
                Some(_) => Ok(None),
                None => Err(ScriptError::NoAnswer { turn: turn() }),
            };
        };
        let is_alone = scripted.response.is_none();
        if is_alone && times.is_some() {
            return Err(ScriptError::FaultAlone { turn: turn() });
        }
        let times = match times {
            _ if is_alone => Times::Word(Any::Any),
            Some(times) => times,
            None => Times::default(),
        };
        Ok(Some(Self {
            counts: times == Times::Word(Any::Any)
                || fault.lets_all_through(scripted.hold.is_some()),
            fault: Arc::new(fault),
            times,
            came: 0,
        }))
    }

    fn befall(&mut self) -> Option<Mishap> {
        let comes = match self.times {
            NumberOr::Number(times) => self.came < times.get(),
            NumberOr::Word(_any) => true,
        };
        if !comes {
            return None;
        }
        self.came += 1;
        Some(Mishap {
            fault: Arc::clone(&self.fault),
            counts: self.counts,
        })
    }
}

impl Repertoire {
    /// Adds a script behind what is there: all of it, or nothing.
    pub(crate) fn add(&mut self, script: Script) -> Result<(), ScriptError> {
        let lanes = self.merged_lanes(&script)?;
        let lenience = self.lenience.and(&script.lenient);
        let turns = self.read_turns(script, &lanes)?;
        self.lenience = lenience;
        self.turns.extend(turns);
        self.lanes = lanes;
        self.finders = finders(&self.turns);
        let calling = self
            .turns
            .iter()
            .filter(|turn| turn.lines.tools().next().is_some());
        self.given = Arc::new(GivenIds::of(calling.map(|turn| Arc::clone(&turn.id))));
        Ok(())
    }

    pub(crate) fn turns(&self) -> &[Turn] {
        &self.turns
    }

    pub(crate) fn turn(&self, place: usize) -> &Turn {
        &self.turns[place]
    }

    /// Whether a turn that may still be said asks for this model by name.
    pub(crate) fn names_model(&self, model: &str) -> bool {
        let model = Heard::new(model);
        let mut turns = self.turns.iter().filter(|turn| !turn.is_used_up());
        turns.any(|turn| {
            let wanted = turn.clauses.model.as_ref();
            wanted.is_some_and(|wanted| wanted.is_in(&model))
        })
    }

    pub(crate) fn lane_of(&self, origin: &Origin<'_>) -> &str {
        let claimed = self.lanes.iter().find(|(_, rule)| rule.claims(origin));
        claimed.map_or(MAIN_LANE, |(name, _)| name)
    }

    /// The place of the turn that answers.
    pub(crate) fn choose(&self, question: &Question<'_>) -> Option<usize> {
        let finder = self.finders.get(&question.lane)?;
        let answers = |place: &usize| {
            let turn = &self.turns[*place];
            !turn.is_used_up() && turn.clauses.hold(question)
        };
        let heard = finder.heard(question).into_iter().find(answers);
        let before = |place: &usize| heard.is_none_or(|heard| *place < heard);
        let mut earlier = finder.open.iter().copied().take_while(before);
        earlier.find(answers).or(heard)
    }

    pub(crate) fn say(
        &self,
        place: usize,
        question: &Question<'_>,
        occasion: &Occasion<'_>,
    ) -> Result<Reply, UnfilledTemplate> {
        self.turns[place]
            .lines
            .say(&self.compiled, question, occasion)
    }

    /// The shape in which the turn at `place` is streamed.
    pub(crate) fn stream(&self, place: usize) -> &StreamShape {
        &self.turns[place].stream
    }

    /// The turn was chosen; says what goes wrong with it.
    pub(crate) fn count(&mut self, place: usize) -> Option<Mishap> {
        let turn = &mut self.turns[place];
        let mishap = turn.befall();
        if mishap.as_ref().is_some_and(|mishap| !mishap.counts) {
            return mishap;
        }
        turn.said += 1;
        if turn.is_used_up()
            && let Some(finder) = self.finders.get_mut(&turn.lane)
        {
            finder.forget(place);
        }
        mishap
    }

    /// A turn came to its end.
    pub(crate) fn deliver(&mut self, id: &Arc<str>) {
        if let Some(turn) = self.find(id) {
            turn.delivered += 1;
        }
    }

    /// The turn that was chosen before. One of a script that was forgotten meanwhile is not
    /// found, also if its id was given anew.
    pub(crate) fn find(&mut self, id: &Arc<str>) -> Option<&mut Turn> {
        let mut turns = self.turns.iter_mut();
        turns.find(|turn| Arc::ptr_eq(&turn.id, id))
    }

    fn merged_lanes(&self, script: &Script) -> Result<IndexMap<String, LaneRule>, ScriptError> {
        let mut lanes = self.lanes.clone();
        for (lane, rule) in &script.lanes {
            if lane == MAIN_LANE {
                return Err(ScriptError::MainLane);
            }
            if rule.is_empty() {
                return Err(ScriptError::EmptyRule { lane: lane.clone() });
            }
            let known = lanes.insert(lane.clone(), rule.clone());
            if known.is_some_and(|known| known != *rule) {
                return Err(ScriptError::TwoRules { lane: lane.clone() });
            }
        }
        Ok(lanes)
    }

    fn read_turns(
        &mut self,
        script: Script,
        lanes: &IndexMap<String, LaneRule>,
    ) -> Result<Vec<Turn>, ScriptError> {
        let (prefix, first) = match script.name {
            Some(name) => (name, 0),
            None => ("turn".to_owned(), self.turns.len()),
        };
        let mut taken: HashSet<Arc<str>> =
            self.turns.iter().map(|turn| Arc::clone(&turn.id)).collect();
        let mut turns = Vec::with_capacity(script.turns.len());
        for (place, scripted) in script.turns.into_iter().enumerate() {
            let usual = format!("{prefix}-{}", first + place + 1);
            let id: Arc<str> = scripted.id.clone().unwrap_or(usual).into();
            if !taken.insert(Arc::clone(&id)) {
                return Err(ScriptError::DuplicateId { id: id.to_string() });
            }
            turns.push(self.read_turn(id, scripted, lanes)?);
        }
        Ok(turns)
    }

    fn read_turn(
        &mut self,
        id: Arc<str>,
        scripted: ScriptedTurn,
        lanes: &IndexMap<String, LaneRule>,
    ) -> Result<Turn, ScriptError> {
        let fault = Doom::of(&id, &scripted)?;
        let mut clauses = scripted.matches.map(Clauses::from).unwrap_or_default();
        let lane = one_lane(&id, scripted.lane, clauses.lane.take())?;
        if lane != MAIN_LANE && !lanes.contains_key(&lane) {
            return Err(ScriptError::UnknownLane {
                turn: id.to_string(),
                lane,
                known: known(lanes),
            });
        }
        let response = scripted.response.unwrap_or_else(Response::default);
        let lines = Lines::prepare(response, &mut self.compiled);
        let lines = lines.map_err(|fault| ScriptError::Template {
            turn: id.to_string(),
            fault,
        })?;
        Ok(Turn {
            id,
            lane,
            clauses,
            lines,
            times: scripted.times,
            said: 0,
            delivered: 0,
            optional: scripted.optional,
            hold: scripted.hold,
            stream: scripted.stream,
            fault,
        })
    }
}

fn one_lane(
    turn: &str,
    beside: Option<String>,
    inside: Option<String>,
) -> Result<String, ScriptError> {
    match (beside, inside) {
        (Some(beside), Some(inside)) if beside != inside => Err(ScriptError::TwoLanes {
            turn: turn.to_owned(),
            beside,
            inside,
        }),
        (beside, inside) => Ok(beside.or(inside).unwrap_or_else(|| MAIN_LANE.to_owned())),
    }
}

fn known(lanes: &IndexMap<String, LaneRule>) -> String {
    let names = std::iter::once(MAIN_LANE).chain(lanes.keys().map(String::as_str));
    names.collect::<Vec<_>>().join(", ")
}

/// Finds the turns of one lane that a request may be for.
#[derive(Debug, Default)]
struct Finder {
    /// The pieces of user text that turns ask for, and whose each is.
    pieces: Option<AhoCorasick>,
    owners: Vec<usize>,
    /// Turns without such a piece that are not used up, in order.
    open: Vec<usize>,
}

impl Finder {
    /// The turns whose piece occurs in the user's text, in order.
    fn heard(&self, question: &Question<'_>) -> Vec<usize> {
        let (Some(pieces), Some(user)) = (&self.pieces, &question.user) else {
            return Vec::new();
        };
        let found = pieces.find_overlapping_iter(user.folded());
        let mut places: Vec<_> = found
            .map(|piece| self.owners[piece.pattern().as_usize()])
            .collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    fn forget(&mut self, place: usize) {
        if let Ok(index) = self.open.binary_search(&place) {
            self.open.remove(index);
        }
    }
}

fn finders(turns: &[Turn]) -> BTreeMap<String, Finder> {
    let mut pieces: BTreeMap<&str, Vec<(&str, usize)>> = BTreeMap::new();
    let mut finders: BTreeMap<String, Finder> = BTreeMap::new();
    for (place, turn) in turns.iter().enumerate() {
        let piece = turn.clauses.user.as_ref().and_then(|user| user.piece());
        let finder = finders.entry(turn.lane.clone()).or_default();
        match piece {
            Some(piece) => pieces.entry(&turn.lane).or_default().push((piece, place)),
            None if turn.is_used_up() => {}
            None => finder.open.push(place),
        }
    }
    for (lane, pieces) in pieces {
        if let Some(finder) = finders.get_mut(lane) {
            finder.look_for(&pieces);
        }
    }
    finders
}

impl Finder {
    fn look_for(&mut self, pieces: &[(&str, usize)]) {
        match AhoCorasick::new(pieces.iter().map(|(piece, _)| piece)) {
            Ok(automaton) => {
                self.pieces = Some(automaton);
                self.owners = pieces.iter().map(|(_, place)| *place).collect();
            }
            // Gigabytes of script. Then these turns are tried like the others.
            Err(_too_large) => {
                self.open.extend(pieces.iter().map(|(_, place)| *place));
                self.open.sort_unstable();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::llm::question::request::ChatBody;
    use crate::yaml;

    fn repertoire(script: &str) -> Repertoire {
        let mut repertoire = Repertoire::default();
        repertoire
            .add(yaml::read("script.yaml", script).unwrap())
            .unwrap();
        repertoire
    }

    /// Asks one text after the other; the places of the turns that answer, from 1.
    #[track_caller]
    fn check(script: &str, asked: &[&str], answered: &[usize]) {
        let mut repertoire = repertoire(script);
        let mut places = Vec::new();
        for text in asked {
            let body = json!({ "messages": [{ "role": "user", "content": text }] });
            let body: ChatBody = serde_json::from_value(body).unwrap();
            let question = Question::read(&body).unwrap();
            let place = repertoire.choose(&question);
            place
                .into_iter()
                .for_each(|place| drop(repertoire.count(place)));
            places.push(place.map_or(0, |place| place + 1));
        }
        assert_eq!(places, answered);
    }

    #[test]
    fn the_first_turn_that_matches_answers_however_it_is_found() {
        let script = "[{ match: abc, response: {} }, { match: /b/, response: {} }, { match: b, response: {} }, { response: {} }]";
        check(
            script,
            &["abc", "abc", "abc", "abc", "abc"],
            &[1, 2, 3, 4, 0],
        );
        check(script, &["b", "b", "x", "b"], &[2, 3, 4, 0]);
    }

    #[test]
    fn pieces_that_overlap_and_repeat_are_all_found() {
        let script = "[{ match: xab, response: {} }, { match: ab, response: {} }, { match: ab, response: {} }, { match: B, response: {} }]";
        check(script, &["ab ab", "AB", "ab", "ab"], &[2, 3, 4, 0]);
    }

    #[test]
    fn a_turn_is_said_after_its_faults_have_come() {
        let html = "fault: { html: 502";
        check(
            &format!("[{{ {html}, times: 2 }}, response: {{}} }}]"),
            &["x", "x", "x", "x"],
            &[1, 1, 1, 0],
        );
        check(
            &format!("[{{ {html} }}, response: {{}} }}, {{ response: {{}} }}]"),
            &["x", "x", "x", "x"],
            &[1, 1, 2, 0],
        );
    }

    #[test]
    fn a_fault_that_is_all_that_comes_counts_as_said() {
        for script in [
            "[{ fault: { html: 502 } }]",
            "[{ fault: { html: 502, times: any }, response: {} }]",
            "[{ fault: { slow: { every: 1s } }, response: {} }]",
        ] {
            check(script, &["x", "x"], &[1, 0]);
        }
        check(
            "[{ times: 2, fault: { html: 502 } }]",
            &["x", "x", "x"],
            &[1, 1, 0],
        );
    }

    #[test]
    fn a_turn_without_an_answer_is_refused() {
        #[track_caller]
        fn check(script: &str, complaint: &str) {
            let script = yaml::read("script.yaml", script).unwrap();
            let refused = Repertoire::default().add(script).unwrap_err();
            assert_eq!(refused.to_string(), complaint);
        }
        check(
            "[{ id: x }]",
            "turn `x` answers nothing; give it a `response`, a `fault`, or both",
        );
        check(
            "[{ id: x, fault: { html: 502, times: 2 } }]",
            "the fault of turn `x` has a `times`, but no response comes after it; say beside the fault how often the turn is asked: `times`",
        );
    }

    #[test]
    fn a_script_added_later_comes_behind_and_what_was_said_stays_said() {
        let mut repertoire = repertoire("[{ match: a, response: {} }]");
        drop(repertoire.count(0));
        repertoire
            .add(yaml::read("more.yaml", "[{ match: a, response: {} }]").unwrap())
            .unwrap();
        let body = json!({ "messages": [{ "role": "user", "content": "a" }] });
        let body: ChatBody = serde_json::from_value(body).unwrap();
        assert_eq!(repertoire.choose(&Question::read(&body).unwrap()), Some(1));
    }
}
