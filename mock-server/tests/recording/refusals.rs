//! What is broken, empty or an error is passed on, told, and not recorded.

use std::future::pending;

use mock_server::{RecordOptions, Recorder, Refused};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::canned::Canned;
use super::stage::{CHAT, PATIENCE, Stage, asking, client, post};

const ROLE: &str =
    "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
const STOP: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const WORD: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";

fn stream(frames: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{frames}"
    )
}

fn document(status: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// How many turns were recorded, and what was refused.
async fn refusals(answer: &str) -> (usize, String) {
    let service = Canned::saying(answer).await;
    let stage = Stage::before(&service.url).await;
    let request = stage
        .client
        .post(format!("{}{CHAT}", stage.url))
        .json(&asking("hi"));
    // Whether it can be read to its end is the service's business.
    if let Ok(response) = request.send().await {
        drop(response.bytes().await);
    }
    let is_written = stage.path().exists() || stage.exchanges().exists();
    let told = stage.told.lock().unwrap().clone();
    let (recorded, _folder) = stage.stop().await;
    let refused: Vec<String> = recorded.refused.iter().map(ToString::to_string).collect();
    assert_eq!(refused, told);
    assert_eq!(is_written, recorded.turns > 0);
    (recorded.turns, refused.join("\n"))
}

async fn check(answer: &str, complaint: &str) {
    let (turns, refused) = refusals(answer).await;
    assert_eq!(turns, 0);
    let expected = format!("POST /v1/chat/completions is not recorded: {complaint}");
    assert!(refused.starts_with(&expected), "{refused}");
}

#[tokio::test]
async fn a_stream_that_says_nothing() {
    check(&stream(""), "the answer is empty").await;
    check(
        &stream(": PROCESSING\n\n: PROCESSING\n\n"),
        "the answer is empty",
    )
    .await;
    check(&stream("data: [DONE]\n\n"), "the answer is empty").await;
    check(&stream(&format!("{ROLE}{STOP}")), "the answer is empty").await;
}

#[tokio::test]
async fn a_document_that_says_nothing() {
    let silent =
        r#"{"choices":[{"message":{"role":"assistant","content":""},"finish_reason":"stop"}]}"#;
    check(&document("200 OK", silent), "the answer is empty").await;
    let filtered = silent.replace("stop", "content_filter");
    assert_eq!(refusals(&document("200 OK", &filtered)).await.0, 1);
}

#[tokio::test]
async fn calls_that_no_model_makes() {
    let call = |index: &str, function: &str| {
        let call = format!(r#"{{"index":{index},"function":{function}}}"#);
        let delta =
            format!("data: {{\"choices\":[{{\"delta\":{{\"tool_calls\":[{call}]}}}}]}}\n\n");
        stream(&format!("{delta}{STOP}"))
    };
    let bash = r#"{"name":"bash","arguments":"{}"}"#;
    for index in ["18446744073709551615", "128"] {
        let complaint = format!("the answer cannot be read: a call has the index {index}");
        check(&call(index, bash), &complaint).await;
    }
    check(
        &call("0", r#"{"arguments":"{}"}"#),
        "the answer cannot be read: a call has no name",
    )
    .await;
    assert_eq!(refusals(&call("1", bash)).await.0, 1);
}

#[tokio::test]
async fn a_request_that_does_not_come_to_its_end() {
    let stage = Stage::before("http://127.0.0.1:1").await;
    let address = stage.url.trim_start_matches("http://").to_owned();
    let mut socket = TcpStream::connect(address).await.unwrap();
    let head = format!("POST {CHAT} HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{{");
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.shutdown().await.unwrap();
    let mut answer = String::new();
    let read = timeout(PATIENCE, socket.read_to_string(&mut answer));
    read.await.unwrap().unwrap();
    let (recorded, _folder) = stage.stop().await;
    let refused: Vec<String> = recorded.refused.iter().map(ToString::to_string).collect();
    let expected = "POST /v1/chat/completions is not recorded: the request was cut off";
    assert!(refused.join("\n").starts_with(expected), "{refused:?}");
}

#[tokio::test]
async fn the_panic_of_who_writes_is_the_panic_of_the_recorder() {
    let service = Canned::saying(&stream("")).await;
    let folder = tempfile::tempdir().unwrap();
    let options = RecordOptions {
        address: ([127, 0, 0, 1], 0).into(),
        upstream: service.url.parse().unwrap(),
        out: folder.path().join("recorded.yaml"),
        timings: false,
        exchanges: false,
    };
    let tell = |_: &Refused| panic!("the pen broke");
    let recorder = Recorder::start(options, tell).await.unwrap();
    let url = format!("{}{CHAT}", recorder.url());
    let mut recording = JoinSet::new();
    recording.spawn(recorder.until(pending::<()>()));
    post(&client(), &url, &asking("hi")).await;
    let ended = timeout(PATIENCE, recording.join_next()).await.unwrap();
    let panic = ended.unwrap().unwrap_err().into_panic();
    assert_eq!(panic.downcast_ref(), Some(&"the pen broke"));
}

#[tokio::test]
async fn a_stream_that_does_not_come_to_its_end() {
    check(
        &stream(WORD),
        "the stream is truncated: nothing in it says that it has ended",
    )
    .await;
    check(
        &stream(&format!("{WORD}data: {{\"cho")),
        "the answer cannot be read",
    )
    .await;
    let chunked =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let length = WORD.len();
    check(
        &format!("{chunked}{length:x}\r\n{WORD}\r\n"),
        "the answer was cut off",
    )
    .await;
}

#[tokio::test]
async fn an_error_behind_a_call_without_a_name() {
    let call =
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}}]}"#;
    let error = r#"{"error":{"code":502,"message":"no provider"}}"#;
    check(
        &stream(&format!("data: {call}\n\ndata: {error}\n\n")),
        "the answer cannot be read: a call has no name",
    )
    .await;
}

#[tokio::test]
async fn a_document_that_is_none() {
    check(&document("200 OK", ""), "the answer is empty").await;
    check(&document("200 OK", "{}"), "the answer is empty").await;
    check(&document("200 OK", "<html>"), "the answer cannot be read").await;
    let short = document("200 OK", "{}").replace("content-length: 2", "content-length: 9");
    check(&short, "the answer was cut off").await;
}

#[tokio::test]
async fn a_service_that_is_not_there() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let stage = Stage::before(&format!("http://{address}")).await;
    let (status, body) = stage.ask(&asking("hi")).await;
    assert_eq!(status, 502);
    assert!(body.contains("onnect"), "{body}");
    let (recorded, _folder) = stage.stop().await;
    assert_eq!(recorded.refused.len(), 1);
}
