//! The steps `hear`, `expect` and `never`: waiting for entries of the journal and for
//! states, each within its time.

use std::sync::Arc;
use std::time::Duration;

use mock_server::Entry;
use mock_server::yaml::At;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::wanted::Wanted;
use super::{PATIENCE, Play};
use crate::chain::chain;
use crate::failure::{Failure, Trouble};
use crate::judge::{Comparison, compare, told};
use crate::scenario::{Expect, Hear, Lapse, Matcher, Never, Sought, StateName};
use crate::stage::StageError;

/// A state is also read again when nothing happens, less and less often.
const FIRST_LOOK: Duration = Duration::from_millis(25);
const LATEST_LOOK: Duration = Duration::from_millis(500);

/// What a wait has seen so far.
#[derive(Default)]
struct Sightings {
    /// Entries of the kind that is waited for.
    candidates: usize,
    matches: u64,
    /// A match that was used up by an earlier step.
    too_early: Option<u64>,
    nearest: Option<(Arc<Entry>, Comparison)>,
    /// Whether the entry looked at last is a match.
    new_match: bool,
    last_match: u64,
    captures: Vec<(String, Value)>,
}

impl<'a> Play<'a> {
    pub(super) async fn hear(&mut self, hear: &'a Hear) -> Result<(), Trouble> {
        let wanted = Wanted::heard(hear, self.place(&hear.chat).await?);
        let met = self.await_entries(&wanted).await?;
        if let Some(name) = &hear.called {
            self.call(name, met)?;
        }
        Ok(())
    }

    pub(super) async fn expect(&mut self, expect: &'a Expect) -> Result<(), Trouble> {
        let patience = expect.within.map_or(PATIENCE, Lapse::length);
        match &expect.sought {
            Sought::Event { event, fields } => {
                let mut wanted = Wanted::event(event, fields.as_ref());
                wanted.count = expect.count.as_ref();
                wanted.patience = patience;
                self.await_entries(&wanted)
                    .await
                    .map(drop)
                    .map_err(|trouble| placed(trouble, event.span))
            }
            Sought::State { state, matcher } => {
                let state = state.filled(&self.names())?;
                self.await_state(&state, matcher, patience).await
            }
            Sought::Heard(hear) => self.hear(hear).await,
        }
    }

    /// Returns the number of the entry that was met last.
    async fn await_entries(&mut self, wanted: &Wanted<'a>) -> Result<u64, Trouble> {
        let started = Instant::now();
        let deadline = started + self.stage.leisurely(wanted.patience);
        let mut seen = Sightings::default();
        let mut after = self.stage.journal().last();
        if wanted.count.is_some() {
            // What is there is counted as a whole before it is held against the number.
            if self.counted(wanted, after, &mut seen)? {
                return self.met(wanted, seen);
            }
        } else {
            let matched = self.matched.get(&wanted.kind()).copied();
            after = matched.map_or(self.floor, |matched| matched.max(self.floor));
            seen.too_early = self.used_up(wanted, after)?;
        }
        let mut follower = self.stage.journal().follow_after(after);
        loop {
            let entry = tokio::select! {
                biased;
                entry = timeout_at(deadline, follower.next()) => entry,
                ended = self.stage.died() => return Err(self.death(ended?)),
            };
            let Ok(entry) = entry else {
                return Err(self.missed(wanted, &seen, started.elapsed()).into());
            };
            if is_unscripted(&entry) {
                return Err(self.missed(wanted, &seen, started.elapsed()).into());
            }
            self.sight(wanted, entry, &mut seen)?;
            if seen.new_match && self.enough(wanted, &seen)? {
                return self.met(wanted, seen);
            }
        }
    }

    /// Counts all entries up to `last`; says whether that is the number that is wanted.
    fn counted(
        &self,
        wanted: &Wanted<'a>,
        last: u64,
        seen: &mut Sightings,
    ) -> Result<bool, Trouble> {
        let entries = self.stage.journal().entries();
        for entry in entries.into_iter().take_while(|entry| entry.seq <= last) {
            self.sight(wanted, entry, seen)?;
        }
        self.enough(wanted, seen)
    }

    /// The last entry before `after` that would have matched.
    fn used_up(&self, wanted: &Wanted<'_>, after: u64) -> Result<Option<u64>, Trouble> {
        let names = self.names();
        let mut last = None;
        for entry in self
            .stage
            .journal()
            .entries()
            .iter()
            .take_while(|entry| entry.seq <= after)
        {
            if wanted
                .compare(entry, &names)?
                .is_some_and(|compared| compared.matches())
            {
                last = Some(entry.seq);
            }
        }
        Ok(last)
    }

    /// Takes an entry into account.
    fn sight(
        &self,
        wanted: &Wanted<'_>,
        entry: Arc<Entry>,
        seen: &mut Sightings,
    ) -> Result<(), Trouble> {
        seen.new_match = false;
        let Some(compared) = wanted.compare(&entry, &self.names())? else {
            return Ok(());
        };
        seen.candidates += 1;
        if compared.matches() {
            seen.new_match = true;
            seen.matches += 1;
            seen.last_match = entry.seq;
            seen.captures = compared.captures;
            return Ok(());
        }
        let nearer = |(_, best): &(Arc<Entry>, Comparison)| compared.held >= best.held;
        if seen.nearest.as_ref().is_none_or(nearer) {
            seen.nearest = Some((entry, compared));
        }
        Ok(())
    }

    fn enough(&self, wanted: &Wanted<'_>, seen: &Sightings) -> Result<bool, Trouble> {
        let Some(count) = wanted.count else {
            return Ok(seen.matches > 0);
        };
        Ok(compare(count, Some(&json!(seen.matches)), &self.names())?.matches())
    }

    fn met(&mut self, wanted: &Wanted<'a>, seen: Sightings) -> Result<u64, Trouble> {
        self.keep_count(wanted);
        self.captures.extend(seen.captures);
        let last = self.matched.entry(wanted.kind()).or_default();
        *last = seen.last_match.max(*last);
        Ok(seen.last_match)
    }

    fn missed(&self, wanted: &Wanted<'_>, seen: &Sightings, waited: Duration) -> Failure {
        let headline = format!("{} did not come in time", wanted.sentence());
        let span = wanted.span();
        let failure = Failure::new(headline).note(format!(
            "waited {} ms; {} of its kind came",
            waited.as_millis(),
            seen.candidates
        ));
        let failure = match (span, seen) {
            (Some(span), seen) => failure.at(span).label(label(wanted, seen)),
            (None, _) => failure,
        };
        let failure = match (wanted.count, seen.matches) {
            (Some(count), times) => failure.note(format!(
                "expected: a number of times that {}\n     got: {times} times",
                told(count)
            )),
            (None, _) => failure,
        };
        let failure = match seen.too_early {
            Some(seq) => failure.note(format!(
                "#{seq} matches, but it came before nanokimi was stopped, or an earlier step has \
                 been met by it or a later one"
            )),
            None => failure,
        };
        match &seen.nearest {
            Some((entry, compared)) => {
                let label = format!("nearest: #{}", entry.seq);
                with_diff(failure, &label, compared)
            }
            None => failure,
        }
    }

    async fn await_state(
        &mut self,
        state: &StateName,
        matcher: &At<Matcher>,
        patience: Duration,
    ) -> Result<(), Trouble> {
        let started = Instant::now();
        let patience = self.stage.leisurely(patience);
        let deadline = started + patience;
        let mut follower = self
            .stage
            .journal()
            .follow_after(self.stage.journal().last());
        let mut look = FIRST_LOOK;
        let mut history = History::default();
        loop {
            let value = self.stage.state(state).await;
            let compared = match &value {
                Ok(value) => compare(
                    matcher,
                    Some(value).filter(|value| !value.is_null()),
                    &self.names(),
                )?,
                Err(error) => unreadable(error),
            };
            if compared.matches() {
                self.captures.extend(compared.captures);
                return Ok(());
            }
            history.add(&compared);
            if Instant::now() >= deadline {
                return Err(history
                    .missed(state, matcher, started.elapsed(), &compared)
                    .into());
            }
            let until = deadline.min(Instant::now() + look);
            tokio::select! {
                biased;
                entry = timeout_at(until, follower.next()) => {
                    if entry.is_ok_and(|entry| is_unscripted(&entry)) {
                        return Err(history.missed(state, matcher, started.elapsed(), &compared).into());
                    }
                }
                ended = self.stage.died() => return Err(self.death(ended?)),
            }
            look = (look * 2).min(LATEST_LOOK);
        }
    }

    pub(super) async fn never(&mut self, never: &Never) -> Result<(), Trouble> {
        let before = self.stage.journal().last();
        let to = json!({ "advance": super::in_words(never.lapse) });
        self.moved(&to).await?;
        let names = self.names();
        let (wanted, place) = match &never.sought {
            Sought::Event { event, fields } => (Wanted::event(event, fields.as_ref()), event.span),
            Sought::Heard(hear) => {
                let wanted = Wanted::heard(hear, self.place(&hear.chat).await?);
                let span = wanted.span();
                (wanted, span.unwrap_or(hear.chat.span))
            }
            Sought::State { state, matcher } => return self.not_in_state(state, matcher).await,
        };
        for entry in self.stage.journal().entries_after(before) {
            if wanted
                .compare(&entry, &names)?
                .is_some_and(|compared| compared.matches())
            {
                let headline = format!("{} came, which must never be", wanted.sentence());
                let failure = Failure::new(headline).at(place);
                return Err(failure.note(format!("it is {entry}")).into());
            }
        }
        Ok(())
    }

    async fn not_in_state(&self, state: &StateName, matcher: &At<Matcher>) -> Result<(), Trouble> {
        let state = state.filled(&self.names())?;
        let value = self.stage.state(&state).await?;
        let present = Some(&value).filter(|value| !value.is_null());
        if compare(matcher, present, &self.names())?.matches() {
            let headline = format!("`{state}` {}, which must never be", told(matcher));
            return Err(Failure::new(headline).at(matcher.span).into());
        }
        Ok(())
    }
}

/// How a state has changed while it was waited for.
#[derive(Default)]
struct History {
    /// What was found instead, and how often in a row.
    seen: Vec<(String, usize)>,
}

impl History {
    fn add(&mut self, compared: &Comparison) {
        let Some(first) = compared.mismatches.first() else {
            return;
        };
        let found = format!("{}: {}", first.path, first.actual);
        match self.seen.last_mut() {
            Some((last, times)) if *last == found => *times += 1,
            Some(_) | None => self.seen.push((found, 1)),
        }
    }

    fn missed(
        &self,
        state: &StateName,
        matcher: &At<Matcher>,
        waited: Duration,
        compared: &Comparison,
    ) -> Failure {
        let looks: usize = self.seen.iter().map(|(_, times)| times).sum();
        let failure = Failure::new(format!("`{state}` did not come to be as expected"))
            .at(matcher.span)
            .note(format!(
                "waited {} ms and looked {looks} times",
                waited.as_millis()
            ));
        let failure = with_diff(failure, "it is", compared);
        if self.seen.len() < 2 {
            return failure;
        }
        let steps: Vec<String> = self
            .seen
            .iter()
            .rev()
            .take(3)
            .rev()
            .map(|(found, times)| format!("{found} ×{times}"))
            .collect();
        failure.note(format!("it was: {}", steps.join(" → ")))
    }
}

/// Adds what was expected and what was there, place by place.
pub(super) fn with_diff(failure: Failure, what: &str, compared: &Comparison) -> Failure {
    const SHOWN: usize = 3;
    let mut note = what.to_owned();
    for mismatch in compared.mismatches.iter().take(SHOWN) {
        let path = if mismatch.path.is_empty() {
            "it"
        } else {
            &mismatch.path
        };
        note.push_str(&format_mismatch(path, &mismatch.expected, &mismatch.actual));
    }
    let left = compared.mismatches.len().saturating_sub(SHOWN);
    if left > 0 {
        note.push_str("\n… and more places: ");
        note.push_str(&left.to_string());
    }
    failure.note(note)
}

fn format_mismatch(path: &str, expected: &str, actual: &str) -> String {
    format!("\n  {path}\n  - {expected}\n  + {actual}")
}

fn label(wanted: &Wanted<'_>, seen: &Sightings) -> &'static str {
    match (wanted.count, seen.candidates, seen.matches) {
        (None, 0, _) => "nothing of the kind came",
        (None, _, 0) => "none of those that came is this",
        (Some(_), _, _) => "it came another number of times",
        (None, _, _) => "",
    }
}

fn unreadable(error: &StageError) -> Comparison {
    Comparison {
        mismatches: vec![crate::judge::Mismatch {
            path: String::new(),
            expected: "a state that can be read".to_owned(),
            actual: chain(error),
        }],
        ..Comparison::default()
    }
}

/// After a request that nobody scripted there is nothing to wait for any more.
fn is_unscripted(entry: &Entry) -> bool {
    entry.event == "llm.unexpected"
}

fn placed(trouble: Trouble, span: mock_server::yaml::Span) -> Trouble {
    match trouble {
        Trouble::Failed(failure) => Trouble::Failed(Box::new(failure.at(span))),
        Trouble::Broke(error) => Trouble::Broke(error),
    }
}
