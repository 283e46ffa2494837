//! `kill -9`: what is on disk afterwards, and what is still alive.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::model::{Model, Reply, finish_frame, text_frame};
use crate::stage::{AGENT, PATIENCE, Stage, Told, ask};

/// Lets a span shorter than a timer's tick pass.
fn spin(span: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < span {
        std::hint::spin_loop();
    }
}

/// How many messages were on disk before the latest request, which added its question. They
/// must be a whole conversation: a question, an answer, and so on.
fn stored(model: &Model) -> usize {
    let asked = model.asked();
    let messages = asked.last().unwrap()["messages"].as_array().unwrap();
    for (at, message) in messages[1..].iter().enumerate() {
        let role = if at % 2 == 0 { "user" } else { "assistant" };
        assert_eq!(message["role"], role, "message {at}");
    }
    messages.len() - 2
}

/// A session of a few hundred KiB with two messages.
async fn story() -> (Stage, Model, Told) {
    // Its cost is the last that is told before a turn is written.
    let cost = json!({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 1}});
    let yes = Reply::frames(&[text_frame("yes"), finish_frame("stop"), cost]);
    let model = Model::start(std::iter::repeat_n(yes, 100)).await;
    let stage = Stage::for_model(&model);
    let first = stage.ask(&"a long story. ".repeat(20_000)).await;
    (stage, model, first)
}

/// Goes on after a turn was killed; returns how many messages that one has left on disk. Two
/// more are there afterwards.
async fn survives(stage: &Stage, model: &Model, first: &Told) -> usize {
    let told = stage.go_on(first, "still there?").await;
    assert_eq!(told.answers(), ["yes"], "{told:#?}");
    stored(model)
}

#[tokio::test]
async fn a_kill_at_any_instant_leaves_a_session_that_loads() {
    let (stage, model, first) = story().await;
    let mut before = 2;
    let early = (0..8).map(|step| ("session", Duration::from_millis(step)));
    let late = (0..24).map(|step| ("usage", Duration::from_micros(step * 200)));
    for (after, span) in early.chain(late) {
        let mut turn = stage.start(&ask("more", Some(&first.session()))).await;
        turn.until(after).await;
        spin(span);
        turn.child.kill().await.unwrap();

        let found = survives(&stage, &model, &first).await;
        let whole_or_nothing = found == before || found == before + 2;
        assert!(
            whole_or_nothing,
            "{found} after {before}, killed {span:?} after {after}"
        );
        before = found + 2;
    }
}

#[tokio::test]
async fn a_kill_in_the_middle_of_writing_leaves_the_conversation_before_it() {
    let (stage, model, first) = story().await;
    let mut before = 2;
    for kib in [0, 1, 4, 64, 200, 270] {
        let input = ask("more", Some(&first.session()));
        let mut turn = stage.start_with_file_limit(kib, &input).await;
        turn.until("usage").await;
        let ended = timeout(PATIENCE, turn.child.wait()).await.unwrap().unwrap();
        assert_eq!(ended.signal(), Some(Signal::XFSZ.as_raw()), "{kib} KiB");

        assert_eq!(survives(&stage, &model, &first).await, before, "{kib} KiB");
        before += 2;
    }
}

#[tokio::test]
async fn a_turn_killed_in_a_tool_leaves_the_conversation_before_it() {
    let model = Model::start([
        Reply::says("Noted."),
        Reply::calls(&[("bash", json!({"command": "sleep 1000"}))]),
        Reply::says("yes"),
    ])
    .await;
    let stage = Stage::for_model(&model);
    let first = stage.ask("remember blue").await;
    let mut turn = stage.start(&ask("wait", Some(&first.session()))).await;
    turn.until("tool_call").await;
    turn.child.kill().await.unwrap();

    stage.go_on(&first, "still there?").await;
    assert_eq!(
        model.last_messages(),
        ["remember blue", "wait", "still there?"]
    );
    assert_eq!(stored(&model), 2);
}

/// A named pipe that processes of a command hold open: it ends when the last of them has died.
pub(crate) struct Lives {
    news: mpsc::Receiver<&'static str>,
}

impl Lives {
    /// What a command does to be seen: it holds the pipe open, and so does all it starts, in
    /// its group, in its session and out of it.
    pub(crate) const COMMAND: &str =
        "exec 9> lives; echo up >&9; sleep 1000 & setsid sleep 1000 & (setsid sleep 1000 &)";

    pub(crate) fn watch(stage: &Stage) -> Self {
        let path = stage.path("group/lives");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        let (tell, news) = mpsc::channel(2);
        // A thread, since opening a pipe waits for its other end.
        std::thread::spawn(move || {
            let mut pipe = BufReader::new(fs_err::File::open(path).unwrap());
            pipe.read_line(&mut String::new()).unwrap();
            tell.blocking_send("up").unwrap();
            pipe.read_to_end(&mut Vec::new()).unwrap();
            tell.blocking_send("all dead").unwrap();
        });
        Self { news }
    }

    pub(crate) async fn hear(&mut self, news: &str) {
        let heard = timeout(PATIENCE, self.news.recv()).await;
        assert_eq!(heard, Ok(Some(news)));
    }
}

/// Kills an agent whose command runs; all that the command has started dies with it.
async fn check_killed(kill: impl FnOnce(Pid) -> rustix::io::Result<()>) {
    let command = format!("{}; wait", Lives::COMMAND);
    let model = Model::start([Reply::calls(&[("bash", json!({"command": command}))])]).await;
    let stage = Stage::for_model(&model);
    let mut lives = Lives::watch(&stage);
    let turn = stage.start(&ask("go", None)).await;
    lives.hear("up").await;

    let pid = turn
        .child
        .id()
        .and_then(|id| Pid::from_raw(id.cast_signed()));
    kill(pid.unwrap()).unwrap();

    lives.hear("all dead").await;
}

#[tokio::test]
async fn no_process_of_a_tool_survives_a_killed_agent() {
    check_killed(|agent| kill_process(agent, Signal::KILL)).await;
    check_killed(|agent| kill_process(agent, Signal::TERM)).await;
    check_killed(|agent| kill_process_group(agent, Signal::KILL)).await;
}

#[tokio::test]
async fn no_process_of_a_tool_survives_the_turn() {
    let call = Reply::calls(&[("bash", json!({"command": Lives::COMMAND}))]);
    let model = Model::start([call, Reply::says("done")]).await;
    let stage = Stage::for_model(&model);
    let mut lives = Lives::watch(&stage);

    let told = stage.ask("go").await;

    assert_eq!(told.outputs(), ["exit code 0\n"]);
    lives.hear("up").await;
    lives.hear("all dead").await;
}

#[tokio::test]
async fn an_agent_dies_with_its_parent() {
    let model = Model::start([Reply::raw("").held()]).await;
    let stage = Stage::for_model(&model);
    fs_err::write(stage.path("input.json"), ask("hi", None)).unwrap();
    let mut parent = Command::new("bash")
        .args(["-c", &format!("{AGENT} < ../input.json & wait")])
        .env_clear()
        .envs(&stage.environment)
        .current_dir(stage.path("group"))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdout = tokio::io::BufReader::new(parent.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).await.unwrap();
    let event: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(event["type"], "session");

    parent.kill().await.unwrap();

    // The agent holds the other end; it would wait for its model for two minutes.
    let closed = timeout(PATIENCE, stdout.read_to_end(&mut Vec::new())).await;
    assert!(closed.unwrap().is_ok());
}

#[tokio::test]
async fn an_agent_that_nobody_hears_ends() {
    let model = Model::start([Reply::calls(&[("list_tasks", json!({}))])]).await;
    let stage = Stage::for_model(&model);
    let mut turn = stage.start(&ask("hi", None)).await;
    drop(turn.events);
    let ended = timeout(PATIENCE, turn.child.wait()).await.unwrap().unwrap();
    assert_eq!(ended.code(), Some(1));
    assert!(model.asked().len() <= 1, "it does not go on asking");
}
