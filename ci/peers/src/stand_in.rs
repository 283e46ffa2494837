//! Peers that are libraries, as small servers: axum alone, and wiremock-rs.

use std::convert::Infallible;
use std::io::{self, Write};
use std::path::Path;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::ListenerExt;
use axum::{Json, Router};
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use wiremock::matchers::{body_string_contains, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::case::{WORD, WORDS};

const CHAT: &str = "/v1/chat/completions";

/// Reads the request as JSON and answers with constant bytes; it keeps and compares nothing.
pub(crate) async fn floor() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(io::stdout(), "http://{}", listener.local_addr()?)?;
    // Otherwise a streamed answer over a kept-alive connection takes 40 ms.
    let listener = listener.tap_io(|socket| drop(socket.set_nodelay(true)));
    axum::serve(listener, Router::new().route(CHAT, post(answer))).await
}

async fn answer(Json(request): Json<Value>) -> Response {
    if request["stream"] != true {
        let message = json!({ "role": "assistant", "content": "hello there" });
        return Json(json!({ "choices": [{ "message": message }] })).into_response();
    }
    let frame =
        Bytes::from_static(b"data: {\"choices\":[{\"delta\":{\"content\":\"word \"}}]}\n\n");
    let frames = (0..WORDS).map(move |_| Ok::<_, Infallible>(frame.clone()));
    let content_type = [("content-type", "text/event-stream")];
    (content_type, Body::from_stream(stream::iter(frames))).into_response()
}

/// The turns of a script, each a mock of its own. A stream is one body: it knows no other.
pub(crate) async fn wiremock(script: &Path) -> io::Result<()> {
    let script: Value = serde_json::from_slice(&fs_err::read(script)?)?;
    let server = MockServer::start().await;
    for turn in script.as_array().into_iter().flatten() {
        let text = |name: &str| turn[name].as_str().unwrap_or_default().to_owned();
        let template = ResponseTemplate::new(200);
        let template = match turn["stream"] == true {
            true => template.set_body_raw(as_stream(), "text/event-stream"),
            false => template.set_body_json(
                json!({ "choices": [{ "message": { "content": text("answer") } }] }),
            ),
        };
        Mock::given(method("POST"))
            .and(path(CHAT))
            .and(body_string_contains(text("question")))
            .respond_with(template)
            .mount(&server)
            .await;
    }
    writeln!(io::stdout(), "{}", server.uri())?;
    // It is killed when it has been measured.
    std::future::pending().await
}

fn as_stream() -> String {
    let frame = json!({ "choices": [{ "delta": { "content": WORD } }] });
    format!(
        "{}data: [DONE]\n\n",
        format!("data: {frame}\n\n").repeat(WORDS)
    )
}
