//! A container engine that says what a test has it say, for what a real one cannot be brought to
//! and for machines that have none.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

/// What the first line of a request holds; then the status and the body of its answer.
pub(crate) type Line = (&'static str, u16, &'static str);

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

/// A request without its body; what there is of it.
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
        // Each asks one thing on a connection of its own, so this is heard at once.
        UnixStream::connect(&self.at)
            .unwrap()
            .write_all(END)
            .unwrap();
        if let Some(speaker) = self.speaker.take() {
            speaker.join().unwrap();
        }
    }
}
