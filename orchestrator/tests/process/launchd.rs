//! `service/com.nanokimi.plist`: what it promises launchd, played by a small one that reads it and
//! runs its job as it stands there, on a real engine.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use orchestrator::Exit;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tempfile::TempDir;

use crate::engine::{self, IMAGE, docker, said, until};
use crate::service::default_of;
use crate::stage::send;

const PLIST: &str = include_str!("../../service/com.nanokimi.plist");

/// Stands on the engine in place of the image `nanokimi`: what cargo has built, without packages.
const NANOKIMI: &str = "nanokimi-test-service:1";
const DOCKERFILE: &str = "FROM debian:bookworm-slim
COPY nanokimi /usr/local/bin/nanokimi
ENTRYPOINT [\"nanokimi\"]
";

/// Property lists, as far as ours goes (PropertyList-1.0.dtd). In a `dict` keys and values take
/// turns.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Value {
    Key(String),
    String(String),
    Integer(u64),
    True,
    False,
    Array(List),
    Dict(List),
}

#[derive(Debug, Deserialize)]
struct List {
    #[serde(rename = "$value", default)]
    values: Vec<Value>,
}

#[derive(Debug, Deserialize)]
struct Plist {
    dict: List,
}

fn entries(list: List) -> BTreeMap<String, Value> {
    let mut entries = BTreeMap::new();
    let mut values = list.values.into_iter();
    while let Some(Value::Key(key)) = values.next() {
        entries.insert(key, values.next().unwrap());
    }
    entries
}

/// The job of the property list, in a home of its own.
struct Job {
    home: TempDir,
    name: String,
    environment: BTreeMap<String, String>,
    program: Vec<String>,
    /// How long a stop may take before it is killed.
    exit_time_out: Duration,
}

impl Job {
    /// One that nothing but this test knows of, with these settings in its volume.
    fn new(settings: &str) -> Self {
        let mut job = Self::read();
        let home = job.home.path().file_name().unwrap().to_string_lossy();
        job.name = format!("nanokimi-test-{}", home.trim_start_matches(['.', '_']));
        let own = [
            ("NAME", job.name.as_str()),
            ("IMAGE", NANOKIMI),
            ("LISTEN", "127.0.0.1:"),
        ];
        for (key, value) in own {
            let replaced = job.environment.insert(key.to_owned(), value.to_owned());
            assert!(replaced.is_some(), "{key} is not in the list");
        }
        fs_err::create_dir_all(job.home.path().join("Library/Logs")).unwrap();
        engine::build(NANOKIMI, DOCKERFILE, &[env!("CARGO_BIN_EXE_nanokimi")]).unwrap();
        let volume = format!("{}:/v", job.name);
        let put = "cd /v && echo OPENROUTER_API_KEY=sk-or-x > .env && mkdir -p groups/ada \
                   && printf %s \"$0\" > nanokimi.toml && printf %s \"$1\" > groups/ada/agent";
        let settings = format!("agent_image = \"{IMAGE}\"\n{settings}");
        let agent = "trap '' TERM; cat > /dev/null; echo > here; while :; do sleep 1; done";
        let base = "debian:bookworm-slim";
        said(&[
            "run", "--rm", "--volume", &volume, base, "sh", "-c", put, &settings, agent,
        ]);
        job
    }

    fn read() -> Self {
        let plist: Plist = quick_xml::de::from_str(PLIST).unwrap();
        let mut entries = entries(plist.dict);
        let mut take = |key: &str| entries.remove(key).unwrap();
        let text = |value| {
            let Value::String(text) = value else {
                panic!("{value:?} is no string")
            };
            text
        };
        let (Value::Dict(environment), Value::Array(program), Value::Integer(exit_time_out)) = (
            take("EnvironmentVariables"),
            take("ProgramArguments"),
            take("ExitTimeOut"),
        ) else {
            panic!("launchd.plist(5) has other types for these");
        };
        let environment = self::entries(environment).into_iter();
        Self {
            home: tempfile::tempdir().unwrap(),
            name: String::new(),
            environment: environment.map(|(key, value)| (key, text(value))).collect(),
            program: program.values.into_iter().map(text).collect(),
            exit_time_out: Duration::from_secs(exit_time_out),
        }
    }

    fn start(&self) -> Child {
        Command::new(&self.program[0])
            .args(&self.program[1..])
            .env_clear()
            .env("HOME", self.home.path())
            .envs(&self.environment)
            .current_dir("/")
            .stdin(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Runs in the container; whether it succeeded, and what it printed.
    fn within(&self, command: &[&str]) -> Option<String> {
        let output = docker(&[&["exec", &self.name], command].concat());
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(text)
    }

    /// The id of the container, when nanokimi answers in it; it is no other than `not`.
    fn answers(&self, not: &str) -> String {
        let mut id = String::new();
        until("nanokimi answers in its container", || {
            let found = docker(&[
                "ps",
                "--quiet",
                "--filter",
                &format!("name=^{}$", self.name),
            ]);
            id = String::from_utf8_lossy(&found.stdout).trim().to_owned();
            !id.is_empty() && id != not && self.within(&["nanokimi", "status"]).is_some()
        });
        id
    }

    /// The containers of its agents, running or not.
    fn agents(&self) -> Vec<String> {
        let Some(id) = self.within(&["cat", "data/install-id"]) else {
            return Vec::new();
        };
        let id = id.split(' ').next().unwrap();
        let label = format!("label=nanokimi.install={id}");
        let ids = said(&["ps", "--all", "--quiet", "--filter", &label]);
        ids.lines().map(ToOwned::to_owned).collect()
    }

    fn log(&self) -> String {
        fs_err::read_to_string(self.home.path().join("Library/Logs/nanokimi.log")).unwrap()
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if self.name.is_empty() {
            return;
        }
        for id in self.agents() {
            docker(&["rm", "--force", &id]);
        }
        docker(&["rm", "--force", &self.name]);
        docker(&["volume", "rm", &self.name]);
    }
}

/// As launchd tells a job to stop.
fn tell_to_stop(job: &Child) {
    let pid = Pid::from_raw(job.id().cast_signed()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
}

#[test]
fn it_stops_whole_within_the_time_and_follows_a_job_that_was_killed() {
    if !engine::is_there() {
        return;
    }
    let job = Job::new("shutdown_grace = \"6s\"\n");
    let mut killed = job.start();
    let left_behind = job.answers("");
    // launchd kills the script, and no more: the container is the engine's.
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(job.within(&["nanokimi", "status"]).is_some());

    let mut running = job.start();
    job.answers(&left_behind);
    let address = said(&["port", &job.name, "8080"]);
    let token = job.within(&["cat", "data/api-token"]).unwrap();
    let message = r#"{"session_id":"ada","messages":[{"role":"user","content":"x"}]}"#;
    let asked = ("POST", "/v1/chat/completions", message);
    let _asking = send((&address, &token), asked);
    until("an agent at work, in the volume", || {
        job.within(&["cat", "groups/ada/here"]).is_some()
    });
    let agents = job.agents();
    assert_eq!(agents.len(), 1);

    let told = Instant::now();
    tell_to_stop(&running);
    let ended = running.wait().unwrap();

    // No measure of speed: after this launchd kills.
    assert!(told.elapsed() < job.exit_time_out);
    assert_eq!(ended.code(), Some(0), "{}", job.log());
    assert!(job.log().contains("exit code 0"), "{}", job.log());
    for id in [&left_behind, &job.name, &agents[0]] {
        let inspected = docker(&["container", "inspect", id]);
        assert!(!inspected.status.success(), "{id} is still there");
    }
}

#[test]
fn what_only_a_person_can_mend_is_not_tried_again_and_what_broke_is() {
    if !engine::is_there() {
        return;
    }
    let wrong = Job::new("max_concurrent = 0\n");
    let ended = wrong.start().wait().unwrap();
    assert_eq!(ended.code(), Some(0), "it would be started again for ever");
    let log = wrong.log();
    assert!(log.contains("max_concurrent"), "{log}");
    assert!(log.contains("exit code 2"), "{log}");

    let broken = Job::new("");
    let mut running = broken.start();
    broken.answers("");
    said(&["kill", &broken.name]);
    assert_eq!(running.wait().unwrap().code(), Some(1), "{}", broken.log());
}

#[test]
fn the_list_leaves_more_time_than_the_settings_take() {
    let job = Job::read();
    let script = &job.program[2];
    let (_, span) = script.split_once("docker stop --time ").unwrap();
    let span = span.split(' ').next().unwrap().parse().unwrap();
    let reserve = Duration::from_secs(10);
    let stop = Duration::from_secs(span);
    assert!(stop >= default_of("shutdown_grace") + reserve);
    assert!(job.exit_time_out >= stop + reserve);
}

#[test]
fn it_is_started_again_unless_it_ended_well_and_persons_ends_count_as_such() {
    let plist: Plist = quick_xml::de::from_str(PLIST).unwrap();
    let mut list = entries(plist.dict);
    assert!(matches!(list.remove("RunAtLoad"), Some(Value::True)));
    let Some(Value::Dict(keep_alive)) = list.remove("KeepAlive") else {
        panic!("without conditions it is started again whatever it says");
    };
    let on_success = entries(keep_alive).remove("SuccessfulExit");
    assert!(matches!(on_success, Some(Value::False)));
    let persons = [Exit::Usage, Exit::Folder, Exit::NotLinked, Exit::LoggedOut];
    let persons = persons.map(|exit| (exit as i32).to_string()).join("|");
    let line = format!("in 0|{persons}) exit 0 ;;");
    assert!(Job::read().program[2].contains(&line), "{line}");
}
