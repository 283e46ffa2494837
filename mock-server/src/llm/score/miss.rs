//! What to tell when nobody has scripted an answer: what was asked, which turn came
//! nearest and why it is not the one, and a turn to paste that would be.
//!
//! The text travels in the error's message, through whatever the agent makes of it.

use crate::llm::question::Question;
use crate::llm::question::request::Role;
use crate::llm::score::repertoire::Repertoire;
use crate::llm::score::tally::Tallies;
use crate::llm::score::turn::Turn;
use crate::llm::script::lane::MAIN_LANE;
use crate::text::shorten;

/// How many turns are shown, how many results, and how much of a text, in characters.
const TURNS: usize = 20;
const RESULTS: usize = 5;
const SHOWN: usize = 120;
const PASTED: usize = 60;

/// The whole report. The tallies are those of the question's lane.
pub(crate) fn report(
    n: u64,
    question: &Question<'_>,
    repertoire: &Repertoire,
    tallies: &Tallies,
) -> String {
    [
        headline(n, question),
        request(question),
        tried(question, repertoire, tallies),
        format!("a turn that would answer it:\n{}", suggestion(question)),
    ]
    .join("\n")
}

fn headline(n: u64, question: &Question<'_>) -> String {
    format!(
        "no scripted turn answers request {n} (lane {}, model {})",
        question.lane,
        question.model.text()
    )
}

fn request(question: &Question<'_>) -> String {
    let user = question.user.as_ref().map_or_else(
        || "nothing".to_owned(),
        |user| format!("{:?}", shorten(user.text(), SHOWN)),
    );
    let mut lines = vec![format!("  user: {user}")];
    lines.extend(question.tool_results.iter().take(RESULTS).map(|result| {
        let outcome = if result.ok { "ok" } else { "failed" };
        format!(
            "  tool result: {} {outcome} {:?}",
            result.name,
            shorten(&result.text, SHOWN)
        )
    }));
    lines.push(format!(
        "  tools: {}",
        shorten(&or_none(&question.tools), SHOWN)
    ));
    lines.push(format!("  messages: {}", counts(question)));
    lines.join("\n")
}

fn or_none(names: &[&str]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

fn counts(question: &Question<'_>) -> String {
    let roles = [
        Role::System,
        Role::Developer,
        Role::User,
        Role::Assistant,
        Role::Tool,
    ];
    let counts = roles.map(|role| (role.as_str(), question.said_by(role).count()));
    let shown: Vec<_> = counts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(role, count)| format!("{count} {role}"))
        .collect();
    shown.join(", ")
}

fn tried(question: &Question<'_>, repertoire: &Repertoire, tallies: &Tallies) -> String {
    let lanes = repertoire.lanes();
    let turns = lanes.flat_map(|lane| lane.turns().iter().enumerate());
    let mut verdicts: Vec<_> = turns
        .map(|(slot, turn)| verdict(turn, question, |_| tallies.of(slot).said()))
        .collect();
    if verdicts.is_empty() {
        return "turns tried: none, the script is empty".to_owned();
    }
    // Among equals the script's own order.
    verdicts.sort_by(|one, other| {
        let nearer = other.nearness.cmp(&one.nearness);
        let liker = other.likeness.total_cmp(&one.likeness);
        nearer
            .then(liker)
            .then(one.turn.place.cmp(&other.turn.place))
    });
    let shown = verdicts.iter().take(TURNS);
    let mut lines = vec!["turns tried, nearest first:".to_owned()];
    lines.extend(shown.map(|verdict| format!("  {}: {}", verdict.turn.id, verdict.failure)));
    if verdicts.len() > TURNS {
        lines.push(format!("  and {} more", verdicts.len() - TURNS));
    }
    lines.join("\n")
}

/// How a turn fared.
struct Verdict<'a> {
    turn: &'a Turn,
    failure: String,
    /// Whether the lane is right, whether all conditions hold, and how many do.
    nearness: (bool, bool, usize),
    /// Decides between turns that are as near as each other.
    likeness: f64,
}

/// How often it was said is looked up only for a turn of the lane.
fn verdict<'a>(
    turn: &'a Turn,
    question: &Question<'_>,
    said: impl Fn(&Turn) -> u32,
) -> Verdict<'a> {
    let held = turn
        .clauses
        .given()
        .filter(|clause| clause.holds(question))
        .count();
    let failed = turn.clauses.given().find(|clause| !clause.holds(question));
    let in_lane = *turn.lane == question.lane;
    let failure = match &failed {
        _ if !in_lane => format!("lane is {}, not {}", question.lane, turn.lane),
        Some(clause) => clause.failure(question),
        None => format!("would answer, but was said {} already", times(said(turn))),
    };
    Verdict {
        turn,
        nearness: (in_lane, failed.is_none(), held),
        likeness: likeness(turn, question),
        failure,
    }
}

fn times(said: u32) -> String {
    match said {
        1 => "once".to_owned(),
        said => format!("{said} times"),
    }
}

/// From 0 to 1: how much the user's text is like the one that is asked for.
fn likeness(turn: &Turn, question: &Question<'_>) -> f64 {
    match (&turn.clauses.user, &question.user) {
        (Some(pattern), Some(user)) => {
            let wanted = pattern.source().to_lowercase();
            strsim::sorensen_dice(&wanted, &salient(user.text()).to_lowercase())
        }
        (Some(_) | None, _) => 0.0,
    }
}

/// A turn in YAML that answers this request.
fn suggestion(question: &Question<'_>) -> String {
    let lane = if question.lane == MAIN_LANE {
        String::new()
    } else {
        format!("  lane: {}\n", question.lane)
    };
    format!(
        "- match: {}\n{lane}  response: {{ content: \"…\" }}",
        condition(question)
    )
}

fn condition(question: &Question<'_>) -> String {
    if let Some(result) = question.tool_results.last() {
        let name = quoted(result.name);
        return format!("{{ tool_result: {{ name: {name}, ok: {} }} }}", result.ok);
    }
    match &question.user {
        Some(user) if !salient(user.text()).is_empty() => quoted(salient(user.text())),
        Some(_) | None => format!("{{ turn: {} }}", question.turn()),
    }
}

/// JSON's strings are YAML's too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The part of a user's text that a person would quote: of a prompt that wraps messages
/// in tags the last that is said in it, of several lines the last, and not too long.
fn salient(text: &str) -> &str {
    let said = text
        .split(['<', '>', '\n', '\r'])
        .map(str::trim)
        .rfind(|part| !part.is_empty() && !is_tag(text, part))
        .unwrap_or_default();
    let end = said
        .char_indices()
        .nth(PASTED)
        .map_or(said.len(), |(end, _)| end);
    said[..end].trim_end()
}

/// Whether `part`, which lies in `text`, stands between angle brackets.
fn is_tag(text: &str, part: &str) -> bool {
    let start = part.as_ptr().addr() - text.as_ptr().addr();
    let before = &text[..start];
    before.rfind('<') > before.rfind('>') && text[start..].contains('>')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, quoted: &str) {
        assert_eq!(salient(text), quoted);
    }

    #[test]
    fn the_last_thing_said_is_what_a_person_would_quote() {
        check("what is my cat's name?", "what is my cat's name?");
        check(
            "<m>\n<message sender=\"Ada\">first</message>\n<message sender=\"Bob\">second one</message>\n</m>",
            "second one",
        );
        check("line one\nline two\n", "line two");
        check("is 3 < 4 or not", "4 or not");
        check("<only tags/>", "");
        check(&"word ".repeat(30), "word ".repeat(12).trim_end());
    }
}
