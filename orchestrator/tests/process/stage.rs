//! A nanokimi process in a folder of its own, and an HTTP client that can be rude.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::lchown;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

/// Nothing here takes longer on a machine that works.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Neither root nor a user of ours.
const ORDINARY: u32 = 65_534;

pub(crate) struct Stage {
    pub(crate) root: TempDir,
}

pub(crate) struct Running {
    process: Child,
    address: String,
    token: String,
    notify: UnixDatagram,
}

/// A status and everything behind the head.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Stage {
    /// An installation whose agents end at once and say nothing.
    pub(crate) fn new() -> Self {
        let stage = Self {
            root: tempfile::tempdir().unwrap(),
        };
        stage.write(
            "nanokimi.toml",
            "agent_runtime = \"host\"\nagent_runner = \"/bin/true\"\nhttp_listen = \"127.0.0.1:0\"\n",
        );
        stage
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.root.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nanokimi"));
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .arg("--root")
            .arg(self.root.path())
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// The same, with this on its standard input.
    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = process.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        process.wait_with_output().unwrap()
    }

    /// Runs a command to its end as a user without rights of its own, who has been given the
    /// folder: see [`Stage::give_away`].
    pub(crate) fn run_as_an_ordinary_user(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        let place = tempfile::tempdir().unwrap();
        if geteuid().is_root() {
            // The build may lie where nobody else gets in.
            let copy = place.path().join("nanokimi");
            fs_err::copy(command.get_program(), &copy).unwrap();
            give(place.path());
            let mut elsewhere = Command::new(copy);
            elsewhere.args(command.get_args()).env_clear();
            elsewhere.env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
            elsewhere.uid(ORDINARY).gid(ORDINARY);
            command = elsewhere;
        }
        command.output().unwrap()
    }

    /// Gives all of the folder to that user, if we are root; else it is ours, and we are one.
    pub(crate) fn give_away(&self) {
        if geteuid().is_root() {
            give(self.root.path());
        }
    }

    /// Starts a command that is not waited for; what it prints can be read.
    pub(crate) fn begin(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// A start that must be refused: its exit code and what it says.
    #[track_caller]
    pub(crate) fn check_refused(&self, code: i32, says: &str) {
        let output = self.run(&["run"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(says), "{said}");
    }

    /// Tells a running orchestrator to stop, so that requests that wait for it end.
    pub(crate) fn stop(&self, running: &Running) {
        let pid = Pid::from_raw(running.process.id().cast_signed()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        self.start_in(arguments, &[])
    }

    /// As a service manager does that wants a sign of life within each such span.
    pub(crate) fn start_watched(&self, every: Duration) -> Running {
        let span = every.as_micros().to_string();
        self.start_in(&[], &[("WATCHDOG_USEC", &span)])
    }

    fn start_in(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Running {
        let socket = self.root.path().join("notify");
        let (Ok(()) | Err(_)) = fs_err::remove_file(&socket);
        let notify = UnixDatagram::bind(&socket).unwrap();
        notify.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut arguments = arguments.to_vec();
        arguments.insert(0, "run");
        let process = self
            .command(&arguments)
            .env("NOTIFY_SOCKET", &socket)
            .envs(environment.iter().copied())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let text = said(&notify);
        let address = text
            .lines()
            .find_map(|line| line.strip_prefix("X_HTTP_ADDR="))
            .unwrap();
        let token = fs_err::read_to_string(self.root.path().join("data/api-token")).unwrap();
        Running {
            process,
            address: address.to_owned(),
            token: token.trim().to_owned(),
            notify,
        }
    }
}

impl Running {
    /// Sends a request with the token.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        let token = format!("Authorization: Bearer {}\r\n", self.token);
        self.ask_with(method, path, &token, body)
    }

    /// Sends a request with these headers, each ended by a line break.
    pub(crate) fn ask_with(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        self.ask_bytes(method, path, headers, body.as_bytes())
    }

    /// The same with a body that is no text.
    pub(crate) fn ask_bytes(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
            body.len()
        );
        let mut connection = TcpStream::connect(&self.address).unwrap();
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        connection.write_all(head.as_bytes()).unwrap();
        // It may have answered, and hung up, before it has read a body it does not want.
        let (Ok(()) | Err(_)) = connection.write_all(body);
        read_answer(&mut connection)
    }

    /// Sends a request and does not wait for the answer; hangs up when the connection is dropped.
    #[must_use]
    pub(crate) fn send(&self, method: &str, path: &str, body: &str) -> TcpStream {
        send((&self.address, &self.token), (method, path, body))
    }

    /// Sends some bytes; the connection lives as long as what is returned.
    pub(crate) fn send_half(&self, bytes: &str) -> TcpStream {
        send_half(&self.address, bytes)
    }

    /// What it says next to the service manager.
    pub(crate) fn says(&self) -> String {
        said(&self.notify).trim().to_owned()
    }

    /// The exit code, when it comes.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.process.wait().unwrap().code()
    }

    /// Kills the process, and it alone.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// The first bytes of a stream that does not end, until `wanted` is among them.
    pub(crate) fn read_until(&self, path: &str, headers: &str, wanted: &str) -> String {
        let mut connection = TcpStream::connect(&self.address).unwrap();
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n{headers}\r\n",
            self.token
        );
        connection.write_all(head.as_bytes()).unwrap();
        let mut seen = String::new();
        let mut chunk = [0; 4096];
        while !seen.contains(wanted) {
            let length = connection.read(&mut chunk).unwrap();
            assert_ne!(length, 0, "the stream ended after {seen}");
            seen.push_str(&String::from_utf8_lossy(&chunk[..length]));
        }
        seen
    }
}

/// Sends a request to whoever listens there, and does not wait for the answer.
#[must_use]
pub(crate) fn send(
    (address, token): (&str, &str),
    (method, path, body): (&str, &str, &str),
) -> TcpStream {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut connection = send_half(address, &head);
    connection.write_all(body.as_bytes()).unwrap();
    connection
}

fn send_half(address: &str, bytes: &str) -> TcpStream {
    let mut connection = TcpStream::connect(address).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    connection.write_all(bytes.as_bytes()).unwrap();
    connection
}

fn give(path: &Path) {
    lchown(path, Some(ORDINARY), Some(ORDINARY)).unwrap();
    if path.symlink_metadata().unwrap().is_dir() {
        for entry in fs_err::read_dir(path).unwrap() {
            give(&entry.unwrap().path());
        }
    }
}

fn said(notify: &UnixDatagram) -> String {
    let mut text = [0; 512];
    let length = notify.recv(&mut text).unwrap();
    String::from_utf8_lossy(&text[..length]).into_owned()
}

fn read_answer(connection: &mut TcpStream) -> Answer {
    let mut text = String::new();
    // A reset after the answer is not our business.
    let (Ok(_) | Err(_)) = connection.read_to_string(&mut text);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).map(str::parse);
    let Some(Ok(status)) = status else {
        panic!("no answer but `{text}`");
    };
    Answer {
        status,
        body: body.to_owned(),
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let (Ok(()) | Err(_)) = self.process.kill();
        let (Ok(_) | Err(_)) = self.process.wait();
    }
}
