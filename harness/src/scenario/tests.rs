//! What an author is told, mistake by mistake.

use std::path::Path;

use super::parse;

/// `expected` is one `line:col message | help` for each mistake.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let Err(mistakes) = parse(Path::new("scenarios/s.yaml"), text) else {
        panic!("no mistake was found")
    };
    let told: Vec<String> = mistakes
        .list()
        .iter()
        .map(|one| {
            let place = mistakes.source().place(one.span);
            let help = one.help.as_deref().map_or("", |help| help);
            format!("{place} {} | {help}", one.message)
        })
        .collect();
    assert_eq!(told, expected);
}

const FINE: &str = "story: x\nsteps:\n  - hear: { chat: main, text: hi }\n";

#[test]
fn a_scenario_is_read_and_named_after_its_file() {
    let scenarios = parse(Path::new("/x/scenarios/chat/hi.yaml"), FINE).unwrap();
    assert_eq!(scenarios.len(), 1);
    assert_eq!(scenarios[0].name(), "chat/hi");
}

#[test]
fn a_step_with_a_phone_needs_whatsapp() {
    let group = "  - phone: { create_group: { name: club, id: '120363', members: [ada] } }\n";
    let linking = |text: &str| {
        let scenarios = parse(Path::new("scenarios/s.yaml"), text).unwrap();
        scenarios[0].linking().is_some()
    };
    assert!(!linking(FINE));
    assert!(linking(&format!("{FINE}{group}")));
}

#[test]
fn a_scenario_must_expect_something_and_tell_its_story() {
    check(
        "story: ''\nsteps:\n  - ask: { chat: main, text: hi }\n  - settle\n",
        &[
            "1:1 nothing is expected, so nothing is tested | add a `hear`, an `expect`, a `never`, or an `answer` to an `ask`",
            "1:8 the story is empty | say in one sentence what a person would notice if this broke",
        ],
    );
}

#[test]
fn unknown_names_are_told_with_the_nearest() {
    check(
        "story: x\nchats: { family: {} }\nscript:\n  - { id: upload, hold: thinking, response: { content: x } }\nsteps:\n  - hear: { chat: famly, text: hi }\n  - release: thinkin\n  - expect: { event: llm.replay, where: { turn: uplod } }\n  - expect: { db.sessions: { some: { id: \"${sid}\" } } }\n  - snapshot: [db.session]\n",
        &[
            "6:19 unknown chat `famly` | did you mean `family`?",
            "7:14 unknown gate `thinkin` | did you mean `thinking`?",
            "8:22 unknown event `llm.replay` | did you mean `llm.reply`?",
            "8:49 unknown turn `uplod` | did you mean `upload`?",
            "9:42 `${sid}` is captured by no step before this one | use one of: now, root",
            "10:16 unknown table `session` | did you mean `sessions`?",
        ],
    );
}

#[test]
fn wrong_values_say_what_was_expected_and_found() {
    check(
        "story: x\nclock: { tz: Europe/Pariss }\nfiles: { ../out: x }\nsteps:\n  - hear: { chat: main, text: hi, within: 5 }\n  - ipc: { group: main, task: {}, raw: x }\n  - stop: { how: gently }\n  - expect: { db: [] }\n  - never: { event: task.due }\n",
        &[
            "2:14 `Europe/Pariss` is not a time zone | use an IANA name such as `Europe/Paris`",
            "3:18 `../out` does not lie below the root folder | write a relative path",
            "5:43 expected a duration like `5s`, found 5 | use ms, s, m, h or d, as in `1h30m`",
            "6:5 a drop has exactly one content | give one of: message, task, raw, symlink, fifo, size",
            "7:18 `gently` is not known here | use one of: term, kill, itself",
            "8:15 unknown key `db` | use one of: event, where, count, within, db.<table>, files.<glob>, storage.<bucket>, log, engine.containers",
            "9:5 the key `for` is missing here | add `for: …`",
        ],
    );
}

#[test]
fn turns_and_lanes_that_do_not_fit_together_are_told_with_their_place() {
    let steps = "steps:\n  - hear: { chat: main, text: hi }\n";
    let two =
        "story: x\nscript:\n  - { id: a, response: {} }\n  - { id: a, response: {} }\n".to_owned();
    check(
        &(two + steps),
        &["4:11 two turns are called `a`; each id names one turn | "],
    );
    let lane = "story: x\nscript: [{ lane: side, response: {} }]\n".to_owned();
    check(
        &(lane + steps),
        &["2:10 turn `turn-1` is for lane `side`, which nothing declares; lanes: main | "],
    );
}

#[test]
fn no_path_leaves_the_root_folder() {
    check(
        "story: x\nchats: { a: { folder: ../a }, ada: { direct: ada } }\nsteps:\n  - ipc: { group: ../.., raw: x }\n  - ipc: { group: main, name: /x.json, raw: x }\n  - expect: { files.../x: {} }\n  - snapshot: [files./etc/passwd]\n  - say: { chat: ada, from: ada, media: { kind: image, path: ../../x.png } }\n",
        &[
            "2:13 `../a` does not lie below the root folder | write a relative path",
            "4:5 `../..` does not lie below the root folder | write a relative path",
            "5:5 `/x.json` does not lie below the root folder | write a relative path",
            "6:27 `../x` does not lie below the root folder | write a relative path",
            "7:16 `/etc/passwd` does not lie below the root folder | write a relative path",
            "8:5 `../../x.png` does not lie below the folder of the scenario | write a path from there",
        ],
    );
}

#[test]
fn keys_that_would_be_ignored_are_refused() {
    check(
        "story: x\nsteps:\n  - expect: { db.tasks: [], count: 5 }\n  - never: { hear: { chat: main, text: hi, count: 1, within: 1s }, for: 1s }\n",
        &[
            "3:36 `count` means nothing beside a state | say how many there are in the state itself, as in `{ len: 2 }`",
            "4:28 `within` means nothing beside what is never heard | leave it out; `for` says how long",
            "4:51 `count` means nothing beside what is never heard | leave it out; to hear it no more often, write `hear` with a `count`",
        ],
    );
}

#[test]
fn variables_and_rows_must_be_known_apart() {
    let steps = "steps:\n  - hear: { chat: main, text: hi }\n";
    check(
        &format!(
            "story: x\nconfig: {{ assistant_name: \"${{nmae}}\" }}\nfiles: {{ a: \"b ${{c}}\" }}\nmatrix: [{{ name: Kai }}]\n{steps}"
        ),
        &[
            "2:27 `${nmae}` is no variable of the matrix | only steps know captures, `now` and `root`",
            "3:13 `${c}` is no variable of the matrix | only steps know captures, `now` and `root`",
        ],
    );
    check(
        &format!("story: x\nmatrix:\n  - {{ row: a, n: 1 }}\n  - {{ row: a, n: 2 }}\n{steps}"),
        &["4:5 two rows are called `a` | name each with `row: …`"],
    );
}

#[test]
fn a_list_is_no_struct() {
    check(
        "story: x\nclock: [\"2026-01-05T09:00:00Z\", UTC]\nsteps:\n  - hear: { chat: main, text: hi }\n",
        &["2:1 expected a map, found a list | "],
    );
}

#[test]
fn a_part_that_cannot_be_read_casts_no_doubt_on_the_rest() {
    check(
        "story: x\nchats: { family: { foldr: x } }\nsteps:\n  - hear: { chat: family, text: hi }\n",
        &["2:20 unknown key `foldr` | did you mean `folder`?"],
    );
}

#[test]
fn rows_of_a_matrix_are_scenarios_of_their_own() {
    let text = "story: x\nmatrix:\n  - { row: one, n: 1 }\n  - { row: two, n: 2 }\nsteps:\n  - hear: { chat: main, text: \"n is ${n}\", count: \"${n}\" }\n";
    let scenarios = parse(Path::new("scenarios/m.yaml"), text).unwrap();
    let names: Vec<String> = scenarios.iter().map(super::Scenario::name).collect();
    assert_eq!(names, ["m [one]", "m [two]"]);
    let step = format!("{:?}", scenarios[1].file.steps[0].value);
    assert!(
        step.contains("n is 2") && step.contains("Number(2)"),
        "{step}"
    );
}

#[test]
fn no_text_makes_the_reader_panic() {
    let text = "story: é\nmatrix: [{a: 1}]\nscript: [{match: x, response: {content: \"{{ user }}\"}}]\nsteps: [{expect: {event: llm.request, where: {a: [1, {len: 2}]}}}, settle, {clock: {advance: 1h}}]\n";
    for end in 0..text.len() {
        if let Some(part) = text.get(..end) {
            drop(parse(Path::new("scenarios/s.yaml"), part));
        }
    }
}
