//! A language model that says its lines in order, byte for byte.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// One answer, as bytes on the wire.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    bytes: Vec<u8>,
    /// The connection stays open, silent but for `noise`, when the bytes are out.
    hold: bool,
    /// Comments that keep the line alive.
    noise: bool,
}

/// A model on a port of its own; it ends with its owner.
#[derive(Debug)]
pub(crate) struct Model {
    pub base_url: String,
    asked: Arc<Mutex<Vec<Value>>>,
    _connections: JoinSet<()>,
}

impl Reply {
    pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            bytes: bytes.into(),
            hold: false,
            noise: false,
        }
    }

    pub(crate) fn status(status: &str, headers: &str, body: &str) -> Self {
        Self::raw(format!(
            "HTTP/1.1 {status}\r\n{headers}connection: close\r\n\r\n{body}"
        ))
    }

    /// A stream of `data` frames that ends with the connection.
    pub(crate) fn frames(frames: &[Value]) -> Self {
        let body: String = frames
            .iter()
            .map(|frame| format!("data: {frame}\n\n"))
            .collect();
        Self::status("200 OK", "content-type: text/event-stream\r\n", &body)
    }

    pub(crate) fn says(text: &str) -> Self {
        Self::frames(&[text_frame(text), finish_frame("stop")])
    }

    /// Asks for tools: pairs of a name and arguments. Ids are `c0`, `c1` and so on.
    pub(crate) fn calls(calls: &[(&str, Value)]) -> Self {
        let calls: Vec<Value> = calls
            .iter()
            .enumerate()
            .map(|(index, (name, arguments))| {
                let function = json!({"name": name, "arguments": arguments.to_string()});
                json!({"index": index, "id": format!("c{index}"), "function": function})
            })
            .collect();
        let delta = json!({"choices": [{"delta": {"tool_calls": calls}}]});
        Self::frames(&[delta, finish_frame("tool_calls")])
    }

    /// Writes what it has and then neither goes on nor hangs up.
    pub(crate) fn held(mut self) -> Self {
        self.hold = true;
        self
    }

    /// The same, but with comments that say the line is alive.
    pub(crate) fn held_with_comments(mut self) -> Self {
        self.noise = true;
        self.held()
    }
}

pub(crate) fn text_frame(text: &str) -> Value {
    json!({"choices": [{"delta": {"content": text}}]})
}

pub(crate) fn finish_frame(reason: &str) -> Value {
    json!({"choices": [{"delta": {}, "finish_reason": reason}]})
}

impl Model {
    pub(crate) async fn start(script: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(Mutex::new(script.into_iter().collect()));
        let mut connections = JoinSet::new();
        connections.spawn(accept(listener, script, Arc::clone(&asked)));
        Self {
            base_url: format!("http://127.0.0.1:{port}/v1"),
            asked,
            _connections: connections,
        }
    }

    /// The bodies of all requests so far.
    pub(crate) fn asked(&self) -> Vec<Value> {
        self.asked.lock().unwrap().clone()
    }

    /// The content of the last message of each request.
    pub(crate) fn last_messages(&self) -> Vec<String> {
        let last = |body: &Value| {
            let messages = body["messages"].as_array().unwrap();
            messages.last().unwrap()["content"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        self.asked().iter().map(last).collect()
    }
}

async fn accept(
    listener: TcpListener,
    script: Arc<Mutex<VecDeque<Reply>>>,
    asked: Arc<Mutex<Vec<Value>>>,
) {
    let mut open = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        open.spawn(answer(stream, Arc::clone(&script), Arc::clone(&asked)));
    }
}

async fn answer(
    mut stream: TcpStream,
    script: Arc<Mutex<VecDeque<Reply>>>,
    asked: Arc<Mutex<Vec<Value>>>,
) {
    let body = read_request(&mut stream).await;
    asked.lock().unwrap().push(body);
    let reply = script.lock().unwrap().pop_front();
    let reply = reply.unwrap_or_else(|| Reply::status("400 Unscripted", "", "not in the script"));
    // An agent that was killed no longer listens.
    let (Ok(()) | Err(_)) = stream.write_all(&reply.bytes).await;
    if reply.hold {
        hold(stream, reply.noise).await;
    }
}

/// Keeps the line open until the agent hangs up.
async fn hold(mut stream: TcpStream, noise: bool) {
    // Real time, since that is what the agent's patience is measured in.
    let mut comments = tokio::time::interval(Duration::from_millis(20));
    let mut nothing = [0; 1];
    loop {
        tokio::select! {
            read = stream.read(&mut nothing) => if !matches!(read, Ok(1)) { return },
            _ = comments.tick(), if noise => {
                let (Ok(()) | Err(_)) = stream.write_all(b": still here\n\n").await;
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Value {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).await.unwrap();
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.unwrap();
    if body.is_empty() {
        // A page is fetched, no question asked.
        return Value::Null;
    }
    serde_json::from_slice(&body).unwrap()
}
