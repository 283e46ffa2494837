//! Numbers that were right once, looked at again when all is over.
//!
//! A number is met the moment it is reached; only later can it be said that no more came:
//! before the next step that sets something going, or at rest when the scenario is over.
//! Numbers that leave room (`{gt: 1}`) are not looked at again.

use std::sync::Arc;

use mock_server::Entry;
use mock_server::yaml::At;
use serde_json::Value;

use super::Play;
use super::wanted::Wanted;
use crate::failure::{Failure, Trouble};
use crate::scenario::{Matcher, Names, Step};

/// A number that a step has met.
#[derive(Debug)]
pub(super) struct Counted<'a> {
    wanted: Wanted<'a>,
    count: &'a At<Matcher>,
    times: u64,
    /// As they were when the step was played.
    names: Names,
}

impl<'a> Play<'a> {
    /// Remembers the number that a step has met, if it is an exact one. It takes the place of
    /// what an earlier step said of the same thing.
    pub(super) fn keep_count(&mut self, wanted: &Wanted<'a>) {
        let thing = wanted.sentence();
        self.counted
            .retain(|earlier| earlier.wanted.sentence() != thing);
        if let Some(count) = wanted.count
            && let Some(times) = exact(count)
        {
            self.counted.push(Counted {
                wanted: wanted.clone(),
                count,
                times,
                names: self.names(),
            });
        }
    }

    /// Counts once more, before anything new is set going or when all is at rest; after that
    /// the numbers may change.
    pub(super) fn recount(&mut self) -> Vec<Trouble> {
        let entries = self.stage.journal().entries();
        let counted = std::mem::take(&mut self.counted);
        let recounted = counted.iter().map(|counted| counted.recount(&entries));
        recounted.filter_map(Result::err).collect()
    }
}

impl Counted<'_> {
    fn recount(&self, entries: &[Arc<Entry>]) -> Result<(), Trouble> {
        let mut came = Vec::new();
        for entry in entries {
            let compared = self.wanted.compare(entry, &self.names)?;
            if compared.is_some_and(|compared| compared.matches()) {
                came.push(entry);
            }
        }
        let Some((_, first)) = (0..).zip(&came).find(|(before, _)| *before == self.times) else {
            return Ok(());
        };
        let headline = format!("{} came again after it was counted", self.wanted.sentence());
        let expected = format!("expected: {} times\n     got: {}", self.times, came.len());
        Err(Failure::new(headline)
            .at(self.count.span)
            .label("overrun by what came then")
            .note(expected)
            .note(format!("the first too many is {first}"))
            .into())
    }
}

/// Whether a step sets something going, so that what was counted may become more.
pub(super) fn acts(step: &Step) -> bool {
    match step {
        Step::Ask(_)
        | Step::Say(_)
        | Step::Burst(_)
        | Step::Phone(_)
        | Step::Ipc(_)
        | Step::Never(_)
        | Step::Clock(_)
        | Step::Start(_)
        | Step::Stop(_)
        | Step::Restart(_)
        | Step::Release(_)
        | Step::Fault(_)
        | Step::Store(_)
        | Step::Storage(_)
        | Step::Box(_)
        | Step::Engine(_)
        | Step::Run(_) => true,
        Step::Hear(_) | Step::Expect(_) | Step::Settle(_) | Step::Snapshot(_) | Step::Ended(_) => {
            false
        }
    }
}

fn exact(count: &Matcher) -> Option<u64> {
    match count {
        Matcher::Equals(Value::Number(number)) => number.as_u64(),
        Matcher::Equals(_) | Matcher::Fields(_) | Matcher::Items(_) | Matcher::Tests(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_number_is_exact() {
        assert_eq!(exact(&Matcher::Equals(2.into())), Some(2));
        assert_eq!(exact(&Matcher::Equals("2".into())), None);
        assert_eq!(exact(&Matcher::Tests(Vec::new())), None);
    }
}
