//! Tools that act on the group's folder: commands and files.

use serde_json::{Value, json};

use crate::model::{Model, Reply};
use crate::stage::{Stage, Told};

/// A turn whose first answer asks for `calls`.
async fn play(calls: &[(&str, Value)]) -> (Stage, Told, Model) {
    let model = Model::start([Reply::calls(calls), Reply::says("done")]).await;
    let stage = Stage::for_model(&model);
    let told = stage.ask("do it").await;
    assert_eq!(told.answers(), ["done"], "{told:#?}");
    (stage, told, model)
}

async fn check_command(command: Value, output: &str) {
    let (_, told, _) = play(&[("bash", command)]).await;
    assert_eq!(told.outputs(), [output]);
}

#[tokio::test]
async fn a_command_answers_with_its_exit_code_and_output() {
    check_command(
        json!({"command": "echo one; echo two >&2; echo three"}),
        "exit code 0\none\ntwo\nthree\n",
    )
    .await;
    check_command(
        json!({"command": "echo no; exit 3"}),
        "error: exit code 3\nno\n",
    )
    .await;
    check_command(
        json!({"command": "kill -9 $$"}),
        "error: killed by signal 9\n",
    )
    .await;
    check_command(json!({"command": "cat"}), "exit code 0\n").await;
    check_command(json!({"command": "basename $PWD"}), "exit code 0\ngroup\n").await;
}

#[tokio::test]
async fn an_endless_command_is_killed_with_all_it_started() {
    check_command(
        json!({"command": "echo begun; sleep 1000 & setsid sleep 1000 & sleep 1000", "timeout_ms": 200}),
        "error: killed after 200 ms, with all it had started\nbegun\n",
    )
    .await;
}

#[tokio::test]
async fn a_script_that_kills_its_group_does_not_kill_its_leash() {
    check_command(
        json!({"command": "exec 2>&-; trap : TERM; sleep 1000 & kill 0; wait; echo survived"}),
        "exit code 0\nsurvived\n",
    )
    .await;
}

#[tokio::test]
async fn an_endless_output_is_bounded() {
    let (_, told, _) = play(&[("bash", json!({"command": "seq 1 200000"}))]).await;
    let output = told.outputs()[0];
    assert!(output.starts_with("exit code 0\n1\n2\n"), "{output}");
    assert!(output.ends_with("199999\n200000\n"), "{output}");
    assert!(output.len() < 40_000 && output.contains("bytes left out"));
}

#[tokio::test]
async fn what_runs_in_the_background_lives_until_the_turn_ends() {
    // The second command speaks to the first, which holds its output open all the while.
    let (_, told, _) = play(&[
        (
            "bash",
            json!({"command": "mkfifo pipe; (echo alive > pipe; sleep 1000) & echo started"}),
        ),
        ("bash", json!({"command": "cat pipe"})),
    ])
    .await;
    assert_eq!(
        told.outputs(),
        ["exit code 0\nstarted\n", "exit code 0\nalive\n"]
    );
}

#[tokio::test]
async fn parallel_calls_are_answered_in_their_order() {
    let (stage, told, model) = play(&[
        (
            "write_file",
            json!({"path": "notes/cat.md", "content": "Miso"}),
        ),
        (
            "edit_file",
            json!({"path": "notes/cat.md", "old": "Miso", "new": "Mochi"}),
        ),
        ("read_file", json!({"path": "notes/cat.md"})),
    ])
    .await;
    assert_eq!(
        told.outputs(),
        [
            "wrote 4 bytes to `notes/cat.md`",
            "replaced 1 of 1 in `notes/cat.md`",
            "Mochi"
        ]
    );
    assert_eq!(stage.read("group/notes/cat.md"), "Mochi");
    let ids: Vec<Value> = model.asked()[1]["messages"].as_array().unwrap()[3..]
        .iter()
        .map(|message| message["tool_call_id"].clone())
        .collect();
    assert_eq!(ids, ["c0", "c1", "c2"]);
}

#[tokio::test]
async fn a_call_that_cannot_be_used_is_an_answer_to_the_model() {
    let broken = json!({"choices": [{"delta": {"tool_calls": [
        {"index": 0, "id": "c0", "function": {"name": "fly", "arguments": "{}"}},
        {"index": 1, "id": "c1", "function": {"name": "bash", "arguments": "{\"command\": \"ech"}},
        {"index": 2, "id": "c2", "function": {"name": "bash", "arguments": "{\"cmd\": 1}"}},
    ]}, "finish_reason": "tool_calls"}]});
    let model = Model::start([Reply::frames(&[broken]), Reply::says("sorry")]).await;
    let told = Stage::for_model(&model).ask("hi").await;

    assert_eq!(told.answers(), ["sorry"]);
    let outputs = told.outputs();
    assert!(
        outputs[0].starts_with("error: there is no tool `fly`"),
        "{}",
        outputs[0]
    );
    assert!(
        outputs[1].starts_with("error: the arguments are not a JSON object"),
        "{}",
        outputs[1]
    );
    assert!(outputs[2].contains("unknown field `cmd`"), "{}", outputs[2]);
    // What is sent back parses: a broken history would be refused for ever.
    let call = &model.asked()[1]["messages"][2]["tool_calls"][1];
    assert_eq!(call["function"]["arguments"], "{}");
}

#[tokio::test]
async fn a_page_is_fetched_as_text() {
    let html = "<body><h1>Cats</h1><script>no()</script><p>Miso &amp; Mochi</p></body>";
    let site = Model::start([
        Reply::status("200 OK", "content-type: text/html\r\n", html),
        Reply::status("200 OK", "content-type: image/png\r\n", "\u{1}"),
        Reply::status("404 Gone", "", ""),
    ])
    .await;
    let fetch = |url: &str| ("web_fetch", json!({"url": url}));
    let page = fetch(&site.base_url);
    let (_, told, _) = play(&[
        page.clone(),
        page.clone(),
        page,
        fetch("file:///etc/passwd"),
    ])
    .await;
    assert_eq!(
        told.outputs(),
        [
            "Cats\nMiso & Mochi",
            "error: the page is `image/png`, not text; bash and curl can save it",
            "error: the page's server answered 404 Not Found",
            "error: `file:///etc/passwd` is not an http or https address",
        ]
    );
}
