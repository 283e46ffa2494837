//! The journal in an order that concurrency cannot change: by source, and within a source
//! as it happened.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;
use mock_server::Entry;
use serde_json::{Map, Value, json};

use super::Redactor;

/// Families of events whose entries we or a mock write: which virtual instant they are
/// given depends on how fast nanokimi's own events arrive.
const OURS: [&str; 6] = ["ask", "http", "llm", "oauth", "process", "whatsapp"];

/// What goes over the wire byte for byte depends on moments and chance, and so does what is told
/// as well as may be: who writes, and who is there.
const NOISE: [&str; 3] = ["whatsapp.stanza", "whatsapp.typing", "whatsapp.presence"];

/// The journal, one value for each entry, without what differs from run to run.
pub(crate) fn canonical_journal(entries: &[Arc<Entry>], redactor: &mut Redactor) -> Vec<Value> {
    let groups = Groups::of(entries);
    let mut sources: IndexMap<String, Vec<&Entry>> = IndexMap::new();
    for entry in entries
        .iter()
        .filter(|entry| !NOISE.contains(&&*entry.event))
    {
        let source = groups.source(entry);
        sources.entry(source).or_default().push(entry);
    }
    sources.sort_keys();
    let mut lines = Vec::new();
    for (source, entries) in &sources {
        for entry in entries {
            let fields = redactor.fields(&lasting(entry));
            let at = entry.at.filter(|_| !OURS.contains(&family(entry)));
            let at = at.map(|at| at.to_string());
            lines.push(
                json!({ "source": source, "event": entry.event, "at": at, "fields": fields }),
            );
        }
    }
    lines
}

fn family(entry: &Entry) -> &str {
    entry.event.split('.').next().map_or("", |family| family)
}

/// Which group a request to the model belongs to, as far as its session tells.
struct Groups<'a> {
    of_session: HashMap<&'a str, &'a str>,
    of_request: HashMap<u64, &'a str>,
}

impl<'a> Groups<'a> {
    fn of(entries: &'a [Arc<Entry>]) -> Self {
        let sessions = entries.iter().filter(|entry| entry.event == "run.session");
        let of_session: HashMap<&str, &str> = sessions
            .filter_map(|entry| Some((entry.text("session")?, entry.text("group")?)))
            .collect();
        let requests = entries.iter().filter(|entry| entry.event == "llm.request");
        let of_request = requests
            .filter_map(|entry| Some((number(entry)?, *of_session.get(entry.text("session")?)?)))
            .collect();
        Self {
            of_session,
            of_request,
        }
    }

    /// Things of one source happen one after the other.
    fn source(&self, entry: &Entry) -> String {
        let strand = match (&*entry.event, family(entry)) {
            ("ask.answered", _) => "answer",
            ("message.sent" | "message.failed", _) => "outbox",
            ("group.registered", _) => "registration",
            (_, "session") => "run",
            // Phones, server and nanokimi work at the same time.
            (event, "whatsapp") => event,
            (_, family) => family,
        };
        let told = entry.text("group").or_else(|| entry.text("chat"));
        let session = entry.text("session");
        let group = told
            .or_else(|| session.and_then(|session| self.of_session.get(session).copied()))
            .or_else(|| number(entry).and_then(|number| self.of_request.get(&number).copied()));
        match group {
            Some(group) => format!("{} {strand}", group.trim_start_matches("http:")),
            None => format!("~ {strand}"),
        }
    }
}

/// The number of a request to the model.
fn number(entry: &Entry) -> Option<u64> {
    entry.fields.get("n").and_then(Value::as_u64)
}

/// The fields that do not count or time anything.
fn lasting(entry: &Entry) -> Map<String, Value> {
    const PASSING: [&str; 4] = ["n", "duration_ms", "took_ms", "pid"];
    // When a connection is tried again is drawn by lot, and who hangs up first is a race.
    let drawn = |name: &str| match &*entry.event {
        "channel.state" => name == "retry_at",
        "whatsapp.closed" => ["by", "why"].contains(&name),
        _ => false,
    };
    entry
        .fields
        .iter()
        .filter(|(name, _)| !PASSING.contains(&name.as_str()) && !drawn(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// What was said in each chat, a line for each message.
pub(crate) fn transcript(entries: &[Arc<Entry>]) -> Value {
    let mut chats: IndexMap<&str, Vec<Value>> = IndexMap::new();
    for entry in entries {
        let (Some(chat), Some(text)) = (entry.text("chat"), entry.text("text")) else {
            continue;
        };
        let from = entry.text("from").unwrap_or("?");
        // On WhatsApp the phones are asked, over HTTP there is only nanokimi's word.
        let over_http = chat.starts_with("http:");
        let line = match &*entry.event {
            "message.received" if over_http => format!("{from}: {text}"),
            "message.sent" if over_http => format!("> {text}"),
            "whatsapp.said" => format!("{from}: {text}"),
            "whatsapp.heard" => format!("> {text}"),
            _ => continue,
        };
        chats.entry(chat).or_default().push(line.into());
    }
    chats.sort_keys();
    json!(chats)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use mock_server::Journal;

    use super::*;

    /// Two runs in which two concurrent things came in another order.
    #[test]
    fn the_order_of_concurrent_things_does_not_show() {
        let written = |events: &[(&'static str, &str)]| {
            let journal = Journal::open();
            for (event, group) in events {
                let fields = [("group".to_owned(), Value::from(*group))];
                journal.write(*event, fields.into_iter().collect());
            }
            canonical_journal(&journal.entries(), &mut Redactor::new(Path::new("/r"), &[]))
        };
        let one = written(&[
            ("run.ended", "a"),
            ("message.sent", "a"),
            ("run.ended", "b"),
        ]);
        let other = written(&[
            ("run.ended", "b"),
            ("message.sent", "a"),
            ("run.ended", "a"),
        ]);
        assert_eq!(one, other);
        let reversed = written(&[("run.ended", "a"), ("run.started", "a")]);
        assert_ne!(
            reversed,
            written(&[("run.started", "a"), ("run.ended", "a")])
        );
    }
}
