//! A container engine that says what a test has it say, for what a real one cannot be brought to
//! and for machines that have none.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

/// What the first line of a request holds; then the status and the body of its answer.
pub(crate) type Line = (&'static str, u16, &'static str);

/// How long it waits for the next byte of a caller, and a caller for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// What ends it.
const END: &[u8] = b"END\r\n\r\n";

pub(crate) struct ScriptedEngine {
    at: PathBuf,
    speaker: Option<JoinHandle<()>>,
}

impl ScriptedEngine {
    /// Speaks on a socket until it is dropped.
    pub(crate) fn at(socket: &Path, script: &[Line]) -> Self {
        let script = script.to_vec();
        let listener = UnixListener::bind(socket).unwrap();
        let speaker = std::thread::spawn(move || {
            for caller in listener.incoming() {
                let mut caller = caller.unwrap();
                caller.set_read_timeout(Some(PATIENCE)).unwrap();
                caller.set_write_timeout(Some(PATIENCE)).unwrap();
                let asked = head(&mut caller);
                if asked.as_bytes() == END {
                    return;
                }
                // Whoever has asked may have gone.
                let (Ok(()) | Err(_)) = caller.write_all(answer(&asked, &script).as_bytes());
            }
        });
        Self {
            at: socket.to_owned(),
            speaker: Some(speaker),
        }
    }
}

/// A request without its body; what there is of it when its caller says no more.
fn head(caller: &mut UnixStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && caller.read(&mut byte).is_ok_and(|read| read == 1) {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

fn answer(asked: &str, script: &[Line]) -> String {
    let line = asked.lines().next().unwrap_or_default();
    let scripted = script.iter().find(|(part, ..)| line.contains(part));
    let unscripted = ("", 501, r#"{"message":"not in the script"}"#);
    let (_, status, body) = *scripted.unwrap_or(&unscripted);
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Scripted\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

impl Drop for ScriptedEngine {
    fn drop(&mut self) {
        // Each asks one thing on a connection of its own, so this is heard soon.
        let told = UnixStream::connect(&self.at).and_then(|mut end| end.write_all(END));
        let Some(speaker) = self.speaker.take() else {
            return;
        };
        // One that cannot be told has ended, or never does: it is not waited for.
        let why = match (told, speaker.is_finished()) {
            (Ok(()), _) | (Err(_), true) => match speaker.join() {
                Ok(()) => return,
                Err(_told_already) => "it has panicked".to_owned(),
            },
            (Err(error), false) => format!("it cannot be told to end: {error}"),
        };
        // A second panic would hide the one that unwinds.
        assert!(std::thread::panicking(), "the scripted engine: {why}");
    }
}

#[test]
fn a_caller_who_says_nothing_does_not_keep_the_engine() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("engine.sock");
    let engine = ScriptedEngine::at(&socket, &[]);
    let _silent = UnixStream::connect(&socket).unwrap();
    let (ended, end) = mpsc::channel();
    let ending = std::thread::spawn(move || {
        drop(engine);
        ended.send(()).unwrap();
    });
    let waited = end.recv_timeout(4 * PATIENCE);
    assert_eq!(waited, Ok(()), "the engine still listens to who is silent");
    ending.join().unwrap();
}
