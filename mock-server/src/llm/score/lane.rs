//! One lane of the script: its turns, and who has heard which of them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::llm::question::Question;
use crate::llm::score::finder::{Finder, Standing};
use crate::llm::score::tally::{Tallies, Tally};
use crate::llm::score::turn::{Receipt, Turn};
use crate::llm::script::lane::{LaneRule, Per};
use crate::llm::script::turn::Times;
use crate::llm::script::wording::NumberOr;

/// The tallies of each conversation.
type Copies = Arc<RwLock<BTreeMap<String, Tallies>>>;

#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) name: Arc<str>,
    pub(crate) rule: LaneRule,
    turns: Vec<Arc<Turn>>,
    /// What is said when none of them answers.
    otherwise: Option<Receipt>,
    /// The tallies of all conversations together, where they share the turns.
    shared: Tallies,
    /// The only thing that requests of different conversations may wait for each other at,
    /// and only where each has the turns for itself.
    copies: Copies,
    finder: Finder,
}

/// What is still owed of a turn.
#[derive(Debug)]
pub(crate) struct Debt {
    pub(crate) turn: Arc<Turn>,
    pub(crate) tally: Arc<Tally>,
    pub(crate) conversation: Option<String>,
    /// How often it should be said in all.
    pub(crate) wanted: u32,
}

impl Lane {
    /// A lane in which nothing was said.
    pub(crate) fn new(name: Arc<str>, rule: LaneRule) -> Self {
        Self {
            name,
            rule,
            turns: Vec::new(),
            otherwise: None,
            shared: Tallies::default(),
            copies: Copies::default(),
            finder: Finder::default(),
        }
    }

    /// The same lane with turns behind those that are there. What was said stays said.
    pub(crate) fn with(
        &self,
        rule: LaneRule,
        added: Vec<Arc<Turn>>,
        otherwise: Option<Arc<Turn>>,
    ) -> Self {
        let turns: Vec<_> = self.turns.iter().cloned().chain(added).collect();
        let new_otherwise = || {
            otherwise.map(|turn| Receipt {
                turn,
                tally: Arc::default(),
            })
        };
        Self {
            name: Arc::clone(&self.name),
            rule,
            finder: Finder::of(&turns),
            shared: self.shared.grown(turns.len()),
            copies: Arc::clone(&self.copies),
            otherwise: self.otherwise.clone().or_else(new_otherwise),
            turns,
        }
    }

    pub(crate) fn is_per_conversation(&self) -> bool {
        self.rule.per == Some(Per::Conversation)
    }

    pub(crate) fn turns(&self) -> &[Arc<Turn>] {
        &self.turns
    }

    pub(crate) fn holds(&self, turn: &Arc<Turn>) -> bool {
        let otherwise = self.otherwise.as_ref().map(|receipt| &receipt.turn);
        let mut turns = self.turns.iter().chain(otherwise);
        turns.any(|known| Arc::ptr_eq(known, turn))
    }

    /// The tallies that count for a conversation.
    pub(crate) fn tallies(&self, conversation: Option<&str>) -> Tallies {
        match conversation {
            Some(conversation) if self.is_per_conversation() => self.copy_for(conversation),
            Some(_) | None => self.shared.clone(),
        }
    }

    fn copy_for(&self, conversation: &str) -> Tallies {
        let count = self.turns.len();
        let known = {
            let copies = self.copies.read().unwrap_or_else(PoisonError::into_inner);
            copies.get(conversation).cloned()
        };
        if let Some(known) = known
            && known.len() >= count
        {
            return known;
        }
        let mut copies = self.copies.write().unwrap_or_else(PoisonError::into_inner);
        let copy = copies.entry(conversation.to_owned()).or_default();
        // A script may have been added since, or by now another request was faster.
        if copy.len() < count {
            *copy = copy.grown(count);
        }
        copy.clone()
    }

    /// The turn that answers.
    pub(crate) fn choose(&self, question: &Question<'_>, tallies: &Tallies) -> Option<Receipt> {
        let slot = loop {
            let over = tallies.rounds_over();
            if let Some(slot) = self.first(question, tallies) {
                break Some(slot);
            }
            if self.goes_on(tallies, over) {
                tallies.begin_round(over);
            } else if tallies.rounds_over() == over {
                break None;
            }
            // Another round has begun, be it by another request: there is more to look at.
        };
        let receipt = |slot: usize| Receipt {
            turn: Arc::clone(&self.turns[slot]),
            tally: Arc::clone(tallies.of(slot)),
        };
        slot.map(receipt).or_else(|| self.otherwise.clone())
    }

    fn first(&self, question: &Question<'_>, tallies: &Tallies) -> Option<usize> {
        let used_up = if self.rule.repeat.is_some() || self.is_per_conversation() {
            Standing::AnswersNot
        } else {
            Standing::IsOver
        };
        self.finder.first(question, |slot| {
            let turn = &self.turns[slot];
            if tallies.is_used_up(slot, turn.times) {
                used_up
            } else if turn.clauses.hold(question) {
                Standing::Answers
            } else {
                Standing::AnswersNot
            }
        })
    }

    /// Whether there is a next round, and this one is at its end.
    fn goes_on(&self, tallies: &Tallies, over: u32) -> bool {
        let is_left = match self.rule.repeat {
            None => false,
            Some(NumberOr::Number(rounds)) => over + 1 < rounds.get(),
            Some(NumberOr::Word(_any)) => true,
        };
        let mut needed = self.needed().peekable();
        is_left
            && needed.peek().is_some()
            && needed.all(|(slot, turn)| tallies.is_used_up(slot, turn.times))
    }

    /// The turns that must be said for a round to be over.
    fn needed(&self) -> impl Iterator<Item = (usize, &Arc<Turn>)> {
        let turns = self.turns.iter().enumerate();
        turns.filter(|(_, turn)| !turn.optional && is_limited(turn.times))
    }

    /// What is owed, by each conversation that has begun; by one at least.
    pub(crate) fn debts(&self) -> Vec<Debt> {
        if !self.is_per_conversation() {
            return self.debts_in(&self.shared, None);
        }
        let copies = self.copies.read().unwrap_or_else(PoisonError::into_inner);
        if copies.is_empty() {
            return self.debts_in(&self.shared, None);
        }
        let debts = copies
            .iter()
            .flat_map(|(name, copy)| self.debts_in(&copy.grown(self.turns.len()), Some(name)));
        debts.collect()
    }

    fn debts_in(&self, tallies: &Tallies, conversation: Option<&String>) -> Vec<Debt> {
        let rounds = self.rounds_wanted(tallies);
        self.needed()
            .filter_map(|(slot, turn)| {
                let times = match turn.times {
                    NumberOr::Number(times) => times.get(),
                    NumberOr::Word(_any) => 0,
                };
                let wanted = times.saturating_mul(rounds);
                let tally = tallies.of(slot);
                (tally.delivered() < wanted).then(|| Debt {
                    turn: Arc::clone(turn),
                    tally: Arc::clone(tally),
                    conversation: conversation.cloned(),
                    wanted,
                })
            })
            .collect()
    }

    /// Of any number of rounds those that were begun.
    fn rounds_wanted(&self, tallies: &Tallies) -> u32 {
        match self.rule.repeat {
            None => 1,
            Some(NumberOr::Number(rounds)) => rounds.get(),
            Some(NumberOr::Word(_any)) => {
                let begun = self.needed().map(|(slot, turn)| {
                    let said = tallies.of(slot).said();
                    tallies.limit(turn.times).map_or(0, |limit| {
                        // What is allowed in all rounds, divided by them, is that of one.
                        let once = limit / (tallies.rounds_over() + 1);
                        said.div_ceil(once.max(1))
                    })
                });
                begun.max().unwrap_or_default()
            }
        }
    }
}

fn is_limited(times: Times) -> bool {
    match times {
        NumberOr::Number(_) => true,
        NumberOr::Word(_any) => false,
    }
}
