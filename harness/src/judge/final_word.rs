//! What is looked at after the last step of every scenario, whatever its steps said.

use std::path::Path;

use mock_server::{FaultCount, Owing, Unexpected, UnsaidTurn};
use serde_json::Value;

use super::{traces_left, wire};
use crate::failure::Failure;
use crate::scenario::Scenario;
use crate::stage::{Stage, StageError, select};

/// Rules that hold in every store, whatever was played: what a row that breaks one means.
const INVARIANTS: [(&str, &str); 3] = [
    (
        "SELECT run_id, output_index, part, count(*) AS times FROM outbox \
         WHERE output_index IS NOT NULL GROUP BY run_id, output_index, part HAVING count(*) > 1",
        "one output of a run stands in the outbox more than once",
    ),
    (
        "SELECT group_folder, count(*) AS times FROM runs \
         WHERE state = 'in_flight' GROUP BY group_folder HAVING count(*) > 1",
        "two runs of one group are in flight",
    ),
    (
        "SELECT chat_jid, id, state FROM messages WHERE state NOT IN \
         ('waiting', 'queued', 'in_flight', 'answered', 'failed')",
        "a message is in no legal state",
    ),
];

/// Everything that is wrong, first causes first. The stage must be at rest.
pub(crate) async fn final_word(
    scenario: &Scenario,
    stage: &Stage,
) -> Result<Vec<Failure>, StageError> {
    let surprises = stage.mock().unexpected().await?;
    let mut failures: Vec<Failure> = surprises.iter().map(unexpected).collect();
    failures.extend(unsaid(scenario, stage.mock().unsaid().await?));
    let unfired = stage.mock().unfired().await?;
    failures.extend(unfired.iter().map(|fault| did_not_come(scenario, fault)));
    failures.extend(wire::unheard(&stage.journal().entries()));
    failures.extend(traces_left::printed(stage.printed(), stage.secrets()));
    for root in stage.roots() {
        failures.extend(logged_errors(scenario, root));
        failures.extend(broken_invariants(root)?);
        failures.extend(traces_left::secrets(root, stage.secrets())?);
        failures.extend(traces_left::strays(root, &scenario.file)?);
    }
    Ok(failures)
}

/// Something came to a mock that it could not answer.
pub(crate) fn unexpected(what: &Unexpected) -> Failure {
    let headline = match what.event.as_str() {
        "llm.unexpected" => "the model was asked something that no turn answers",
        "whatsapp.unexpected" => "WhatsApp was sent something that it does not know",
        _ => "a mock was asked for something it does not serve",
    };
    Failure::new(headline).note(what.report.trim_end())
}

fn unsaid(scenario: &Scenario, turns: Vec<UnsaidTurn>) -> Vec<Failure> {
    let inline = |id: &str| {
        let place = |index: usize| format!("turn-{}", index + 1);
        let mut turns = scenario.file.script.iter().enumerate();
        turns.find(|(index, turn)| {
            turn.id
                .as_deref()
                .map_or(place(*index) == id, |own| own == id)
        })
    };
    let told = |turn: UnsaidTurn| {
        let (why, help) = match &turn.owing {
            Owing::Unasked => (
                format!("it was said {} times; nobody asked for it again", turn.said),
                "remove it, mark it `optional: true`, or find out why the model was not asked",
            ),
            Owing::Held { gate } => (
                format!("it is held at `{gate}`, which was never released"),
                "release the gate, or mark the turn `optional: true` if its client is killed",
            ),
            Owing::Undelivered => (
                "its client went away before the end".to_owned(),
                "mark it `optional: true` if that is the story",
            ),
        };
        let headline = format!("the turn `{}` was never said", turn.turn);
        let failure = Failure::new(headline).note(why).help(help);
        match inline(&turn.turn) {
            Some((_, written)) => failure.at(written.span).label("left unsaid"),
            None => failure,
        }
    };
    turns.into_iter().map(told).collect()
}

/// The story was not broken as it should be.
fn did_not_come(scenario: &Scenario, fault: &FaultCount) -> Failure {
    let headline = format!(
        "the fault `{}` came {} of {} times",
        fault.fault,
        fault.came,
        fault.nth.wanted()
    );
    let note = format!(
        "it is for request {}, and it counted {} requests to the model",
        fault.nth, fault.asked
    );
    let help = "mark it `must: false`, or find out why the model was not asked so often";
    let failure = Failure::new(headline).note(note).help(help);
    match scenario.place_of_fault(&fault.fault) {
        Some(place) => failure.at(place).label("did not come"),
        None => failure,
    }
}

fn logged_errors(scenario: &Scenario, root: &Path) -> Option<Failure> {
    const SHOWN: usize = 3;
    // Without the file there are no errors: it is made when the log is opened.
    let log = fs_err::read_to_string(root.join("logs/nanokimi.error.log"));
    let log = log.unwrap_or_else(|_no_log| String::new());
    let allowed = |line: &str| {
        scenario
            .file
            .allow
            .iter()
            .any(|pattern| pattern.0.is_match(line))
    };
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| !line.trim().is_empty() && !allowed(line))
        .collect();
    if lines.is_empty() {
        return None;
    }
    let headline = format!(
        "nanokimi logged {} errors that `allow` does not list",
        lines.len()
    );
    let mut failure = Failure::new(headline);
    for line in lines.iter().take(SHOWN) {
        failure = failure.note(*line);
    }
    Some(failure.help("if they belong to the story, add a regular expression under `allow`"))
}

fn broken_invariants(root: &Path) -> Result<Vec<Failure>, StageError> {
    let store = root.join("store/messages.db");
    let mut failures = Vec::new();
    if !store.is_file() {
        return Ok(failures);
    }
    for (query, meaning) in INVARIANTS {
        let rows = select(&store, query)
            .map_err(|error| StageError::Store(format!("the store cannot be judged: {error}")))?;
        for row in rows.as_array().map_or(&[] as &[Value], Vec::as_slice) {
            failures.push(Failure::new(format!("invariant: {meaning}")).note(row.to_string()));
        }
    }
    Ok(failures)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a store with these rows.
    #[track_caller]
    fn check(rows: &str, expected: &[&str]) {
        let root = tempfile::tempdir().unwrap();
        fs_err::create_dir(root.path().join("store")).unwrap();
        let store = rusqlite::Connection::open(root.path().join("store/messages.db")).unwrap();
        let tables = "CREATE TABLE outbox (run_id, output_index, part);
            CREATE TABLE runs (group_folder, state);
            CREATE TABLE messages (chat_jid, id, state);";
        store.execute_batch(&format!("{tables}{rows}")).unwrap();
        let failures = broken_invariants(root.path()).unwrap();
        let told: Vec<&str> = failures.iter().map(|one| one.headline.as_str()).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn a_store_that_breaks_a_rule_is_told() {
        check(
            "INSERT INTO outbox VALUES ('r', 0, 0), ('r', 0, 1), ('r', 1, 0), ('r', NULL, 0), ('r', NULL, 0);",
            &[],
        );
        check(
            "INSERT INTO outbox VALUES ('r', 0, 0), ('r', 0, 0);",
            &["invariant: one output of a run stands in the outbox more than once"],
        );
        check(
            "INSERT INTO runs VALUES ('a', 'in_flight'), ('a', 'ended'), ('b', 'in_flight');",
            &[],
        );
        check(
            "INSERT INTO runs VALUES ('a', 'in_flight'), ('a', 'in_flight');",
            &["invariant: two runs of one group are in flight"],
        );
        check(
            "INSERT INTO messages VALUES ('c', '1', 'answered'), ('c', '2', 'lost');",
            &["invariant: a message is in no legal state"],
        );
    }
}
