//! All turns the model may still say, and which of them answers a request.
//!
//! Within a lane the first turn that is not used up and whose conditions hold answers.
//! A repertoire does not change: a script that is added makes another, with the tallies of
//! this one, so that nobody who asks has to wait.

use std::collections::HashSet;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::llm::question::given::GivenIds;
use crate::llm::score::doom::Doom;
use crate::llm::score::lane::{Debt, Lane};
use crate::llm::score::lines::Lines;
use crate::llm::score::strikes::Strikes;
use crate::llm::score::turn::Turn;
use crate::llm::script::lane::{LaneRule, MAIN_LANE, known};
use crate::llm::script::lenient::Lenience;
use crate::llm::script::origin::Origin;
use crate::llm::script::pattern::Heard;
use crate::llm::script::template::Compiled;
use crate::llm::script::turn::{Any, Clauses, ScriptedTurn};
use crate::llm::script::wording::NumberOr;
use crate::llm::script::{Script, ScriptError};

#[derive(Debug)]
pub(crate) struct Repertoire {
    /// In the order in which they are asked whether a request is theirs.
    lanes: IndexMap<String, Lane>,
    /// How many turns there are in all.
    count: usize,
    pub(crate) compiled: Compiled,
    /// The rules of the wire that are out of force.
    pub(crate) lenience: Lenience,
    /// Which ids the calls of which turns got.
    pub(crate) given: Arc<GivenIds>,
    /// What goes wrong by number, whatever turn answers.
    pub(crate) strikes: Strikes,
}

impl Repertoire {
    /// This one with a script behind what is there: all of it, or an error.
    pub(crate) fn with(&self, script: Script) -> Result<Self, ScriptError> {
        let rules = self.merged_rules(&script)?;
        let lanes: Vec<_> = rules.keys().map(String::as_str).collect();
        let strikes = self.strikes.with(script.faults, &lanes)?;
        let mut reading = Reading::after(self, script.name, rules);
        for scripted in script.turns {
            reading.read(scripted)?;
        }
        reading.read_otherwise(self)?;
        Ok(Self {
            lenience: self.lenience.and(&script.lenient),
            strikes,
            ..reading.into_repertoire(self)
        })
    }

    pub(crate) fn lanes(&self) -> impl Iterator<Item = &Lane> {
        self.lanes.values()
    }

    /// The turns that are tried, lane by lane.
    pub(crate) fn turns(&self) -> impl Iterator<Item = &Arc<Turn>> {
        self.lanes().flat_map(Lane::turns)
    }

    /// Whether a turn asks for this model by name.
    pub(crate) fn names_model(&self, model: &str) -> bool {
        let model = Heard::new(model);
        self.turns().any(|turn| {
            let wanted = turn.clauses.model.as_ref();
            wanted.is_some_and(|wanted| wanted.is_in(&model))
        })
    }

    /// The lane that a request is for.
    pub(crate) fn lane_of(&self, origin: Origin<'_>) -> Option<&Lane> {
        let mut others = self.lanes().filter(|lane| lane.rule.has_conditions());
        others
            .find(|lane| lane.rule.claims(origin))
            .or_else(|| self.lanes.get(MAIN_LANE))
    }

    /// What is still owed, in the order of the scripts.
    pub(crate) fn debts(&self) -> Vec<Debt> {
        let mut debts: Vec<_> = self.lanes().flat_map(Lane::debts).collect();
        debts.sort_by_key(|debt| debt.turn.place);
        debts
    }

    fn merged_rules(&self, script: &Script) -> Result<IndexMap<String, LaneRule>, ScriptError> {
        let known = self.lanes().map(|lane| (&*lane.name, &lane.rule));
        let mut rules: IndexMap<String, LaneRule> = known
            .map(|(name, rule)| (name.to_owned(), rule.clone()))
            .collect();
        for (name, rule) in &script.lanes {
            let lane = || name.clone();
            match (name == MAIN_LANE, rule.has_conditions()) {
                (true, true) => return Err(ScriptError::MainLane),
                (false, false) => return Err(ScriptError::EmptyRule { lane: lane() }),
                (true, false) | (false, true) => {}
            }
            let known = rules.insert(name.clone(), rule.clone());
            // That there is a lane `main` need not be said.
            let is_new = |known: &LaneRule| name == MAIN_LANE && *known == LaneRule::default();
            if known.is_some_and(|known| known != *rule && !is_new(&known)) {
                return Err(ScriptError::TwoRules { lane: lane() });
            }
        }
        Ok(rules)
    }
}

impl Default for Repertoire {
    fn default() -> Self {
        let main = Lane::new(MAIN_LANE.into(), LaneRule::default());
        Self {
            lanes: IndexMap::from([(MAIN_LANE.to_owned(), main)]),
            count: 0,
            compiled: Compiled::default(),
            lenience: Lenience::default(),
            given: Arc::default(),
            strikes: Strikes::default(),
        }
    }
}

/// A script on its way into a repertoire.
struct Reading {
    /// What turns without a name are called, and how many there were before.
    prefix: String,
    first: usize,
    /// How many turns of this script were read.
    read: usize,
    count: usize,
    taken: HashSet<Arc<str>>,
    rules: IndexMap<String, LaneRule>,
    compiled: Compiled,
    turns: Vec<Arc<Turn>>,
    otherwise: Vec<Arc<Turn>>,
}

impl Reading {
    fn after(
        repertoire: &Repertoire,
        name: Option<String>,
        rules: IndexMap<String, LaneRule>,
    ) -> Self {
        let (prefix, first) = match name {
            Some(name) => (name, 0),
            None => ("turn".to_owned(), repertoire.count),
        };
        Self {
            prefix,
            first,
            read: 0,
            count: repertoire.count,
            taken: repertoire
                .turns()
                .map(|turn| Arc::clone(&turn.id))
                .collect(),
            rules,
            compiled: repertoire.compiled.clone(),
            turns: Vec::new(),
            otherwise: Vec::new(),
        }
    }

    fn read(&mut self, scripted: ScriptedTurn) -> Result<(), ScriptError> {
        self.read += 1;
        let usual = format!("{}-{}", self.prefix, self.first + self.read);
        let id = self.own_id(scripted.id.clone().unwrap_or(usual))?;
        let turn = self.turn(id, scripted)?;
        self.turns.push(turn.into());
        self.count += 1;
        Ok(())
    }

    /// What lanes say when none of their turns answers, if they did not say so before.
    fn read_otherwise(&mut self, before: &Repertoire) -> Result<(), ScriptError> {
        let is_new = |name: &String| {
            let known = before.lanes.get(name);
            known.is_none_or(|lane| lane.rule.otherwise.is_none())
        };
        let given: Vec<_> = self
            .rules
            .iter()
            .filter(|(name, _)| is_new(name))
            .filter_map(|(name, rule)| Some((name.clone(), rule.otherwise.clone()?)))
            .collect();
        for (lane, response) in given {
            let id = self.own_id(format!("{lane}-otherwise"))?;
            let scripted = ScriptedTurn {
                response: Some(response),
                times: NumberOr::Word(Any::Any),
                lane: Some(lane),
                ..ScriptedTurn::default()
            };
            let turn = self.turn(id, scripted)?;
            self.otherwise.push(turn.into());
        }
        Ok(())
    }

    fn own_id(&mut self, id: String) -> Result<Arc<str>, ScriptError> {
        let id: Arc<str> = id.into();
        if self.taken.insert(Arc::clone(&id)) {
            Ok(id)
        } else {
            Err(ScriptError::DuplicateId { id: id.to_string() })
        }
    }

    fn turn(&mut self, id: Arc<str>, scripted: ScriptedTurn) -> Result<Turn, ScriptError> {
        let fault = Doom::of(&id, &scripted)?;
        let mut clauses = scripted.matches.map(Clauses::from).unwrap_or_default();
        let lane = one_lane(&id, scripted.lane, clauses.lane.take())?;
        if !self.rules.contains_key(&lane) {
            let lanes: Vec<_> = self.rules.keys().map(String::as_str).collect();
            return Err(ScriptError::UnknownLane {
                turn: id.to_string(),
                lane,
                known: known(&lanes),
            });
        }
        let response = scripted.response.unwrap_or_default();
        let lines = Lines::prepare(response, &mut self.compiled);
        let lines = lines.map_err(|fault| ScriptError::Template {
            turn: id.to_string(),
            fault,
        })?;
        Ok(Turn {
            id,
            place: self.count,
            lane: lane.into(),
            clauses,
            lines,
            times: scripted.times,
            hold: scripted.hold,
            optional: scripted.optional,
            stream: scripted.stream,
            fault,
        })
    }

    fn into_repertoire(self, before: &Repertoire) -> Repertoire {
        let of_lane = |turns: &[Arc<Turn>], name: &str| -> Vec<_> {
            let turns = turns.iter().filter(|turn| &*turn.lane == name);
            turns.cloned().collect()
        };
        let lane = |(name, rule): (String, LaneRule)| {
            let fresh = || Lane::new(name.as_str().into(), rule.clone());
            let added = of_lane(&self.turns, &name);
            let otherwise = of_lane(&self.otherwise, &name).pop();
            let lane = match before.lanes.get(&name) {
                Some(lane) => lane.with(rule, added, otherwise),
                None => fresh().with(rule, added, otherwise),
            };
            (name, lane)
        };
        let lanes: IndexMap<String, Lane> = self.rules.into_iter().map(lane).collect();
        let turns = lanes.values().flat_map(Lane::turns);
        let calling = turns.filter(|turn| turn.lines.tools().next().is_some());
        let given = before.given.renewed(calling.map(|turn| &turn.id));
        Repertoire {
            given: Arc::new(given),
            lanes,
            count: self.count,
            compiled: self.compiled,
            lenience: before.lenience.clone(),
            strikes: before.strikes.clone(),
        }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::llm::question::Question;
    use crate::llm::question::request::ChatBody;
    use crate::llm::score::turn::Receipt;
    use crate::yaml;

    fn repertoire(script: &str) -> Repertoire {
        let script = yaml::read("script.yaml", script).unwrap();
        Repertoire::default().with(script).unwrap()
    }

    /// Says the turn that answers; its place, from 1.
    fn say(repertoire: &Repertoire, text: &str) -> usize {
        let body = json!({ "messages": [{ "role": "user", "content": text }] });
        let body: ChatBody = serde_json::from_value(body).unwrap();
        let question = Question::read(&body).unwrap();
        let lane = &repertoire.lanes[MAIN_LANE];
        let tallies = lane.tallies(None);
        let Some(receipt) = lane.choose(&question, &tallies) else {
            return 0;
        };
        let Receipt { turn, tally } = &receipt;
        let counts = turn.befall(tally).is_none_or(|mishap| mishap.counts);
        assert!(!counts || tally.claim(tallies.limit(turn.times)).is_some());
        turn.place + 1
    }

    /// Asks one text after the other; the places of the turns that answer, from 1.
    #[track_caller]
    fn check(script: &str, asked: &[&str], answered: &[usize]) {
        let repertoire = repertoire(script);
        let places: Vec<_> = asked.iter().map(|text| say(&repertoire, text)).collect();
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
            let refused = Repertoire::default().with(script).unwrap_err();
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
        let first = repertoire("[{ match: a, response: {} }]");
        assert_eq!(say(&first, "a"), 1);
        let more = yaml::read("more.yaml", "[{ match: a, response: {} }]").unwrap();
        let both = first.with(more).unwrap();
        assert_eq!(say(&both, "a"), 2);
        assert_eq!(say(&both, "a"), 0);
    }
}
