//! Finds the turns of a lane that a request may be for, at a cost that does not grow with
//! their number.
//!
//! The pieces of user text that turns ask for are looked for all at once, and so are the
//! regular expressions; turns that ask for a tool's result stand under the tool. Only what
//! is left is tried one by one, and of that what is used up is skipped in one step.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aho_corasick::AhoCorasick;
use regex::RegexSet;

use crate::llm::question::Question;
use crate::llm::score::turn::Turn;

/// The turns of a lane, sorted by what they ask for. Turns are known by their slot.
#[derive(Debug, Default)]
pub(crate) struct Finder {
    pieces: Option<(AhoCorasick, Vec<Row>)>,
    patterns: Option<(RegexSet, Vec<Row>)>,
    tools: HashMap<String, Row>,
    others: Row,
}

/// Turns that ask for the same, in order.
#[derive(Debug, Default)]
struct Row {
    slots: Vec<usize>,
    /// Before this one all are used up for good.
    first: AtomicUsize,
}

/// What a turn is good for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Answers,
    AnswersNot,
    /// And never will again.
    IsOver,
}

impl Finder {
    pub(crate) fn of(turns: &[Arc<Turn>]) -> Self {
        let mut pieces: BTreeMap<&str, Row> = BTreeMap::new();
        let mut patterns: BTreeMap<&str, Row> = BTreeMap::new();
        let mut finder = Self::default();
        for (slot, turn) in turns.iter().enumerate() {
            let user = turn.clauses.user.as_ref();
            let result = turn.clauses.tool_result.as_ref();
            let tool = result.and_then(|result| result.name.as_ref());
            let row = if let Some(piece) = user.and_then(|user| user.piece()) {
                pieces.entry(piece).or_default()
            } else if let Some(pattern) = user.and_then(|user| user.regex()) {
                patterns.entry(pattern).or_default()
            } else if let Some(tool) = tool {
                finder.tools.entry(tool.clone()).or_default()
            } else {
                &mut finder.others
            };
            row.slots.push(slot);
        }
        finder.look_for(pieces);
        finder.look_for_patterns(patterns);
        finder.others.slots.sort_unstable();
        finder
    }

    /// The first turn that answers, in the order of the script.
    pub(crate) fn first(
        &self,
        question: &Question<'_>,
        standing: impl Fn(usize) -> Standing,
    ) -> Option<usize> {
        let mut rows = vec![&self.others];
        let tools = question.tool_results.iter();
        rows.extend(tools.filter_map(|result| self.tools.get(result.name)));
        if let Some(user) = &question.user {
            if let Some((pieces, found)) = &self.pieces {
                let mut places: Vec<_> = pieces
                    .find_overlapping_iter(user.folded())
                    .map(|piece| piece.pattern().as_usize())
                    .collect();
                places.sort_unstable();
                places.dedup();
                rows.extend(places.into_iter().map(|place| &found[place]));
            }
            if let Some((patterns, found)) = &self.patterns {
                let places = patterns.matches(user.text()).into_iter();
                rows.extend(places.map(|place| &found[place]));
            }
        }
        let earlier = |best: Option<usize>, row: &Row| row.first(best, &standing).or(best);
        rows.into_iter().fold(None, earlier)
    }

    fn look_for(&mut self, rows: BTreeMap<&str, Row>) {
        if rows.is_empty() {
            return;
        }
        match AhoCorasick::new(rows.keys()) {
            Ok(automaton) => self.pieces = Some((automaton, rows.into_values().collect())),
            // Gigabytes of script. Then these turns are tried like the others.
            Err(_too_large) => self.try_each(rows),
        }
    }

    fn look_for_patterns(&mut self, rows: BTreeMap<&str, Row>) {
        if rows.is_empty() {
            return;
        }
        match RegexSet::new(rows.keys()) {
            Ok(set) => self.patterns = Some((set, rows.into_values().collect())),
            Err(_too_large) => self.try_each(rows),
        }
    }

    fn try_each(&mut self, rows: BTreeMap<&str, Row>) {
        let slots = rows.into_values().flat_map(|row| row.slots);
        self.others.slots.extend(slots);
    }
}

impl Row {
    /// The first that answers, if it stands before `best`.
    fn first(&self, best: Option<usize>, standing: &impl Fn(usize) -> Standing) -> Option<usize> {
        let begin = self.first.load(Ordering::Relaxed);
        let mut first = begin;
        let mut found = None;
        let open = self.slots.iter().copied().enumerate().skip(begin);
        for (place, slot) in open {
            if best.is_some_and(|best| best <= slot) {
                break;
            }
            match standing(slot) {
                Standing::Answers => {
                    found = Some(slot);
                    break;
                }
                Standing::IsOver if place == first => first += 1,
                Standing::IsOver | Standing::AnswersNot => {}
            }
        }
        if first > begin {
            self.first.fetch_max(first, Ordering::Relaxed);
        }
        found
    }
}
