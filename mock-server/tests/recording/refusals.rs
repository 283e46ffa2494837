//! What is broken, empty or an error is passed on, told, and not recorded.

use super::canned::Canned;
use super::stage::{CHAT, Stage, asking};

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

async fn refused(answer: &str) -> String {
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
    assert!(!stage.path().exists() && !stage.exchanges().exists());
    let told = stage.told.lock().unwrap().clone();
    let (recorded, _folder) = stage.stop().await;
    let refused: Vec<String> = recorded.refused.iter().map(ToString::to_string).collect();
    assert_eq!((recorded.turns, &refused), (0, &told));
    refused.join("\n")
}

async fn check(answer: &str, complaint: &str) {
    let refused = refused(answer).await;
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
}

#[tokio::test]
async fn a_stream_that_does_not_come_to_its_end() {
    check(
        &stream(WORD),
        "the stream is truncated: no finish_reason, and no [DONE]",
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
async fn an_error() {
    let error = r#"{"error":{"code":502,"message":"no provider"}}"#;
    check(
        &document("503 Service Unavailable", error),
        "the answer is an error, status 503; errors are not recorded yet",
    )
    .await;
    check(
        &document("200 OK", error),
        "the answer is an error with status 200",
    )
    .await;
    check(
        &stream(&format!("{WORD}data: {error}\n\ndata: [DONE]\n\n")),
        "the stream ends in an error",
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
