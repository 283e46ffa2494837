//! The journal in an order that concurrency cannot change: by source, and within a source
//! as it happened.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;
use mock_server::Entry;
use serde_json::{Map, Value, json};

use super::Redactor;

/// The journal, one value for each entry, without what differs from run to run.
pub(crate) fn canonical_journal(entries: &[Arc<Entry>], redactor: &mut Redactor) -> Vec<Value> {
    let groups = groups_of_sessions(entries);
    let mut sources: IndexMap<String, Vec<&Entry>> = IndexMap::new();
    for entry in entries {
        sources
            .entry(source(entry, &groups))
            .or_default()
            .push(entry);
    }
    sources.sort_keys();
    let mut lines = Vec::new();
    for (source, entries) in &sources {
        for entry in entries {
            let fields = redactor.fields(&lasting(&entry.fields));
            let at = entry.at.map(|at| at.to_string());
            lines.push(
                json!({ "source": source, "event": entry.event, "at": at, "fields": fields }),
            );
        }
    }
    lines
}

/// Which group a conversation with the model belongs to.
fn groups_of_sessions(entries: &[Arc<Entry>]) -> HashMap<String, String> {
    let sessions = entries.iter().filter(|entry| entry.event == "run.session");
    sessions
        .filter_map(|entry| {
            Some((
                entry.text("session")?.to_owned(),
                entry.text("group")?.to_owned(),
            ))
        })
        .collect()
}

/// Things of one source happen one after the other.
fn source(entry: &Entry, groups: &HashMap<String, String>) -> String {
    let own = entry.text("group").or_else(|| entry.text("chat"));
    match (own, entry.text("session"), entry.text("lane")) {
        (Some(own), _, _) => own.trim_start_matches("http:").to_owned(),
        (None, Some(session), _) if groups.contains_key(session) => groups[session].clone(),
        (None, _, Some(lane)) => format!("~model {lane}"),
        (None, _, None) => {
            let (kind, _) = entry.event.split_once('.').unwrap_or((&entry.event, ""));
            format!("~{kind}")
        }
    }
}

/// The fields that do not count or time anything.
fn lasting(fields: &Map<String, Value>) -> Map<String, Value> {
    const PASSING: [&str; 4] = ["n", "duration_ms", "took_ms", "pid"];
    fields
        .iter()
        .filter(|(name, _)| !PASSING.contains(&name.as_str()))
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
        let line = match &*entry.event {
            "message.received" => format!("{}: {text}", entry.text("from").unwrap_or("?")),
            "message.sent" => format!("> {text}"),
            _ => continue,
        };
        chats.entry(chat).or_default().push(line.into());
    }
    chats.sort_keys();
    json!(chats)
}

/// What the model was asked last and what it answered, turn by turn.
pub(crate) fn conversations(entries: &[Arc<Entry>]) -> Value {
    let mut asked: HashMap<u64, &Entry> = HashMap::new();
    let mut turns = Vec::new();
    for entry in entries {
        let number = entry.fields.get("n").and_then(Value::as_u64);
        match (&*entry.event, number) {
            ("llm.request", Some(number)) => {
                asked.insert(number, entry);
            }
            ("llm.reply", Some(number)) => {
                let mut turn = Map::new();
                if let Some(request) = asked.get(&number) {
                    copy(request, &["user", "tool_results"], &mut turn);
                }
                copy(entry, &["turn", "content", "tool_calls"], &mut turn);
                turns.push(Value::Object(turn));
            }
            (_, _) => {}
        }
    }
    Value::Array(turns)
}

fn copy(entry: &Entry, names: &[&str], to: &mut Map<String, Value>) {
    for name in names {
        let empty = |value: &&Value| match value {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => false,
        };
        if let Some(value) = entry.fields.get(*name).filter(|value| !empty(value)) {
            to.insert((*name).to_owned(), value.clone());
        }
    }
}
