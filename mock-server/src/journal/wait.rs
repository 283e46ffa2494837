//! Waiting for the record to hold something: the only way anybody here waits.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::{Entry, Journal};

/// How many entries a failed wait shows.
const SHOWN: usize = 5;

/// Reads a journal entry by entry, from a place in it, and waits at its end.
#[derive(Debug)]
pub struct Follower {
    journal: Journal,
    length: watch::Receiver<u64>,
    seen: u64,
    ahead: VecDeque<Arc<Entry>>,
}

impl Follower {
    /// The next entry, as soon as there is one. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Arc<Entry> {
        loop {
            if let Some(entry) = self.ahead.pop_front() {
                self.seen = entry.seq;
                return entry;
            }
            let seen = self.seen;
            // The sender lives in `self.journal`, so the channel cannot close under us.
            drop(self.length.wait_for(|length| *length > seen).await);
            self.ahead = self.journal.entries_after(seen).into();
        }
    }
}

impl Journal {
    /// Reads the whole record, what is there and what will come.
    #[must_use]
    pub fn follow(&self) -> Follower {
        self.follow_after(0)
    }

    /// Reads what comes after entry `seq`.
    #[must_use]
    pub fn follow_after(&self, seq: u64) -> Follower {
        Follower {
            journal: self.clone(),
            length: self.record.length.subscribe(),
            seen: seq,
            ahead: VecDeque::new(),
        }
    }

    /// Returns what `found` makes of the first entry that it accepts.
    ///
    /// `found` is shown each entry of the record once, from the first on, so what came
    /// before the call counts; what it must remember of several entries it keeps itself.
    ///
    /// # Errors
    /// After `patience` (real time), with what the journal holds instead.
    pub async fn wait_for<T>(
        &self,
        sentence: &str,
        patience: Duration,
        mut found: impl FnMut(&Arc<Entry>) -> Option<T>,
    ) -> Result<T, WaitError> {
        let mut follower = self.follow();
        let search = async {
            loop {
                if let Some(found) = found(&follower.next().await) {
                    return found;
                }
            }
        };
        timeout(patience, search)
            .await
            .map_err(|_elapsed| WaitError {
                sentence: sentence.to_owned(),
                waited: patience,
                seen: Seen::of(self),
            })
    }
}

/// The awaited did not come.
#[derive(Debug, thiserror::Error)]
#[error("waited {waited:?} for {sentence}; {seen}")]
pub struct WaitError {
    sentence: String,
    waited: Duration,
    seen: Seen,
}

/// The end of the record, at the moment the patience was over.
#[derive(Debug)]
struct Seen {
    before: usize,
    last: Vec<Arc<Entry>>,
}

impl Seen {
    fn of(journal: &Journal) -> Self {
        let entries = journal.entries();
        let before = entries.len().saturating_sub(SHOWN);
        Self {
            before,
            last: entries[before..].to_vec(),
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.last.is_empty() {
            return out.write_str("the journal is empty");
        }
        out.write_str("the journal holds:")?;
        if self.before > 0 {
            write!(out, "\n  {} earlier", self.before)?;
        }
        self.last
            .iter()
            .try_for_each(|entry| write!(out, "\n  {entry}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn an_entry_written_before_the_wait_counts() {
        let journal = Journal::open();
        journal.write("reply", Map::new());

        let found = journal.wait_for("a reply", PATIENCE, |e| Some(e.seq)).await;

        assert_eq!(found.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_wait_ends_with_the_entry_it_waits_for() {
        let journal = Journal::open();
        let waiting = journal.wait_for("the second", PATIENCE, |e| {
            (e.event == "b").then_some(e.seq)
        });
        let (found, ()) = tokio::join!(waiting, async {
            journal.write("a", Map::new());
            tokio::task::yield_now().await;
            journal.write("b", Map::new());
        });
        assert_eq!(found.unwrap(), 2);
    }

    #[tokio::test]
    async fn each_entry_is_looked_at_once() {
        let journal = Journal::open();
        (0..100).for_each(|_| drop(journal.write("noise", Map::new())));
        let mut looks = 0;
        let waiting = journal.wait_for("the end", PATIENCE, |e| {
            looks += 1;
            (e.event == "end").then_some(())
        });
        let (found, ()) = tokio::join!(waiting, async {
            for _ in 0..100 {
                tokio::task::yield_now().await;
                journal.write("noise", Map::new());
            }
            journal.write("end", Map::new());
        });
        found.unwrap();
        assert_eq!(looks, 201);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_fails_says_what_did_happen() {
        let journal = Journal::open();
        (0..7).for_each(|_| drop(journal.write("llm.request", Map::new())));

        let missed = journal.wait_for("a reply", PATIENCE, |_| None::<()>).await;

        insta::assert_snapshot!(missed.unwrap_err(), @r"
        waited 5s for a reply; the journal holds:
          2 earlier
          #3 llm.request
          #4 llm.request
          #5 llm.request
          #6 llm.request
          #7 llm.request
        ");
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_journal_is_called_so() {
        let missed = Journal::open()
            .wait_for("a reply", PATIENCE, |_| None::<()>)
            .await;
        assert_eq!(
            missed.unwrap_err().to_string(),
            "waited 5s for a reply; the journal is empty"
        );
    }
}
