//! Everything that reached the mocks and left them, in order.
//!
//! The journal records and lets others wait; it judges nothing and forgets nothing.
//! Writing costs the same whatever the length: an entry is shared, never copied.

mod entry;
mod fields;
mod mask;
mod rendering;
mod wait;

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::sync::watch;

pub use entry::Entry;
pub use fields::Fields;
pub use mask::MASK;
pub use rendering::render_requests;
pub use wait::{Follower, WaitError};

use mask::Mask;

/// A handle to the one record that all mocks of a scenario share.
#[derive(Clone, Debug)]
pub struct Journal {
    record: Arc<Record>,
}

#[derive(Debug)]
struct Record {
    opened: Instant,
    pages: Mutex<Pages>,
    mask: ArcSwap<Mask>,
    length: watch::Sender<u64>,
    moved: watch::Sender<Option<Timestamp>>,
}

#[derive(Debug)]
struct Pages {
    entries: Vec<Arc<Entry>>,
    now: Option<Timestamp>,
}

impl Journal {
    #[must_use]
    pub fn open() -> Self {
        let pages = Pages {
            entries: Vec::new(),
            now: None,
        };
        Self {
            record: Arc::new(Record {
                opened: Instant::now(),
                pages: Mutex::new(pages),
                mask: ArcSwap::default(),
                length: watch::Sender::new(0),
                moved: watch::Sender::new(None),
            }),
        }
    }

    /// Writes one entry, e.g. `llm.request`, and returns it as it was written: numbered,
    /// timed, and with its secrets masked.
    pub fn write(
        &self,
        event: impl Into<Cow<'static, str>>,
        mut fields: Map<String, Value>,
    ) -> Arc<Entry> {
        self.mask().hide(&mut fields);
        self.append(event.into(), fields.into())
    }

    /// Writes an entry whose particulars are made out when somebody looks at them. Masked
    /// are the secrets that are known now.
    pub fn write_later(
        &self,
        event: impl Into<Cow<'static, str>>,
        make_out: impl FnOnce() -> Map<String, Value> + Send + 'static,
    ) -> Arc<Entry> {
        let mask = self.mask();
        let fields = Fields::later(move || {
            let mut fields = make_out();
            mask.hide(&mut fields);
            fields
        });
        self.append(event.into(), fields)
    }

    fn append(&self, event: Cow<'static, str>, fields: Fields) -> Arc<Entry> {
        let pages = self.pages();
        let times = (pages.now, self.age());
        self.put(pages, times, (event, fields))
    }

    /// Under the lock, so that numbers have no gaps.
    fn put(
        &self,
        mut pages: MutexGuard<'_, Pages>,
        (at, real): (Option<Timestamp>, Duration),
        (event, fields): (Cow<'static, str>, Fields),
    ) -> Arc<Entry> {
        let entry = Arc::new(Entry {
            seq: pages.entries.len() as u64 + 1,
            at,
            real,
            event,
            fields,
        });
        pages.entries.push(Arc::clone(&entry));
        // Under the lock, so that the length never goes back.
        let length = &self.record.length;
        length.send_if_modified(|length| {
            *length = entry.seq;
            false
        });
        // To wake costs more than to write, and mostly nobody waits. Who begins to wait from here
        // on looks first, and sees the length as it is.
        if length.receiver_count() > 0 {
            length.send_modify(|_told_already| {});
        }
        entry
    }

    /// Writes what was written into another journal: behind what is here already, but with its
    /// own times.
    pub fn transcribe(&self, entry: Entry) -> Arc<Entry> {
        let Entry {
            at,
            real,
            event,
            fields,
            ..
        } = entry;
        let mut fields = Map::clone(&fields);
        self.mask().hide(&mut fields);
        self.put(self.pages(), (at, real), (event, fields.into()))
    }

    /// Entries written from now on happen at this virtual time.
    pub fn clock_moved(&self, now: Timestamp) {
        let mut pages = self.pages();
        pages.now = Some(now);
        // Under the lock, so that both agree.
        self.record.moved.send_replace(Some(now));
    }

    /// Follows the virtual time; nothing before anybody has set it.
    pub(crate) fn moves(&self) -> watch::Receiver<Option<Timestamp>> {
        self.record.moved.subscribe()
    }

    /// The virtual time, if anybody has set it.
    #[must_use]
    pub fn now(&self) -> Option<Timestamp> {
        self.pages().now
    }

    /// From now on `secret` is never written down, wherever it occurs.
    pub fn hide(&self, secret: &str) {
        self.record.mask.rcu(|mask| {
            let mut mask = Mask::clone(mask);
            mask.add(secret);
            mask
        });
    }

    /// What is hidden, longest first.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        self.mask().secrets().to_vec()
    }

    /// Real time since it was opened.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.record.opened.elapsed()
    }

    /// The whole record as it stands.
    #[must_use]
    pub fn entries(&self) -> Vec<Arc<Entry>> {
        self.entries_after(0)
    }

    /// The record after entry `seq`.
    #[must_use]
    pub fn entries_after(&self, seq: u64) -> Vec<Arc<Entry>> {
        let pages = self.pages();
        // A place that does not fit in memory is past the end.
        let seen = usize::try_from(seq).unwrap_or(usize::MAX);
        pages.entries.get(seen..).unwrap_or(&[]).to_vec()
    }

    /// The number of the last entry; 0 for an empty journal.
    #[must_use]
    pub fn last(&self) -> u64 {
        *self.record.length.borrow()
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        // Nothing can panic half-way through a write, so the record is whole.
        self.record
            .pages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The text as it may be shown: without the secrets that were told.
    #[must_use]
    pub fn masked(&self, text: &str) -> String {
        self.mask().masked(text)
    }

    fn mask(&self) -> Arc<Mask> {
        self.record.mask.load_full()
    }
}

impl Default for Journal {
    fn default() -> Self {
        Self::open()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Map<String, Value> {
        let Value::Object(fields) = value else {
            panic!("{value} is not an object");
        };
        fields
    }

    #[test]
    fn entries_are_numbered_from_one_and_carry_the_virtual_time() {
        let journal = Journal::open();
        journal.write("boot", Map::new());
        let noon = "2026-01-05T12:00:00Z".parse().unwrap();
        journal.clock_moved(noon);
        journal.write("lunch", Map::new());

        let seen: Vec<_> = journal.entries().iter().map(|e| (e.seq, e.at)).collect();
        assert_eq!(seen, [(1, None), (2, Some(noon))]);
    }

    #[test]
    fn what_another_journal_wrote_keeps_its_times_and_gets_a_number_here() {
        let (other, journal) = (Journal::open(), Journal::open());
        let noon = "2026-01-05T12:00:00Z".parse().unwrap();
        other.clock_moved(noon);
        other.hide("sk-1");
        let written = other.write("llm.reply", fields(json!({ "text": "sk-1 sk-2" })));
        let text = serde_json::to_string(&*written).unwrap();
        let read: Entry = serde_json::from_str(&text).unwrap();
        assert_eq!((read.at, &read.fields), (Some(noon), &written.fields));
        assert!(read.real.abs_diff(written.real) < Duration::from_micros(1));

        journal.write("boot", Map::new());
        journal.hide("sk-2");
        let here = journal.transcribe(read);
        assert_eq!((here.seq, here.at), (2, Some(noon)));
        assert_eq!(here.text("text"), Some("[secret] [secret]"));
    }

    #[test]
    fn only_what_came_after_a_number_is_asked_for_again() {
        let journal = Journal::open();
        journal.write("first", Map::new());
        journal.write("second", Map::new());

        let after: Vec<_> = journal.entries_after(1).iter().map(|e| e.seq).collect();
        assert_eq!(after, [2]);
        assert!(journal.entries_after(u64::MAX).is_empty());
    }

    #[test]
    fn a_secret_is_masked_wherever_it_is_written() {
        let journal = Journal::open();
        journal.hide("sk-live-1");
        assert_eq!(journal.masked("a sk-live-1 b"), "a [secret] b");
        let entry = journal.write(
            "llm.request",
            fields(json!({"messages": [{"content": "my key is sk-live-1, keep it"}]})),
        );

        assert_eq!(
            Value::Object(entry.fields.clone()),
            json!({"messages": [{"content": "my key is [secret], keep it"}]})
        );
    }

    #[test]
    fn what_is_made_out_later_hides_what_was_secret_when_it_was_written() {
        let journal = Journal::open();
        journal.hide("sk-live-1");
        let text = || fields(json!({"text": "sk-live-1 and sk-live-2"}));
        let entry = journal.write_later("llm.reply", text);
        journal.hide("sk-live-2");

        assert_eq!(entry.text("text"), Some("[secret] and sk-live-2"));
    }

    #[test]
    fn headers_that_authenticate_are_masked_unasked() {
        let journal = Journal::open();
        let entry = journal.write(
            "http.unexpected",
            fields(json!({"headers": {
                "Authorization": "Bearer x",
                "x-api-key": "y",
                "X-Session-Token": "z",
                "accept": "*/*",
            }})),
        );

        assert_eq!(
            entry.fields["headers"],
            json!({
                "Authorization": "[secret]",
                "x-api-key": "[secret]",
                "X-Session-Token": "[secret]",
                "accept": "*/*",
            })
        );
    }
}
