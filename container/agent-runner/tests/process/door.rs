//! A box without a network: the model is behind a door, and so is the agent's life.

use std::io::{BufRead, BufReader};

use agent_protocol::door::{Answer, Call, read_line, relay};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use crate::model::{Model, Reply};
use crate::stage::{PATIENCE, Running, Stage, ask};

/// The orchestrator's side, as a test has it: it lets everybody through to the model.
struct Door {
    /// Ends what goes through the door, and then the door.
    callers: JoinSet<()>,
}

/// A stage whose model is found at the same port of another loopback address, behind a door.
fn behind_a_door(model: &Model) -> (Stage, UnixListener, u16) {
    let address = model.base_url.strip_prefix("http://127.0.0.1:").unwrap();
    let port = address.split('/').next().unwrap().parse().unwrap();
    let mut stage = Stage::for_model(model);
    let door = stage.path("door.sock");
    stage = stage
        .with("NANOKIMI_DOOR", &door.display().to_string())
        .with(
            "NANOKIMI_DOOR_HOSTS",
            &format!("model.test:{port}@127.0.0.2"),
        )
        .with(
            "NANOKIMI_LLM_BASE_URL",
            &format!("http://127.0.0.2:{port}/v1"),
        );
    let listener = UnixListener::bind(door).unwrap();
    (stage, listener, port)
}

impl Door {
    fn open(listener: UnixListener, port: u16) -> Self {
        let mut callers = JoinSet::new();
        callers.spawn(async move {
            let mut inside = JoinSet::new();
            while let Ok((caller, _)) = listener.accept().await {
                inside.spawn(let_through(caller, port));
            }
        });
        Self { callers }
    }
}

async fn let_through(mut caller: UnixStream, port: u16) {
    let call = read_line(&mut caller).await.unwrap();
    let answer = format!("{}\n", Answer::Open);
    caller.write_all(answer.as_bytes()).await.unwrap();
    match call.parse().unwrap() {
        Call::Lifeline => assert_eq!(caller.read(&mut [0]).await.unwrap(), 0),
        Call::To(target) => {
            assert_eq!(target.to_string(), format!("model.test:{port}"));
            let mut model = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            // A relay that breaks is what some of these tests are about.
            let (Ok(()) | Err(_)) = relay(&mut caller, &mut model).await;
        }
    }
}

/// What it says last on stderr, and its exit code.
async fn last_words(mut agent: Running) -> (String, Option<i32>) {
    let mut words = String::new();
    let mut stderr = agent.child.stderr.take().unwrap();
    let end = async {
        stderr.read_to_string(&mut words).await.unwrap();
        agent.child.wait().await.unwrap().code()
    };
    let code = timeout(PATIENCE, end).await.unwrap();
    (words, code)
}

#[tokio::test]
async fn a_turn_reaches_its_model_through_the_door() {
    let model = Model::start([
        Reply::calls(&[("bash", json!({"command": "echo $NANOKIMI_DOOR"}))]),
        Reply::says("four"),
    ])
    .await;
    let (stage, listener, port) = behind_a_door(&model);
    let _door = Door::open(listener, port);

    let told = stage.ask("2+2?").await;

    assert_eq!(told.answers(), ["four"], "{told:#?}");
    assert_eq!(told.outputs(), ["exit code 0\n\n"]);
    assert_eq!(told.code, Some(0));
}

#[tokio::test]
async fn the_end_of_the_door_ends_the_turn_with_what_it_has_started() {
    let command = "mkfifo pipe; (echo alive; exec sleep 1000) > pipe & echo started";
    let model = Model::start([
        Reply::calls(&[("bash", json!({"command": command}))]),
        Reply::says("wait").held(),
    ])
    .await;
    let (stage, listener, port) = behind_a_door(&model);
    let mut door = Door::open(listener, port);
    let mut agent = stage.start(&ask("begin", None)).await;
    agent.until("tool_result").await;
    let pipe = stage.path("group/pipe");
    // Both wait for the command: until it opens the pipe, and until nobody holds it any more.
    let opened = spawn_blocking(move || {
        let mut pipe = BufReader::new(fs_err::File::open(pipe).unwrap());
        let mut line = String::new();
        pipe.read_line(&mut line).unwrap();
        (pipe, line)
    });
    let (mut pipe, line) = timeout(PATIENCE, opened).await.unwrap().unwrap();
    assert_eq!(line, "alive\n");

    door.callers.shutdown().await;

    let (words, code) = last_words(agent).await;
    assert!(words.contains("the orchestrator is gone"), "{words}");
    assert_eq!(code, Some(1));
    let ended = spawn_blocking(move || pipe.read_line(&mut String::new()).unwrap());
    assert_eq!(timeout(PATIENCE, ended).await.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn an_agent_that_waits_for_its_input_ends_with_the_door() {
    let model = Model::start([]).await;
    let (stage, listener, _) = behind_a_door(&model);
    let (lifeline, held) = oneshot::channel();
    let mut taking = JoinSet::new();
    taking.spawn(async move {
        let (mut caller, _) = listener.accept().await.unwrap();
        assert_eq!(read_line(&mut caller).await.unwrap(), "lifeline");
        caller.write_all(b"ok\n").await.unwrap();
        lifeline.send(caller).unwrap();
    });
    let (agent, _stdin) = stage.start_without_input();
    let caller = timeout(PATIENCE, held).await.unwrap().unwrap();

    drop(caller);

    let (words, code) = last_words(agent).await;
    assert!(words.contains("the orchestrator is gone"), "{words}");
    assert_eq!(code, Some(1));
}

#[tokio::test]
async fn a_refusal_is_told_with_its_reason() {
    let model = Model::start([]).await;
    let (stage, listener, _) = behind_a_door(&model);
    let stage = stage.with("NANOKIMI_LLM_ATTEMPTS", "1");
    let mut callers = JoinSet::new();
    callers.spawn(async move {
        let mut lifelines = Vec::new();
        loop {
            let (mut caller, _) = listener.accept().await.unwrap();
            let call = read_line(&mut caller).await.unwrap();
            let answer: &[u8] = match call.parse().unwrap() {
                Call::Lifeline => b"ok\n",
                Call::To(_) => b"no it is closed on Sundays\n",
            };
            caller.write_all(answer).await.unwrap();
            if answer == b"ok\n" {
                lifelines.push(caller);
            }
        }
    });

    let told = stage.ask("2+2?").await;

    assert_eq!(told.error()["kind"], "network", "{told:#?}");
    assert!(told.stderr.contains("it is closed on Sundays"), "{told:#?}");
}

#[tokio::test]
async fn a_door_that_is_not_there_fails_the_turn() {
    let model = Model::start([]).await;
    let (stage, listener, _) = behind_a_door(&model);
    drop(listener);

    let told = stage.ask("2+2?").await;

    let message = told.error()["message"].as_str().unwrap();
    assert!(message.contains("door.sock` does not answer"), "{message}");
    let stage = stage.with("NANOKIMI_DOOR_HOSTS", "model");
    let told = stage.ask("2+2?").await;
    let message = told.error()["message"].as_str().unwrap();
    assert!(
        message.contains("`NANOKIMI_DOOR_HOSTS`: `model` is not a host and a port"),
        "{message}"
    );
}
