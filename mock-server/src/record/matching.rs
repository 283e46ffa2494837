//! The smallest match that tells one question from all others of a recording.
//!
//! Conditions are added in a fixed order and only when the ones before do not suffice: what
//! the user said, what a tool said, the number of the turn, the conversation before, and
//! last the system prompt and the model, which a new release of a client changes first.

use std::borrow::Cow;
use std::num::NonZeroUsize;

use crate::llm::{Clauses, Question, Speaker, TextPattern, ToolResult, ToolResultClause};
use crate::record::phrase::telling;

/// A condition that could be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    User,
    ToolName,
    ToolOk,
    ToolText,
    Turn,
    Said(Speaker),
    System,
    Model,
}

const LADDER: [Condition; 10] = [
    Condition::User,
    Condition::ToolName,
    Condition::ToolOk,
    Condition::ToolText,
    Condition::Turn,
    Condition::Said(Speaker::User),
    Condition::Said(Speaker::Assistant),
    Condition::Said(Speaker::Tool),
    Condition::System,
    Condition::Model,
];

/// The conditions for `mine` that hold for none of the `rivals`; if there are none, those
/// that say what `mine` is about, and the order of the turns must tell the rest.
pub(crate) fn smallest(mine: &Question<'_>, rivals: &[&Question<'_>]) -> Clauses {
    (1..=LADDER.len())
        .find_map(|height| {
            let choices = choices(height).into_iter();
            choices
                .filter(|choice| makes_sense(choice, mine))
                .find_map(|choice| telling_clauses(&choice, mine, rivals))
        })
        .unwrap_or_else(|| what_it_is_about(mine))
}

/// All sets of conditions from the foot of the ladder up to `height` that use its topmost,
/// the small ones first.
fn choices(height: usize) -> Vec<Vec<Condition>> {
    let below = height - 1;
    let mut choices: Vec<Vec<Condition>> = (0..1_usize << below)
        .map(|chosen| {
            let is_chosen = |place: &usize| *place == below || chosen >> place & 1 == 1;
            let places = (0..height).filter(is_chosen);
            places.map(|place| LADDER[place]).collect()
        })
        .collect();
    choices.sort_by_key(Vec::len);
    choices
}

/// A match names what was said: a number or a model alone would answer anybody.
fn makes_sense(choice: &[Condition], mine: &Question<'_>) -> bool {
    let has = |condition| choice.contains(&condition);
    let has_tool = !mine.tool_results.is_empty();
    let about = has(Condition::User) || has(Condition::ToolName);
    let tool_is_named = has(Condition::ToolName);
    (about || (mine.user.is_none() && !has_tool))
        && (!has(Condition::User) || mine.user.is_some())
        && (!has(Condition::ToolName) || has_tool)
        && (tool_is_named || !(has(Condition::ToolOk) || has(Condition::ToolText)))
}

fn telling_clauses(
    choice: &[Condition],
    mine: &Question<'_>,
    rivals: &[&Question<'_>],
) -> Option<Clauses> {
    if !choice.contains(&Condition::ToolName) {
        return with_result(choice, None, mine, rivals);
    }
    let mut latest_first = mine.tool_results.iter().rev();
    latest_first.find_map(|result| with_result(choice, Some(result), mine, rivals))
}

fn with_result(
    choice: &[Condition],
    result: Option<&ToolResult<'_>>,
    mine: &Question<'_>,
    rivals: &[&Question<'_>],
) -> Option<Clauses> {
    let mut clauses = Clauses::default();
    for condition in choice {
        set_plain(*condition, &mut clauses, mine, result);
    }
    for condition in choice {
        let Some(text) = text_for(*condition, mine, result) else {
            continue;
        };
        let left = still_hold(&clauses, rivals);
        let found = |pattern: &TextPattern, rival: &&Question<'_>| {
            let mut narrower = clauses.clone();
            set_text(*condition, &mut narrower, pattern.clone());
            narrower.hold(rival)
        };
        let pattern = telling(&text, &left, found)?;
        set_text(*condition, &mut clauses, pattern);
    }
    (still_hold(&clauses, rivals).is_empty() && clauses.hold(mine)).then_some(clauses)
}

fn still_hold<'r, 'q>(clauses: &Clauses, rivals: &[&'r Question<'q>]) -> Vec<&'r Question<'q>> {
    let rivals = rivals.iter().copied();
    rivals.filter(|rival| clauses.hold(rival)).collect()
}

fn set_plain(
    condition: Condition,
    clauses: &mut Clauses,
    mine: &Question<'_>,
    result: Option<&ToolResult<'_>>,
) {
    match condition {
        Condition::ToolName => tool(clauses).name = result.map(|result| result.name.to_owned()),
        Condition::ToolOk => tool(clauses).ok = result.map(|result| result.ok),
        Condition::Turn => clauses.turn = NonZeroUsize::new(mine.turn()),
        Condition::User
        | Condition::ToolText
        | Condition::Said(_)
        | Condition::System
        | Condition::Model => {}
    }
}

/// The text in which words are looked for.
fn text_for<'a>(
    condition: Condition,
    mine: &'a Question<'_>,
    result: Option<&'a ToolResult<'_>>,
) -> Option<Cow<'a, str>> {
    match condition {
        Condition::User => mine.user.as_ref().map(|user| user.text().into()),
        Condition::ToolText => result.map(|result| Cow::Borrowed(&*result.text)),
        // One below the other: words are looked for line by line.
        Condition::Said(speaker) => {
            let said = mine.said_by(speaker.role());
            let said: Vec<_> = said.map(|said| said.text.text()).collect();
            Some(said.join("\n").into())
        }
        Condition::System => mine.system.as_ref().map(|system| system.text().into()),
        Condition::Model => Some(mine.model.text().into()),
        Condition::ToolName | Condition::ToolOk | Condition::Turn => None,
    }
}

fn set_text(condition: Condition, clauses: &mut Clauses, pattern: TextPattern) {
    match condition {
        Condition::User => clauses.user = Some(pattern),
        Condition::ToolText => tool(clauses).text = Some(pattern),
        Condition::Said(speaker) => {
            clauses.messages.insert(speaker, pattern);
        }
        Condition::System => clauses.system = Some(pattern),
        Condition::Model => clauses.model = Some(pattern),
        Condition::ToolName | Condition::ToolOk | Condition::Turn => {}
    }
}

fn tool(clauses: &mut Clauses) -> &mut ToolResultClause {
    clauses.tool_result.get_or_insert_default()
}

fn what_it_is_about(mine: &Question<'_>) -> Clauses {
    let about = if mine.tool_results.is_empty() {
        Condition::User
    } else {
        Condition::ToolName
    };
    telling_clauses(&[about], mine, &[]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::llm::ChatBody;

    fn body(messages: &Value) -> ChatBody {
        serde_json::from_value(json!({ "model": "kimi-k2", "messages": messages })).unwrap()
    }

    fn user(text: &str) -> Value {
        json!({ "role": "user", "content": text })
    }

    /// A call of a tool, and what it said.
    fn called(id: &str, tool: &str, result: &str) -> [Value; 2] {
        [
            json!({ "role": "assistant", "tool_calls": [{ "id": id, "function": { "name": tool, "arguments": "{}" } }] }),
            json!({ "role": "tool", "tool_call_id": id, "content": result }),
        ]
    }

    fn chat(parts: &[&[Value]]) -> Value {
        parts.concat().into()
    }

    /// The matches of all questions, each told from the others.
    #[track_caller]
    fn check(questions: &[Value], expected: &[Value]) {
        let bodies: Vec<_> = questions.iter().map(body).collect();
        let read: Vec<_> = bodies
            .iter()
            .map(|body| Question::read(body).unwrap())
            .collect();
        let found: Vec<Value> = (0..read.len())
            .map(|mine| {
                let rivals: Vec<_> = (0..read.len()).filter(|at| *at != mine).collect();
                let rivals: Vec<_> = rivals.into_iter().map(|at| &read[at]).collect();
                serde_json::to_value(smallest(&read[mine], &rivals)).unwrap()
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_the_user_said_is_enough_where_it_differs() {
        check(
            &[
                json!([user("my cat is Miso")]),
                json!([user("and my dog?")]),
            ],
            &[
                json!({ "user": "my cat is Miso" }),
                json!({ "user": "and my dog" }),
            ],
        );
    }

    #[test]
    fn the_steps_of_a_tool_loop_are_told_by_what_the_tools_said() {
        let ask = [user("report the outage")];
        let write = called("c1", "write_file", "wrote 12 bytes");
        let list = called("c2", "bash", "report.md");
        let fail = called("c3", "bash", "Error: no such file");
        check(
            &[
                chat(&[&ask]),
                chat(&[&ask, &write]),
                chat(&[&ask, &write, &list]),
                chat(&[&ask, &write, &list, &fail]),
            ],
            &[
                json!({ "user": "report the outage", "turn": 1 }),
                json!({ "tool_result": { "name": "write_file" } }),
                json!({ "tool_result": { "name": "bash", "ok": true } }),
                json!({ "tool_result": { "name": "bash", "ok": false } }),
            ],
        );
    }

    #[test]
    fn two_results_of_one_tool_are_told_by_their_text() {
        let ask = [user("look around")];
        let first = called("c1", "bash", "README.md");
        let second = called("c2", "bash", "Cargo.toml");
        check(
            &[chat(&[&ask, &first]), chat(&[&ask, &first, &second])],
            &[
                json!({ "tool_result": { "name": "bash", "text": "README.md" } }),
                json!({ "tool_result": { "name": "bash", "text": "Cargo.toml" } }),
            ],
        );
    }

    #[test]
    fn a_conversation_is_told_by_what_came_before_and_last_by_its_prompt() {
        let system = |text: &str| json!({ "role": "system", "content": text });
        let noted = json!({ "role": "assistant", "content": "Noted." });
        let on = user("go on");
        check(
            &[
                json!([user("my cat"), noted, on]),
                json!([user("my dog"), noted, on]),
            ],
            &[
                json!({ "user": "go on", "messages": { "user": "my cat" } }),
                json!({ "user": "go on", "messages": { "user": "my dog" } }),
            ],
        );
        check(
            &[
                json!([system("Find a title."), on]),
                json!([system("Be brief."), on]),
            ],
            &[
                json!({ "user": "go on", "system": "Find a title" }),
                json!({ "user": "go on", "system": "Be brief" }),
            ],
        );
    }

    #[test]
    fn the_number_of_the_turn_is_preferred_to_what_was_said_before() {
        let noted = json!({ "role": "assistant", "content": "Noted." });
        check(
            &[
                json!([user("my cat")]),
                json!([user("my dog"), noted, user("my cat")]),
            ],
            &[
                json!({ "user": "my cat", "turn": 1 }),
                json!({ "user": "my cat", "turn": 2 }),
            ],
        );
    }

    #[test]
    fn what_cannot_be_told_apart_is_left_to_the_order() {
        let same = json!([user("go on")]);
        check(
            &[same.clone(), same],
            &[json!({ "user": "go on" }), json!({ "user": "go on" })],
        );
    }
}
