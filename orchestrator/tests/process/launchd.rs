//! `service/com.nanokimi.plist`: what it promises launchd, played by a small one that reads it and
//! runs its job as it stands there, on a real engine.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use orchestrator::Exit;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::Deserialize;
use tempfile::TempDir;

use crate::engine::{self, IMAGE, docker, said, until, within};
use crate::service::default_of;
use crate::stage::send;

const PLIST: &str = include_str!("../../service/com.nanokimi.plist");

/// Stands on the engine in place of the image `nanokimi`: what cargo has built, without packages.
const NANOKIMI: &str = "nanokimi-test-service:1";
const DOCKERFILE: &str = "ARG BASE
FROM ${BASE}
COPY nanokimi /usr/local/bin/nanokimi
RUN nanokimi --version
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

/// A start, which may follow a stop, on an engine that has much to do.
const START: Duration = Duration::from_secs(90);

/// What the property list says of the job.
struct Listed {
    environment: BTreeMap<String, String>,
    program: Vec<String>,
    /// How long a stop may take before it is killed.
    exit_time_out: Duration,
}

/// The job, with a home, a container and a volume of its own.
struct Job {
    listed: Listed,
    home: TempDir,
    name: String,
    /// By which containers of its agents are known, once it has answered.
    label: Option<String>,
    running: Option<Child>,
}

impl Listed {
    fn read() -> Self {
        let plist: Plist = quick_xml::de::from_str(PLIST).unwrap();
        let mut list = entries(plist.dict);
        let mut take = |key: &str| list.remove(key).unwrap();
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
        let environment = entries(environment).into_iter();
        Self {
            environment: environment.map(|(key, value)| (key, text(value))).collect(),
            program: program.values.into_iter().map(text).collect(),
            exit_time_out: Duration::from_secs(exit_time_out),
        }
    }
}

impl Job {
    /// One with these settings in its volume.
    fn new(settings: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(home.path().join("Library/Logs")).unwrap();
        let folder = home.path().file_name().unwrap().to_string_lossy();
        let name = format!("nanokimi-test-{}", folder.trim_start_matches('.'));
        let mut listed = Listed::read();
        let own = [
            ("NAME", name.as_str()),
            ("IMAGE", NANOKIMI),
            ("LISTEN", "127.0.0.1:"),
        ];
        for (key, value) in own {
            let replaced = listed.environment.insert(key.to_owned(), value.to_owned());
            assert!(replaced.is_some(), "{key} is not in the list");
        }
        let job = Self {
            listed,
            home,
            name,
            label: None,
            running: None,
        };
        engine::build(NANOKIMI, DOCKERFILE, &[env!("CARGO_BIN_EXE_nanokimi")]).unwrap();
        let volume = format!("{}:/v", job.name);
        let put = "cd /v && echo OPENROUTER_API_KEY=sk-or-x > .env && mkdir -p groups/ada \
                   && printf %s \"$0\" > nanokimi.toml && printf %s \"$1\" > groups/ada/agent";
        let settings = format!("agent_image = \"{IMAGE}\"\n{settings}");
        let agent = "trap '' TERM; cat > /dev/null; echo > here; while :; do sleep 1; done";
        let shell = ["run", "--rm", "--volume", &volume, "--entrypoint", "sh"];
        let does = [NANOKIMI, "-c", put, &settings, agent];
        said(&[&shell[..], &does].concat());
        job
    }

    fn start(&mut self) {
        let mut command = Command::new(&self.listed.program[0]);
        command
            .args(&self.listed.program[1..])
            .env_clear()
            .env("HOME", self.home.path())
            .envs(&self.listed.environment)
            .current_dir("/")
            .stdin(Stdio::null())
            .process_group(0);
        // Where these tests find the engine, it does.
        command.envs(std::env::var_os("DOCKER_HOST").map(|host| ("DOCKER_HOST", host)));
        self.running = Some(command.spawn().unwrap());
    }

    /// As launchd tells it to stop.
    fn tell_to_stop(&self) {
        kill_process(self.pid(), Signal::TERM).unwrap();
    }

    fn pid(&self) -> Pid {
        let running = self.running.as_ref().unwrap();
        Pid::from_raw(running.id().cast_signed()).unwrap()
    }

    /// As launchd does it to one that does not stop in time: all of its process group is killed.
    /// The container is none of that; it is the engine's.
    fn kill(&mut self) {
        let (Ok(()) | Err(_)) = kill_process_group(self.pid(), Signal::KILL);
        self.running.take().unwrap().wait().unwrap();
    }

    /// The exit code, which comes within this time.
    fn ended(&mut self, patience: Duration) -> Option<i32> {
        let running = self.running.as_mut().unwrap();
        let mut ended = None;
        within(patience, "the end of the job", || {
            ended = running.try_wait().unwrap();
            ended.is_some()
        });
        self.running = None;
        ended.unwrap().code()
    }

    /// What a command in the container prints, if it succeeds.
    fn inside(&self, command: &[&str]) -> Option<String> {
        let output = docker(&[&["exec", &self.name], command].concat());
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(text)
    }

    /// Waits until nanokimi answers in a container other than `not`; that one's id.
    fn answers(&mut self, not: &str) -> String {
        let named = format!("name=^{}$", self.name);
        let mut id = String::new();
        within(START, "nanokimi answers in its container", || {
            let found = docker(&["ps", "--quiet", "--filter", &named]);
            id = String::from_utf8_lossy(&found.stdout).trim().to_owned();
            !id.is_empty() && id != not && self.inside(&["nanokimi", "status"]).is_some()
        });
        let install = self.inside(&["cat", "data/install-id"]).unwrap();
        let install = install.split(' ').next().unwrap();
        self.label = Some(format!("label=nanokimi.install={install}"));
        id
    }

    /// The containers of its agents, running or not.
    fn agents(&self) -> Vec<String> {
        let Some(label) = &self.label else {
            return Vec::new();
        };
        let found = docker(&["ps", "--all", "--quiet", "--filter", label]);
        let ids = String::from_utf8_lossy(&found.stdout).into_owned();
        ids.lines().map(ToOwned::to_owned).collect()
    }

    fn log(&self) -> String {
        fs_err::read_to_string(self.home.path().join("Library/Logs/nanokimi.log")).unwrap()
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if self.running.is_some() {
            self.kill();
        }
        docker(&["rm", "--force", &self.name]);
        for id in self.agents() {
            docker(&["rm", "--force", &id]);
        }
        docker(&["volume", "rm", &self.name]);
    }
}

#[test]
fn it_stops_whole_within_the_time_and_follows_a_job_that_was_killed() {
    if !engine::is_there() {
        return;
    }
    let mut job = Job::new("shutdown_grace = \"6s\"\n");
    job.start();
    let left_behind = job.answers("");
    job.kill();
    assert!(job.inside(&["nanokimi", "status"]).is_some());

    job.start();
    job.answers(&left_behind);
    let address = said(&["port", &job.name, "8080"]);
    let token = job.inside(&["cat", "data/api-token"]).unwrap();
    let message = r#"{"session_id":"ada","messages":[{"role":"user","content":"x"}]}"#;
    let asked = ("POST", "/v1/chat/completions", message);
    let _asking = send((&address, &token), asked);
    until("an agent at work, in the volume", || {
        job.inside(&["cat", "groups/ada/here"]).is_some()
    });
    assert_eq!(job.agents().len(), 1);
    job.tell_to_stop();

    // No measure of speed: after this launchd kills.
    let ended = job.ended(job.listed.exit_time_out);
    assert_eq!(ended, Some(0), "{}", job.log());
    assert!(job.log().contains("exit code 0"), "{}", job.log());
    assert_eq!(job.agents(), Vec::<String>::new());
    for id in [&left_behind, &job.name] {
        let inspected = docker(&["container", "inspect", id]);
        assert!(!inspected.status.success(), "{id} is still there");
    }
}

#[test]
fn a_stop_that_comes_before_it_has_begun_is_heeded() {
    if !engine::is_there() {
        return;
    }
    let mut job = Job::new("");
    job.start();
    let log = job.home.path().join("Library/Logs/nanokimi.log");
    until("its first line", || log.exists());
    job.tell_to_stop();

    let ended = job.ended(START);
    assert!(matches!(ended, Some(0) | None), "{ended:?}: {}", job.log());
    let left = docker(&["container", "inspect", &job.name]);
    assert!(!left.status.success(), "it runs, and nobody looks after it");
}

#[test]
fn what_only_a_person_can_mend_is_not_tried_again_and_what_broke_is() {
    if !engine::is_there() {
        return;
    }
    let mut wrong = Job::new("max_concurrent = 0\n");
    wrong.start();
    let ended = wrong.ended(START);
    assert_eq!(ended, Some(0), "it would be started again for ever");
    let log = wrong.log();
    assert!(log.contains("max_concurrent"), "{log}");
    assert!(log.contains("exit code 2"), "{log}");

    let mut broken = Job::new("");
    broken.start();
    broken.answers("");
    said(&["kill", &broken.name]);
    assert_eq!(broken.ended(START), Some(1), "{}", broken.log());
}

#[test]
fn the_list_leaves_more_time_than_the_settings_take() {
    let listed = Listed::read();
    let script = &listed.program[2];
    let (_, span) = script.split_once("docker stop -t ").unwrap();
    let span = span.split(' ').next().unwrap().parse().unwrap();
    let reserve = Duration::from_secs(10);
    let stop = Duration::from_secs(span);
    assert!(stop >= default_of("shutdown_grace") + reserve);
    assert!(listed.exit_time_out >= stop + reserve);
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
    assert!(Listed::read().program[2].contains(&line), "{line}");
}
