//! Whatever went wrong, the report is a page.

use std::sync::Arc;
use std::time::Duration;

use mock_server::Journal;
use mock_server::yaml::{Source, Span};
use serde_json::{Map, Value};

use super::*;

fn outcome(verdict: Verdict) -> Outcome {
    let journal = Journal::open();
    for number in 0..9 {
        let text = Value::from("x".repeat(300));
        let fields = [("n".to_owned(), number.into()), ("text".to_owned(), text)];
        journal.write("llm.request", fields.into_iter().collect::<Map<_, _>>());
    }
    Outcome {
        name: "chat/hi".to_owned(),
        took: Duration::from_millis(118),
        verdict,
        clock: None,
        seed: 7,
        source: Arc::new(Source::new(
            "scenarios/chat/hi.yaml",
            "story: x\nsteps: []\n",
        )),
        played: journal.entries(),
        trace: Some("target/harness/chat/hi/journal.jsonl".into()),
        kept: Some("/root-folder".into()),
    }
}

#[test]
fn what_passed_is_one_line() {
    assert_eq!(told(&outcome(Verdict::Passed)), "ok   chat/hi 118 ms\n");
}

#[test]
fn a_failure_is_told_with_its_place_and_what_happened_last() {
    let failure = Failure::new("no answer came")
        .at(Span::new(9, 14))
        .help("wait longer");
    let story = told(&outcome(Verdict::Failed(vec![failure])));
    assert!(
        story.contains("--> scenarios/chat/hi.yaml:2:1\n"),
        "{story}"
    );
    assert!(story.contains("help: wait longer\n"), "{story}");
    assert!(story.contains("#9 llm.request"), "{story}");
    assert!(story.ends_with("folder: /root-folder\n"), "{story}");
}

#[test]
fn a_headline_is_one_line_whatever_it_quotes() {
    let quoting = |number: usize| Failure::new(format!("{number} /{}/", "part of it\n".repeat(40)));
    let story = told(&outcome(Verdict::Failed((0..2).map(quoting).collect())));
    assert!(story.lines().count() <= 25, "{story}");
    assert!(
        story.contains("\nerror: 0 /part of it part of it"),
        "{story}"
    );
    assert!(
        story.contains("\nalso: 1 /part of it part of it"),
        "{story}"
    );
    assert!(
        story.lines().all(|line| line.chars().count() <= 160),
        "{story}"
    );
}

#[test]
fn many_long_failures_fit_on_a_page_and_none_is_forgotten() {
    let long = |number: usize| {
        let note = format!("{}\n", "a line of a note ".repeat(30)).repeat(40);
        Failure::new(format!("failure {number}"))
            .at(Span::new(0, 5))
            .note(note)
    };
    let story = told(&outcome(Verdict::Failed((0..9).map(long).collect())));
    assert!(story.lines().count() <= 25, "{story}");
    assert!(
        story.lines().all(|line| line.chars().count() <= 160),
        "{story}"
    );
    assert!(story.contains("error: failure 0\n"), "{story}");
    assert!(story.contains("also: failure 1 (1:1)\n"), "{story}");
    assert!(story.contains("also: 5 failures more\n"), "{story}");
}
