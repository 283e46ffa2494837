//! A plain socket to a started server, and all that came over it.

use std::io::ErrorKind;
use std::time::Duration;

use mock_server::{MockOptions, MockServer, Script, yaml};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Real time; only a broken test ever waits for it.
const PATIENCE: Duration = Duration::from_secs(10);
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// A service, and whether its answer is streamed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    pub(crate) path: &'static str,
    pub(crate) is_streamed: bool,
}

pub(crate) const OPENROUTER: &str = "/api/v1";
pub(crate) const KIMI: &str = "/coding/v1";
pub(crate) const SERVICES: [&str; 2] = [OPENROUTER, KIMI];
/// Those with a protocol of their own, and the one whose protocol all others speak.
pub(crate) const ANTHROPIC: &str = "/anthropic/v1";
pub(crate) const OPENAI: &str = "/openai/v1";
pub(crate) const RESPONSES: &str = "/openai/v1/responses";

/// All bytes of one answer, and how they ended.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Wire {
    /// Without the date, and without the request's number.
    pub(crate) head: String,
    /// As it was sent, its chunks not taken apart.
    pub(crate) body: Vec<u8>,
    pub(crate) end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The peer has closed the connection.
    Closed,
    /// The peer has reset it.
    Reset,
}

pub(crate) fn streamed(path: &'static str) -> Form {
    Form {
        path,
        is_streamed: true,
    }
}

pub(crate) fn whole(path: &'static str) -> Form {
    Form {
        path,
        is_streamed: false,
    }
}

pub(crate) async fn serve(script: &str) -> MockServer {
    let script: Script =
        yaml::read("script.yaml", script).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let server = MockServer::start(MockOptions::default()).await.unwrap();
    server.llm().add(script).unwrap();
    server
}

/// Asks in its own connection, and reads to the end of that.
pub(crate) async fn ask(server: &MockServer, form: Form) -> Wire {
    let (bytes, end) = rest(begin(server, form).await).await;
    Wire::of(&bytes, end)
}

/// Sends the question, and leaves the answer to be read.
pub(crate) async fn begin(server: &MockServer, form: Form) -> TcpStream {
    let body = question(form).to_string();
    let request = format!(
        "POST {} HTTP/1.1\r\nhost: mock\r\nuser-agent: KimiCLI/1.51.0\r\nauthorization: Bearer sk-test\r\nanthropic-version: 2023-06-01\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        endpoint(form),
        body.len()
    );
    let mut socket = TcpStream::connect(server.address()).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    socket
}

fn endpoint(form: Form) -> String {
    match form.path {
        ANTHROPIC => format!("{ANTHROPIC}/messages"),
        RESPONSES => RESPONSES.to_owned(),
        chat => format!("{chat}/chat/completions"),
    }
}

fn question(form: Form) -> Value {
    match form.path {
        ANTHROPIC => {
            let tool = |name| json!({"name": name, "input_schema": {"type": "object"}});
            return json!({
                "model": "claude-sonnet-4-5",
                "max_tokens": 1000,
                "stream": form.is_streamed,
                "messages": [{"role": "user", "content": "hi"}],
                "tools": [tool("bash"), tool("write_file")],
            });
        }
        RESPONSES => {
            let tool = |name| json!({"type": "function", "name": name, "parameters": {}});
            return json!({
                "model": "gpt-5",
                "stream": form.is_streamed,
                "input": "hi",
                "tools": [tool("bash"), tool("write_file")],
            });
        }
        _chat => {}
    }
    let tool = |name| json!({"type": "function", "function": {"name": name, "parameters": {}}});
    json!({
        "model": "kimi-k2",
        "stream": form.is_streamed,
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [tool("bash"), tool("write_file")],
    })
}

/// Reads exactly so many bytes.
pub(crate) async fn read(socket: &mut TcpStream, bytes: usize) -> Vec<u8> {
    let mut read = vec![0; bytes];
    timeout(PATIENCE, socket.read_exact(&mut read))
        .await
        .unwrap()
        .unwrap();
    read
}

/// Waits for the first entry of that name.
pub(crate) async fn wait_for(server: &MockServer, event: &str) {
    let journal = server.journal();
    let found = journal.wait_for(event, PATIENCE, |entry| {
        (entry.event == event).then_some(())
    });
    found.await.unwrap();
}

/// Chunks as HTTP writes them, without the last.
pub(crate) fn chunked<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut body = Vec::new();
    for chunk in chunks.into_iter().filter(|chunk| !chunk.is_empty()) {
        body.extend(format!("{:X}\r\n", chunk.len()).into_bytes());
        body.extend(chunk);
        body.extend(b"\r\n");
    }
    body
}

/// And with it: the body is whole.
pub(crate) fn ended<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    [chunked(chunks), LAST_CHUNK.to_vec()].concat()
}

pub(crate) fn is_comment(frame: &[u8]) -> bool {
    // Anthropic's are events.
    frame.starts_with(b":") || frame.starts_with(b"event: ping\n")
}

impl Wire {
    fn of(bytes: &[u8], end: End) -> Self {
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let head = head.map_or(0, |place| place + 4);
        let dated = str::from_utf8(&bytes[..head]).unwrap();
        let dateless = dated
            .split_inclusive("\r\n")
            .filter(|line| !line.starts_with("date: ") && !line.starts_with("request-id: "));
        Self {
            head: dateless.collect(),
            body: bytes[head..].to_vec(),
            end,
        }
    }

    /// The chunks of a body that came to its end.
    pub(crate) fn chunks(&self) -> Vec<Vec<u8>> {
        let mut rest = &self.body[..];
        let mut chunks = Vec::new();
        while rest != LAST_CHUNK {
            let line = rest.windows(2).position(|two| two == b"\r\n").unwrap();
            let size = str::from_utf8(&rest[..line]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            let (chunk, behind) = rest[line + 2..].split_at(size);
            assert!(behind.starts_with(b"\r\n"));
            chunks.push(chunk.to_vec());
            rest = &behind[2..];
        }
        chunks
    }

    /// The chunks with so many frames that are no comments, and no more.
    pub(crate) fn until(&self, frames: usize) -> Vec<Vec<u8>> {
        let chunks = self.chunks();
        let mut counted = (0..chunks.len()).filter(|place| !is_comment(&chunks[*place]));
        let last = counted.nth(frames - 1).unwrap();
        chunks[..=last].to_vec()
    }
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        write!(out, "{}{body}<{:?}>", self.head, self.end)
    }
}

/// All that still comes, and how it ends.
pub(crate) async fn rest(mut socket: TcpStream) -> (Vec<u8>, End) {
    let mut bytes = Vec::new();
    let read = timeout(PATIENCE, socket.read_to_end(&mut bytes)).await;
    let end = match read.unwrap() {
        Ok(_) => End::Closed,
        Err(fault) if fault.kind() == ErrorKind::ConnectionReset => End::Reset,
        Err(fault) => panic!("{fault}"),
    };
    (bytes, end)
}
