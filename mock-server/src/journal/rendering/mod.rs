//! What the model was asked, as a text that people review and snapshots keep.
//!
//! The same requests give the same text in every run: ids and folders get names in the order
//! they appear, and long texts are left out down to a mark that changes when they do. What
//! virtual time decides, such as dates, stays: there it is the same in every run anyway.

mod alias;
mod elide;
mod message;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::Entry;
use alias::Aliases;
use message::Reader;

const REQUEST: &str = "llm.request";

/// Renders the `llm.request` entries of a journal, one paragraph for each:
///
/// ```text
/// request 2 · lane main · model kimi-k2 · tools: bash, read_file
/// 00–01 as before
/// 02 assistant calls bash#1 {"command":"ls"}
/// 03 tool bash#1 ok: README.md
/// ```
///
/// Messages that an earlier request of the lane has shown are not shown again. `places` are
/// paths that depend on where an agent runs, each with what is to stand for it.
#[must_use]
pub fn render_requests(entries: &[Arc<Entry>], places: &[(String, &str)]) -> String {
    let mut aliases = Aliases::of(places);
    let mut lanes: BTreeMap<String, Lane> = BTreeMap::new();
    let requests = entries.iter().filter(|entry| entry.event == REQUEST);
    let paragraphs = requests.map(|entry| {
        let lane = lanes.entry(lane_of(entry).to_owned()).or_default();
        lane.render(entry, &mut aliases)
    });
    paragraphs.collect::<Vec<_>>().join("\n")
}

/// The requests of a lane.
#[derive(Default)]
struct Lane {
    /// Number and messages of each request so far.
    requests: Vec<(u64, Vec<String>)>,
}

impl Lane {
    fn render(&mut self, entry: &Entry, aliases: &mut Aliases<'_>) -> String {
        let n = entry.fields.get("n").and_then(Value::as_u64).unwrap_or(0);
        // Each request holds its whole conversation, so calls have the same names in the next,
        // whatever other conversations of the lane do meanwhile.
        let mut reader = Reader::default();
        let messages: Vec<String> = items(entry, "messages")
            .map(|message| reader.read(message, aliases))
            .collect();
        let mut lines = vec![head(n, entry)];
        let known = self.known(&messages);
        lines.extend(known.map(|known| known.line()));
        let shown = known.map_or(0, |known| known.messages);
        let fresh = messages.iter().enumerate().skip(shown);
        lines.extend(fresh.map(|(place, message)| format!("{place:02} {message}")));
        self.requests.push((n, messages));
        lines.join("\n") + "\n"
    }

    /// The earlier request that begins like this one for the longest; the latest of several.
    fn known(&self, messages: &[String]) -> Option<Known> {
        let last = self.requests.last().map(|(n, _)| *n);
        let known = self.requests.iter().map(|(n, before)| {
            let pairs = before.iter().zip(messages);
            Known {
                messages: pairs.take_while(|(one, other)| one == other).count(),
                request: (Some(*n) != last).then_some(*n),
            }
        });
        known
            .filter(|known| known.messages > 0)
            .max_by_key(|known| known.messages)
    }
}

/// How many messages an earlier request has shown.
#[derive(Clone, Copy)]
struct Known {
    messages: usize,
    /// Which, if it is not the one before.
    request: Option<u64>,
}

impl Known {
    fn line(self) -> String {
        let places = match self.messages {
            1 => "00".to_owned(),
            more => format!("00–{:02}", more - 1),
        };
        match self.request {
            None => format!("{places} as before"),
            Some(request) => format!("{places} as in request {request}"),
        }
    }
}

fn head(n: u64, entry: &Entry) -> String {
    let tools: Vec<&str> = items(entry, "tools").filter_map(Value::as_str).collect();
    let tools = if tools.is_empty() {
        "no tools".to_owned()
    } else {
        format!("tools: {}", tools.join(", "))
    };
    let model = entry.text("model").unwrap_or("none");
    format!(
        "request {n} · lane {} · model {model} · {tools}",
        lane_of(entry)
    )
}

/// A request that nobody could read is in no lane.
fn lane_of(entry: &Entry) -> &str {
    entry.text("lane").unwrap_or("none")
}

fn items<'a>(entry: &'a Entry, field: &str) -> impl Iterator<Item = &'a Value> {
    let items = entry.fields.get(field).and_then(Value::as_array);
    items.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::journal::Journal;

    fn rendered(requests: &[(&str, Value)]) -> String {
        let journal = Journal::open();
        for (place, (lane, messages)) in requests.iter().enumerate() {
            let Value::Object(fields) = json!({
                "n": place + 1, "model": "kimi-k2", "lane": lane,
                "tools": ["bash", "read_file"], "messages": messages,
            }) else {
                panic!("an object")
            };
            journal.write(REQUEST, fields);
            journal.write("llm.reply", serde_json::Map::new());
        }
        render_requests(&journal.entries(), &[])
    }

    fn said(role: &str, text: &str) -> Value {
        json!({ "role": role, "content": text })
    }

    fn calls(id: &str, arguments: &str) -> Value {
        json!({ "role": "assistant", "content": null, "tool_calls": [
            { "id": id, "type": "function", "function": { "name": "bash", "arguments": arguments } },
        ]})
    }

    fn result(id: &str, text: &str) -> Value {
        json!({ "role": "tool", "tool_call_id": id, "content": text })
    }

    #[test]
    fn a_conversation_is_shown_message_by_message_and_none_of_it_twice() {
        let first = [
            said("system", "You are Kai.\nBe brief."),
            said("user", "look around"),
        ];
        let step = [
            calls("call_x7", r#"{ "command": "ls" }"#),
            result("call_x7", "README.md"),
        ];
        let last = [
            calls("call_9q", "{oops"),
            result("call_9q", "Error: not JSON"),
        ];
        let conversation = |parts: &[&[Value]]| Value::from(parts.concat());
        insta::assert_snapshot!(rendered(&[
            ("main", conversation(&[&first])),
            ("title", json!([said("user", "a title, please")])),
            ("main", conversation(&[&first, &step])),
            ("main", conversation(&[&first, &step, &last])),
        ]), @r#"
            request 1 · lane main · model kimi-k2 · tools: bash, read_file
            00 system:
               You are Kai.
               Be brief.
            01 user: look around

            request 2 · lane title · model kimi-k2 · tools: bash, read_file
            00 user: a title, please

            request 3 · lane main · model kimi-k2 · tools: bash, read_file
            00–01 as before
            02 assistant calls bash#1 {"command":"ls"}
            03 tool bash#1 ok: README.md

            request 4 · lane main · model kimi-k2 · tools: bash, read_file
            00–03 as before
            04 assistant calls bash#2 malformed "{oops"
            05 tool bash#2 failed: Error: not JSON
            "#);
    }

    #[test]
    fn of_two_conversations_each_goes_on_where_it_was() {
        let (cat, dog) = (said("user", "my cat"), said("user", "my dog"));
        insta::assert_snapshot!(rendered(&[
            ("main", json!([cat])),
            ("main", json!([dog])),
            ("main", json!([cat, said("assistant", "Miso"), said("user", "yes")])),
        ]), @r#"
            request 1 · lane main · model kimi-k2 · tools: bash, read_file
            00 user: my cat

            request 2 · lane main · model kimi-k2 · tools: bash, read_file
            00 user: my dog

            request 3 · lane main · model kimi-k2 · tools: bash, read_file
            00 as in request 1
            01 assistant: Miso
            02 user: yes
            "#);
    }

    #[test]
    fn ids_and_folders_are_named_in_the_order_they_appear() {
        let uuids = [
            "3f0c1f6e-7d0a-4f0e-9a59-0b8f4d5a7e11",
            "b2c6f0de-1f7e-4c4e-9d3a-2f0b6a1c9e11",
        ];
        let text = format!(
            "{} {} {} at 2026-01-05T09:00:00Z",
            uuids[1], uuids[0], uuids[1]
        );
        let folder = ["", "tmp", ".tmpAb12"].join("/");
        let paths = format!("see {folder}/groups/family and {folder}/store");
        insta::assert_snapshot!(rendered(&[
            ("main", json!([said("user", &text), said("user", &paths)])),
        ]), @r#"
            request 1 · lane main · model kimi-k2 · tools: bash, read_file
            00 user: [uuid-1] [uuid-2] [uuid-1] at 2026-01-05T09:00:00Z
            01 user: see [path-1]/groups/family and [path-1]/store
            "#);
    }

    #[test]
    fn a_long_text_is_shown_by_its_ends_and_changes_with_its_middle() {
        let prompt = |middle: &str| {
            let lines: Vec<String> = (1..=30).map(|line| format!("line {line}")).collect();
            said("system", &lines.join("\n").replace("line 15", middle))
        };
        insta::assert_snapshot!(rendered(&[
            ("main", json!([prompt("line 15"), said("user", "word ".repeat(100).trim_end())])),
            ("main", json!([prompt("LINE 15")])),
        ]), @r#"
            request 1 · lane main · model kimi-k2 · tools: bash, read_file
            00 system:
               line 1
               line 2
               line 3
               line 4
               … 23 lines elided (#d3706b1b)
               line 28
               line 29
               line 30
            01 user: word word word word word word word word word word word word word word word word  … 379 characters elided (#ea7f3f6f) …  word word word word word word word word

            request 2 · lane main · model kimi-k2 · tools: bash, read_file
            00 system:
               line 1
               line 2
               line 3
               line 4
               … 23 lines elided (#66d6e3db)
               line 28
               line 29
               line 30
            "#);
    }

    #[test]
    fn what_is_no_text_is_named_and_what_cannot_be_read_is_shown() {
        insta::assert_snapshot!(rendered(&[
            ("main", json!([
                { "role": "user", "content": [
                    { "type": "text", "text": "look" },
                    { "type": "image_url", "image_url": { "url": "data:x" } },
                ]},
                { "role": "assistant", "content": "Hm.", "reasoning_content": "A cat?" },
                { "role": "assistant", "content": "" },
                { "content": 7 },
            ])),
        ]), @r#"
            request 1 · lane main · model kimi-k2 · tools: bash, read_file
            00 user:
               look
               [image_url]
            01 assistant: Hm.
               thinks A cat?
            02 assistant says nothing
            03 unreadable: {"content":7}
            "#);
    }

    #[test]
    fn calls_are_counted_in_each_conversation_and_failures_and_thoughts_are_told() {
        let first = |user: &str, id: &str| json!([said("user", user), calls(id, "{}")]);
        let failed =
            json!({ "role": "tool", "tool_call_id": "c2", "content": "no", "is_error": true });
        let thought = json!({ "role": "assistant", "content": "Hm.", "reasoning": "A dog?" });
        insta::assert_snapshot!(rendered(&[
            ("main", first("my cat", "c1")),
            ("main", json!([said("user", "my dog"), calls("c2", "{}"), failed, thought])),
        ]), @r#"
            request 1 · lane main · model kimi-k2 · tools: bash, read_file
            00 user: my cat
            01 assistant calls bash#1 {}

            request 2 · lane main · model kimi-k2 · tools: bash, read_file
            00 user: my dog
            01 assistant calls bash#1 {}
            02 tool bash#1 failed: no
            03 assistant: Hm.
               thinks A dog?
            "#);
    }
}
