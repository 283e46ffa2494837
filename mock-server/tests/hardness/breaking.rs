//! Ways to break a body: in its meaning, where it is JSON, and in its bytes.

use serde_json::{Map, Number, Value, json};

use super::super::chance::Chance;

/// Nested deeper than any reader of JSON goes along with.
const DEEP: usize = 20_000;

/// The body with one or two things wrong.
pub(crate) fn broken(body: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = body.to_vec();
    for _ in 0..=chance.below(2) {
        // The larger part in the meaning: most bytes out of place are merely no JSON.
        bytes = match serde_json::from_slice::<Value>(&bytes) {
            Ok(mut document) if chance.below(5) > 0 => {
                break_meaning(&mut document, chance);
                document.to_string().into_bytes()
            }
            Ok(_) | Err(_) => break_bytes(bytes, chance),
        };
    }
    bytes
}

fn break_meaning(document: &mut Value, chance: &mut Chance) {
    let mut place = chance.below(count(document));
    if let Some(found) = nth(document, &mut place) {
        disturb(found, chance);
    }
}

/// How many values a document holds, itself among them.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

fn nth<'a>(value: &'a mut Value, place: &mut usize) -> Option<&'a mut Value> {
    if *place == 0 {
        return Some(value);
    }
    *place -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| nth(item, place)),
        Value::Object(members) => members.values_mut().find_map(|item| nth(item, place)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn disturb(value: &mut Value, chance: &mut Chance) {
    match value {
        Value::Object(members) if chance.below(3) > 0 => disturb_members(members, chance),
        Value::Array(items) if chance.below(3) > 0 => disturb_items(items, chance),
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Object(_)
        | Value::Array(_) => *value = odd(chance),
    }
}

fn disturb_members(members: &mut Map<String, Value>, chance: &mut Chance) {
    let keys: Vec<_> = members.keys().cloned().collect();
    if keys.is_empty() || chance.below(3) == 0 {
        members.insert("unheard_of".to_owned(), odd(chance));
        return;
    }
    let removed = members.remove(chance.one_of(&keys)).unwrap();
    // Removed, or under another's name.
    if chance.below(2) == 0 {
        members.insert(chance.one_of(&keys).clone(), removed);
    }
}

fn disturb_items(items: &mut Vec<Value>, chance: &mut Chance) {
    let place = chance.below(items.len() + 1);
    match chance.below(4) {
        0 => items.insert(place, odd(chance)),
        1 => items.reverse(),
        2 => items.truncate(place),
        _twice => items.extend(items.clone()),
    }
}

/// A value that nobody expects where it comes.
fn odd(chance: &mut Chance) -> Value {
    match chance.below(12) {
        0 => Value::Null,
        1 => true.into(),
        2 => 0.into(),
        3 => (-1).into(),
        4 => u64::MAX.into(),
        5 => Number::from_f64(1e308).into(),
        6 => "".into(),
        7 => "\u{0}\u{feff}\u{202e}\u{10ffff}".into(),
        8 => "{{ tool.x.y }} ".repeat(500).into(),
        9 => json!({}),
        10 => json!([[[[null]]]]),
        _mixed => {
            json!({"type": "text", "text": 1, "role": "tool", "id": [], "content": {"a": []}})
        }
    }
}

fn break_bytes(mut bytes: Vec<u8>, chance: &mut Chance) -> Vec<u8> {
    let place = chance.below(bytes.len() + 1);
    match chance.below(9) {
        0 => bytes.truncate(place),
        1 => bytes = deep(chance),
        2 => splice(&mut bytes, place, b"\xff\xfe\xc3"),
        3 => splice(&mut bytes, place, b"\\ud800"),
        4 => replace(&mut bytes, b":", b":NaN,\"x\":"),
        5 => replace(
            &mut bytes,
            b"{",
            b"{\"model\":1,\"model\":\"x\",\"messages\":[],",
        ),
        6 => replace(&mut bytes, b":", b":-1e999999,\"\":"),
        7 => splice(&mut bytes, 0, b"\xef\xbb\xbf"),
        _one => {
            if let Some(byte) = bytes.get_mut(place) {
                *byte = u8::try_from(chance.below(256)).unwrap();
            }
        }
    }
    bytes
}

fn deep(chance: &mut Chance) -> Vec<u8> {
    let openings = ["[", "{\"messages\":", "- ", "{a: "];
    chance.one_of(&openings).repeat(DEEP).into_bytes()
}

fn splice(bytes: &mut Vec<u8>, place: usize, inserted: &[u8]) {
    bytes.splice(place..place, inserted.iter().copied());
}

/// Puts `new` where `old` stands first.
fn replace(bytes: &mut Vec<u8>, old: &[u8], new: &[u8]) {
    if let Some(place) = bytes.windows(old.len()).position(|found| found == old) {
        bytes.splice(place..place + old.len(), new.iter().copied());
    }
}
