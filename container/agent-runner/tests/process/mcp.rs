//! The tools that reach the orchestrator, over the Model Context Protocol.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::model::{Model, Reply};
use crate::stage::{AGENT, PATIENCE, Stage};

/// A server and who speaks to it.
struct Server {
    process: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    asked: u64,
}

impl Server {
    /// Started as an agent would, and greeted.
    async fn start(stage: &Stage, is_main: &str) -> Self {
        let mut process = Command::new(AGENT)
            .arg("mcp")
            .env_clear()
            .env("NANOKIMI_IPC_DIR", stage.path("ipc"))
            .env("NANOKIMI_CHAT_JID", "1@g.us")
            .env("NANOKIMI_GROUP_FOLDER", "family")
            .env("NANOKIMI_IS_MAIN", is_main)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut server = Self {
            stdin: process.stdin.take().unwrap(),
            lines: BufReader::new(process.stdout.take().unwrap()).lines(),
            process,
            asked: 0,
        };
        let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": {"name": "kimi-code", "version": "0.0.0"}});
        let greeting = server.ask("initialize", hello).await;
        assert_eq!(greeting["serverInfo"]["name"], "nanokimi");
        server
            .send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            .await;
        server
    }

    async fn send(&mut self, message: &Value) {
        let line = format!("{message}\n");
        self.stdin.write_all(line.as_bytes()).await.unwrap();
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        let id = self.asked;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .await;
        let line = timeout(PATIENCE, self.lines.next_line()).await.unwrap();
        let answer: Value = serde_json::from_str(&line.unwrap().unwrap()).unwrap();
        assert_eq!(answer["id"], id, "{answer}");
        answer["result"].clone()
    }

    async fn call(&mut self, name: &str, arguments: Value) -> (bool, String) {
        let params = json!({"name": name, "arguments": arguments});
        let result = self.ask("tools/call", params).await;
        let text = result["content"][0]["text"].as_str().unwrap();
        (result["isError"] != true, text.to_owned())
    }

    async fn names(&mut self) -> Vec<String> {
        let tools = self.ask("tools/list", json!({})).await;
        let tools = tools["tools"].as_array().unwrap();
        let name = |tool: &Value| tool["name"].as_str().unwrap().to_owned();
        tools.iter().map(name).collect()
    }
}

async fn check_refused(name: &str, value: Option<&str>, complaint: &str) {
    let mut server = Command::new(AGENT);
    server
        .arg("mcp")
        .env_clear()
        .env("NANOKIMI_CHAT_JID", "1@g.us")
        .env("NANOKIMI_GROUP_FOLDER", "family")
        .env("NANOKIMI_IS_MAIN", "false")
        .stdin(Stdio::null());
    match value {
        Some(value) => server.env(name, value),
        None => server.env_remove(name),
    };
    let ended = timeout(PATIENCE, server.output()).await.unwrap().unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{told}");
    assert!(told.contains(complaint), "{told}");
}

#[tokio::test]
async fn a_server_that_is_not_told_whom_it_serves_does_not_start() {
    for name in [
        "NANOKIMI_CHAT_JID",
        "NANOKIMI_GROUP_FOLDER",
        "NANOKIMI_IS_MAIN",
    ] {
        check_refused(name, None, &format!("`{name}` is not set")).await;
    }
    check_refused(
        "NANOKIMI_IS_MAIN",
        Some("yes"),
        "expected `true` or `false`",
    )
    .await;
}

/// A stage whose model is never asked.
async fn stage() -> Stage {
    Stage::for_model(&Model::start([]).await)
}

#[tokio::test]
async fn a_message_and_a_task_are_left_for_the_orchestrator() {
    let stage = stage().await;
    let mut server = Server::start(&stage, "false").await;

    let sent = server.call("send_message", json!({"text": "hello"})).await;
    let task = json!({"prompt": "p", "schedule_type": "interval", "schedule_value": "5m"});
    let (scheduled, reply) = server.call("schedule_task", task).await;

    assert_eq!(
        sent,
        (true, "requested: the message will be sent".to_owned())
    );
    let left: Value =
        serde_json::from_slice(&fs_err::read(&stage.list("ipc/messages")[0]).unwrap()).unwrap();
    assert_eq!(
        (&left["chatJid"], &left["text"]),
        (&json!("1@g.us"), &json!("hello"))
    );
    assert_eq!(left["groupFolder"], "family");
    assert!(scheduled, "{reply}");
    let left: Value =
        serde_json::from_slice(&fs_err::read(&stage.list("ipc/tasks")[0]).unwrap()).unwrap();
    assert_eq!(left["targetJid"], "1@g.us");
}

#[tokio::test]
async fn a_mistake_is_an_answer_that_says_what_is_wrong() {
    let stage = stage().await;
    let mut server = Server::start(&stage, "false").await;
    for (name, arguments, complaint) in [
        (
            "send_message",
            json!({"text": " "}),
            "error: `text` is blank",
        ),
        (
            "send_message",
            json!({"words": "hi"}),
            "unknown field `words`",
        ),
        ("bash", json!({"command": "ls"}), "there is no tool `bash`"),
        (
            "register_group",
            json!({}),
            "there is no tool `register_group`",
        ),
    ] {
        let (ok, text) = server.call(name, arguments).await;
        assert!(!ok, "{text}");
        assert!(text.contains(complaint), "{text}");
    }
    assert_eq!(stage.list("ipc").len(), 0, "nothing is left");
}

#[tokio::test]
async fn the_tools_are_those_of_our_own_agent_less_what_it_does_itself() {
    let model = Model::start([Reply::says("hi")]).await;
    let stage = Stage::for_model(&model);
    stage.ask("hi").await;
    let ours = model.asked()[0]["tools"].as_array().unwrap().clone();
    let mut server = Server::start(&stage, "false").await;
    let theirs = server.ask("tools/list", json!({})).await;
    let theirs = theirs["tools"].as_array().unwrap();
    assert_eq!(theirs.len(), 7);
    for tool in theirs {
        let own = ours
            .iter()
            .find(|own| own["function"]["name"] == tool["name"])
            .unwrap();
        assert_eq!(own["function"]["parameters"], tool["inputSchema"]);
        assert_eq!(own["function"]["description"], tool["description"]);
    }
    let mut main = Server::start(&stage, "true").await;
    let names = main.names().await;
    assert_eq!(names[7..], ["register_group", "refresh_groups"]);
}

#[tokio::test]
async fn the_server_ends_with_its_stdin() {
    let stage = stage().await;
    let Server {
        mut process, stdin, ..
    } = Server::start(&stage, "false").await;
    drop(stdin);
    let ended = timeout(PATIENCE, process.wait()).await.unwrap().unwrap();
    assert_eq!(ended.code(), Some(0));
}
