//! The servers that are measured: the mock, and the least that could stand in for it.

use std::convert::Infallible;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::ops::Range;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::ListenerExt;
use axum::{Json, Router};
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Makes this program the bare server.
pub(crate) const FLOOR: &str = "--floor";

/// What Linux counts CPU time in, on every architecture that we build for.
const TICKS_PER_SECOND: u32 = 100;

/// A server in a process of its own, killed when it is dropped.
pub(crate) struct Running {
    child: Child,
    address: SocketAddr,
    _scripts: Option<tempfile::NamedTempFile>,
}

/// One turn for each number, each for any time.
pub(crate) fn script(numbers: Range<usize>, answer: &str) -> String {
    let turn = |number| json!({ "match": format!("question {number} "), "times": "any", "response": { "content": answer } });
    numbers.map(turn).collect::<Value>().to_string()
}

impl Running {
    pub(crate) fn floor() -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        Self::start(command.arg(FLOOR), None)
    }

    pub(crate) fn mock(script: &str) -> io::Result<Self> {
        let file = tempfile::Builder::new().suffix(".json").tempfile()?;
        file.as_file().write_all(script.as_bytes())?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_mock-server"));
        command.args(["--port", "0", "--scripts"]).arg(file.path());
        Self::start(&mut command, Some(file))
    }

    fn start(command: &mut Command, scripts: Option<tempfile::NamedTempFile>) -> io::Result<Self> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let out = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let (_, address) = line
            .trim_end()
            .rsplit_once('/')
            .ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self {
            address: address.parse().map_err(io::Error::other)?,
            child,
            _scripts: scripts,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the process has spent so far, in and out of the kernel.
    pub(crate) fn cpu_time(&self) -> io::Result<Duration> {
        let stat = fs_err::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name of the program may hold anything, but it ends at the last parenthesis;
        // user and system time are the 12th and 13th field behind it.
        let (_, fields) = stat.rsplit_once(')').ok_or(io::ErrorKind::InvalidData)?;
        let ticks = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(str::parse::<u32>);
        let ticks: u32 = ticks.sum::<Result<_, _>>().map_err(io::Error::other)?;
        Ok(Duration::from_secs(1) * ticks / TICKS_PER_SECOND)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already; either way nothing is left.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Reads the request as JSON and answers with constant bytes.
pub(crate) async fn serve_floor() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(io::stdout(), "floor on http://{}", listener.local_addr()?)?;
    let listener = listener.tap_io(|socket| drop(socket.set_nodelay(true)));
    axum::serve(
        listener,
        Router::new().route("/v1/chat/completions", post(answer)),
    )
    .await
}

async fn answer(Json(request): Json<Value>) -> Response {
    if request["stream"] != true {
        return Json(json!({ "choices": [{ "message": { "content": "hello" } }] })).into_response();
    }
    let frame =
        Bytes::from_static(b"data: {\"choices\":[{\"delta\":{\"content\":\"word \"}}]}\n\n");
    let frames = (0..100).map(move |_| Ok::<_, Infallible>(frame.clone()));
    let content_type = [("content-type", "text/event-stream")];
    (content_type, Body::from_stream(stream::iter(frames))).into_response()
}
