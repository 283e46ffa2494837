//! A box for one agent: its folders, its environment, and what came out of it.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::double::Double;
use crate::model::Model;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const AGENT: &str = env!("CARGO_BIN_EXE_agent-runner");
pub(crate) const KEY: &str = "sk-very-secret";

/// Folders that outlive a turn, as a group's do.
#[derive(Debug)]
pub(crate) struct Stage {
    pub root: TempDir,
    pub environment: BTreeMap<String, String>,
}

/// What one turn has told.
#[derive(Debug)]
pub(crate) struct Told {
    pub events: Vec<Value>,
    pub code: Option<i32>,
    pub stderr: String,
}

/// A turn that is under way.
#[derive(Debug)]
pub(crate) struct Running {
    pub child: Child,
    pub events: Lines<BufReader<ChildStdout>>,
}

impl Stage {
    pub(crate) fn for_model(model: &Model) -> Self {
        Self::for_endpoint(&model.base_url)
    }

    /// A stage on which another program plays the turns.
    pub(crate) fn for_agent(agent: &Double) -> Self {
        let stage = Self::for_endpoint("http://model.test/v1");
        agent.write_to(&stage.path("agent.sh"));
        let command = format!("bash {}", stage.path("agent.sh").display());
        stage
            .with("NANOKIMI_ENGINE", "acp")
            .with("NANOKIMI_ACP_COMMAND", &command)
    }

    fn for_endpoint(base_url: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["home", "group", "global", "ipc", "project"] {
            fs_err::create_dir(root.path().join(folder)).unwrap();
        }
        let credentials = format!("MOONSHOT_API_KEY='{KEY}'\n");
        fs_err::write(root.path().join("env"), credentials).unwrap();
        let path = |name: &str| root.path().join(name).display().to_string();
        let environment = BTreeMap::from(
            [
                ("HOME", path("home")),
                ("PATH", "/usr/local/bin:/usr/bin:/bin".to_owned()),
                ("NANOKIMI_GROUP_DIR", path("group")),
                ("NANOKIMI_GLOBAL_DIR", path("global")),
                ("NANOKIMI_IPC_DIR", path("ipc")),
                ("NANOKIMI_PROJECT_DIR", path("project")),
                ("NANOKIMI_CREDENTIALS", path("env")),
                ("NANOKIMI_LLM_BASE_URL", base_url.to_owned()),
                ("NANOKIMI_LLM_MODEL", "kimi-test".to_owned()),
                ("NANOKIMI_LLM_RETRY_BASE_MS", "1".to_owned()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        Self { root, environment }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs_err::read_to_string(self.path(name)).unwrap()
    }

    /// The files in a folder, by name.
    pub(crate) fn list(&self, name: &str) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = fs_err::read_dir(self.path(name))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        paths
    }

    pub(crate) async fn start(&self, stdin: &str) -> Running {
        self.launch(Command::new(AGENT), stdin).await
    }

    /// Starts a turn that the kernel kills as soon as it writes a file longer than this.
    pub(crate) async fn start_with_file_limit(&self, kib: u32, stdin: &str) -> Running {
        let mut limited = Command::new("bash");
        limited.args(["-c", &format!("ulimit -c 0 -f {kib}; exec {AGENT}")]);
        self.launch(limited, stdin).await
    }

    async fn launch(&self, agent: Command, stdin: &str) -> Running {
        let (running, mut pipe) = self.spawn(agent);
        match pipe.write_all(stdin.as_bytes()).await {
            // It may have ended before it wanted to know; what it said tells why.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            written => written.unwrap(),
        }
        running
    }

    /// Starts a turn whose input is yet to come.
    pub(crate) fn start_without_input(&self) -> (Running, ChildStdin) {
        self.spawn(Command::new(AGENT))
    }

    fn spawn(&self, mut agent: Command) -> (Running, ChildStdin) {
        let mut child = agent
            .env_clear()
            .envs(&self.environment)
            .current_dir(self.path("group"))
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let pipe = child.stdin.take().unwrap();
        let events = BufReader::new(child.stdout.take().unwrap()).lines();
        (Running { child, events }, pipe)
    }

    /// Plays a turn to its end.
    pub(crate) async fn turn(&self, stdin: &str) -> Told {
        let mut running = self.start(stdin).await;
        let mut stderr = running.child.stderr.take().unwrap();
        let mut told = Told {
            events: Vec::new(),
            code: None,
            stderr: String::new(),
        };
        let play = async {
            let (_, ()) = tokio::join!(stderr.read_to_string(&mut told.stderr), async {
                while let Some(event) = running.next().await {
                    told.events.push(event);
                }
            });
            told.code = running.child.wait().await.unwrap().code();
        };
        tokio::time::timeout(PATIENCE, play).await.unwrap();
        told
    }

    /// A turn in a group's chat that begins a session.
    pub(crate) async fn ask(&self, prompt: &str) -> Told {
        self.turn(&ask(prompt, None)).await
    }

    /// A turn that goes on in the session of an earlier one.
    pub(crate) async fn go_on(&self, earlier: &Told, prompt: &str) -> Told {
        self.turn(&ask(prompt, Some(&earlier.session()))).await
    }
}

/// An input of the group `family`.
pub(crate) fn ask(prompt: &str, session: Option<&str>) -> String {
    let mut input = json!({
        "prompt": prompt, "groupFolder": "family", "chatJid": "1@g.us", "assistantName": "Kai",
    });
    if let Some(session) = session {
        input["sessionId"] = session.into();
    }
    input.to_string()
}

impl Running {
    pub(crate) async fn next(&mut self) -> Option<Value> {
        let line = self.events.next_line().await.unwrap();
        line.map(|line| serde_json::from_str(&line).unwrap())
    }

    /// Reads on until an event of this type has come.
    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        let find = async {
            loop {
                let event = self.next().await.expect("the agent ended too early");
                if event["type"] == kind {
                    return event;
                }
            }
        };
        tokio::time::timeout(PATIENCE, find).await.unwrap()
    }
}

impl Told {
    /// The types of the events, in order.
    pub(crate) fn story(&self) -> String {
        let kinds: Vec<&str> = self
            .events
            .iter()
            .map(|event| event["type"].as_str().unwrap())
            .collect();
        kinds.join(" ")
    }

    #[track_caller]
    pub(crate) fn session(&self) -> String {
        let last = self.events.last().unwrap();
        let Some(id) = last["newSessionId"].as_str() else {
            panic!("no result: {self:#?}");
        };
        id.to_owned()
    }

    /// The texts that are to be delivered.
    pub(crate) fn answers(&self) -> Vec<&str> {
        let is_final = |event: &&Value| event["type"] == "text" && event["interim"] != true;
        self.events
            .iter()
            .filter(is_final)
            .map(|event| event["text"].as_str().unwrap())
            .collect()
    }

    /// The outputs of the tools, in order.
    pub(crate) fn outputs(&self) -> Vec<&str> {
        self.events
            .iter()
            .filter(|event| event["type"] == "tool_result")
            .map(|event| event["output"].as_str().unwrap())
            .collect()
    }

    #[track_caller]
    pub(crate) fn error(&self) -> &Value {
        let last = self.events.last().unwrap();
        assert_eq!(last["type"], "error", "{self:#?}");
        assert_eq!(self.code, Some(1));
        last
    }
}
