//! A thousand streams at once to readers that take a few bytes at a time.
//!
//! What the server holds for each is bounded, and never grows while they read: what was sent is
//! let go. Only memory is measured, never time.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

const READERS: usize = 1_000;
/// Frames of an answer; of 20 letters each.
const FRAMES: usize = 1_000;
/// What a reader takes at a time.
const SIP: usize = 2 << 10;
/// For each reader: its connection, what of its answer is made before it is written, and what the
/// journal keeps. All frames would be more than three times as much.
const ROOM: u64 = 62 << 10;
/// Real time for one sip; only a broken test ever waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program, and where it listens.
struct Program {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    address: std::net::SocketAddr,
    _script: tempfile::NamedTempFile,
}

impl Program {
    async fn started(script: &Value) -> Self {
        let file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
        file.as_file()
            .write_all(script.to_string().as_bytes())
            .unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_mock-server"))
            .args(["--port", "0", "--scripts"])
            .arg(file.path())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().unwrap();
        let address = line.strip_prefix("mock-server on http://").unwrap();
        Self {
            address: address.parse().unwrap(),
            process,
            lines,
            _script: file,
        }
    }

    fn pid(&self) -> u32 {
        self.process.id().unwrap()
    }

    /// Resident memory in bytes.
    fn memory(&self) -> u64 {
        let status = fs_err::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.unwrap().trim().strip_suffix(" kB").unwrap();
        kilobytes.parse::<u64>().unwrap() << 10
    }

    /// Ends it; the last it says.
    async fn ends(mut self) -> String {
        let pid = Pid::from_raw(self.pid().cast_signed()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        let mut said = Vec::new();
        while let Some(line) = self.lines.next_line().await.unwrap() {
            said.push(line);
        }
        assert!(self.process.wait().await.unwrap().success());
        said.join("\n")
    }
}

/// One who has asked for the answer and reads it in sips.
struct Reader {
    socket: TcpStream,
    taken: usize,
    tail: Vec<u8>,
}

impl Reader {
    /// Connects with small segments and a small window: otherwise the kernel alone takes two
    /// megabytes for each, and nothing is ever slow.
    async fn connected(address: std::net::SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        socket.set_tcp_mss(536).unwrap();
        socket.set_recv_buffer_size(2_048).unwrap();
        socket.connect(&address.into()).unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut socket = TcpStream::from_std(socket.into()).unwrap();
        let body = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"tell"}]}"#;
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: mock\r\nauthorization: Bearer sk-any\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        Self {
            socket,
            taken: 0,
            tail: Vec::new(),
        }
    }

    fn is_done(&self) -> bool {
        self.tail.ends_with(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    }

    async fn sip(&mut self) {
        let mut sip = [0; SIP];
        let read = timeout(PATIENCE, self.socket.read(&mut sip)).await;
        let read = read.unwrap_or_else(|_| panic!("nothing more after {} bytes", self.taken));
        let read = read.unwrap();
        assert_ne!(read, 0, "cut off after {} bytes", self.taken);
        self.taken += read;
        self.tail.extend_from_slice(&sip[..read]);
        let superfluous = self.tail.len().saturating_sub(64);
        self.tail.drain(..superfluous);
    }
}

/// All readers sip in turn until each has taken so much, or all of it.
async fn sip_up_to(readers: &mut [Reader], bytes: usize) {
    loop {
        let mut thirsty = 0;
        for reader in &mut *readers {
            if reader.taken < bytes && !reader.is_done() {
                reader.sip().await;
                thirsty += 1;
            }
        }
        if thirsty == 0 {
            return;
        }
    }
}

#[tokio::test]
async fn a_thousand_slow_readers_take_no_more_memory_than_they_have_room_for() {
    let piece = "twenty letters each ";
    let script = json!([{
        "times": "any",
        "response": { "content": piece.repeat(FRAMES) },
        "stream": { "chunk": piece.len() },
    }]);
    let program = Program::started(&script).await;
    let before = program.memory();
    let mut readers = Vec::new();
    for _ in 0..READERS {
        readers.push(Reader::connected(program.address).await);
    }
    sip_up_to(&mut readers, 20 << 10).await;
    let early = program.memory();
    sip_up_to(&mut readers, usize::MAX).await;
    let late = program.memory();

    let taken = readers[0].taken;
    assert!(taken > FRAMES * 150, "an answer is only {taken} bytes");
    assert!(readers.iter().all(|reader| reader.taken == taken));
    drop(readers);
    let said = program.ends().await;
    assert_eq!(said.lines().next_back(), Some("0 unexpected, 0 unsaid"));

    let shown = format!("{before} bytes before, {early} at a tenth, {late} at the end");
    std::io::stderr()
        .write_all(format!("{shown}\n").as_bytes())
        .unwrap();
    let room = ROOM * u64::try_from(READERS).unwrap();
    assert!(
        early - before < room,
        "{shown}: not more than {room} may be added"
    );
    assert!(
        late < early + room / 10,
        "{shown}: it grows while they read"
    );
}
