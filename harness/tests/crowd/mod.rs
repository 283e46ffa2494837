//! A crowd: many groups that write at the same time over one socket, as a story, and what must
//! be true of its journal. Shared by the test and the benchmark.

mod memory;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

pub(crate) use memory::Memory;

/// How many groups write, and how much.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crowd {
    pub(crate) groups: usize,
    /// How often each group has its turn …
    pub(crate) rounds: usize,
    /// … and how many messages it then writes.
    pub(crate) messages: usize,
}

/// The number before the `@g.us` of the first group.
const FIRST: u64 = 120_363_000_000_100_000;

impl Crowd {
    /// The story: round after round each group writes, and the model repeats what it is told.
    pub(crate) fn story(self) -> Result<String, std::fmt::Error> {
        let mut story = String::from("story: Many groups write at once, over one socket.\n");
        writeln!(story, "timeout: 4m\nchats:")?;
        for (group, id) in (0..self.groups).zip(FIRST..) {
            let chat = format!("{{ group: {id}, members: [ada], requires_trigger: false }}");
            writeln!(story, "  g{group}: {chat}")?;
        }
        let turn = "{ match: from group, times: any, response: { content: '{{ user }}' } }";
        writeln!(story, "script:\n  - {turn}\nsteps:")?;
        for round in 0..self.rounds {
            for group in 0..self.groups {
                let text = format!("from group {group} round {round} message ${{n}}.");
                let say = format!("{{ chat: g{group}, from: ada, text: \"{text}\" }}");
                let burst = format!("{{ times: {}, say: {say} }}", self.messages);
                writeln!(story, "  - burst: {burst}")?;
            }
        }
        let all = self.groups * self.rounds * self.messages;
        let answered = format!("{{ len: {all}, all: {{ state: answered }} }}");
        writeln!(
            story,
            "  - expect: {{ db.messages: {answered}, within: 230s }}"
        )?;
        Ok(story)
    }

    /// Says what is lost, doubled or out of order, either way: what the model was told, and what
    /// phones heard of it.
    pub(crate) fn judge(self, journal: &str) -> Result<(), String> {
        let mut asked: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        let mut heard = asked.clone();
        for line in journal.lines() {
            let entry: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
            let (side, field) = match entry["event"].as_str() {
                Some("llm.request") => (&mut asked, "user"),
                Some("whatsapp.heard") => (&mut heard, "text"),
                Some(_) | None => continue,
            };
            for said in sayings(entry["fields"][field].as_str().unwrap_or("")) {
                side.entry(said.0).or_default().push(said.1);
            }
        }
        for (side, by_group) in [("the model was told", &asked), ("phones heard", &heard)] {
            for group in 0..self.groups {
                let found = by_group.get(&group).map_or(&[] as &[String], Vec::as_slice);
                let wanted: Vec<String> = self.in_order().collect();
                if found != wanted {
                    return Err(format!("of group {group} {side} {found:?}, not {wanted:?}"));
                }
            }
        }
        Ok(())
    }

    fn in_order(self) -> impl Iterator<Item = String> {
        let of_round = move |round| (1..=self.messages).map(move |n| format!("{round}/{n}"));
        (0..self.rounds).flat_map(of_round)
    }
}

/// The messages within a text: of which group, and which they are.
fn sayings(text: &str) -> Vec<(usize, String)> {
    let parts = text.split("from group ").skip(1);
    // What is no message of ours is not counted, and so missed.
    let read = |part: &str| {
        let mut words = part.split([' ', '.']);
        let Ok(group) = words.next()?.parse() else {
            return None;
        };
        let round = words.nth(1)?;
        let message = words.nth(1)?;
        Some((group, format!("{round}/{message}")))
    };
    parts.filter_map(read).collect()
}
