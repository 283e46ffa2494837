//! What the recorder passes on, and how.

use std::future::pending;
use std::time::Duration;

use futures_util::StreamExt;
use mock_server::{RecordOptions, Recorder};
use tokio::time::timeout;

use super::canned::Canned;
use super::stage::{CHAT, PATIENCE, Stage, asking, client, mock, post, script};

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-generation-id: gen-1\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn bytes_come_through_as_they_are() {
    let frames = [
        ": PROCESSING\r\n\r\n",
        "event:x\rdata:{\"choices\":[{\"delta\":{\"content\":\"h\\u00e9\"}}]}\r\r",
        "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
    ]
    .concat();
    let service = Canned::saying(&format!("{HEAD}{frames}")).await;
    let stage = Stage::before(&service.url).await;
    let request = stage
        .client
        .post(format!("{}{CHAT}", stage.url))
        .json(&asking("hi"));
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["x-generation-id"], "gen-1");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.text().await.unwrap(), frames);
    assert!(stage.script().contains("content: hé"), "{}", stage.script());
}

#[tokio::test]
async fn a_frame_comes_through_before_the_next_is_sent() {
    let first = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
    let last = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    let (service, go_on) = Canned::answering(&[&format!("{HEAD}{first}"), last]).await;
    let stage = Stage::before(&service.url).await;
    let request = stage
        .client
        .post(format!("{}{CHAT}", stage.url))
        .json(&asking("hi"));
    let mut answer = request.send().await.unwrap().bytes_stream();

    let heard = timeout(PATIENCE, answer.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(heard, first);
    go_on.send(()).await.unwrap();
    let heard = timeout(PATIENCE, answer.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(heard, last);
}

#[tokio::test]
async fn a_request_is_passed_on_without_what_is_between_two_only() {
    let answer = "HTTP/1.1 204 No Content\r\n\r\n";
    let mut service = Canned::saying(answer).await;
    let stage = Stage::before(&format!("{}/api", service.url)).await;
    let request = stage
        .client
        .put(format!("{}/v1/things?a=b%20c", stage.url))
        .header("authorization", "Bearer sk-abcdefghijkl")
        .header("connection", "x-hop")
        .header("x-hop", "1")
        .header("accept-encoding", "gzip, br")
        .header("x-title", "Kai")
        .body("bytes");
    assert_eq!(request.send().await.unwrap().status(), 204);

    let heard = service.heard.recv().await.unwrap();
    assert!(
        heard.starts_with("PUT /api/v1/things?a=b%20c HTTP/1.1\r\n"),
        "{heard}"
    );
    for line in [
        "authorization: Bearer sk-abcdefghijkl",
        "accept-encoding: identity",
        "x-title: Kai",
    ] {
        assert!(heard.contains(line), "{heard}");
    }
    assert!(
        !heard.contains("x-hop") && heard.ends_with("bytes"),
        "{heard}"
    );
}

#[tokio::test]
async fn who_hangs_up_at_the_end_mark_has_heard_all_of_it() {
    let frames = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let (service, _never) = Canned::answering(&[&format!("{HEAD}{frames}"), "more"]).await;
    let stage = Stage::before(&service.url).await;
    let request = stage
        .client
        .post(format!("{}{CHAT}", stage.url))
        .json(&asking("hi"));
    let mut answer = request.send().await.unwrap().bytes_stream();
    let heard = timeout(PATIENCE, answer.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(heard, frames);
    drop(answer);
    let (recorded, _folder) = stage.stop().await;
    assert_eq!((recorded.turns, recorded.refused.len()), (1, 0));
}

#[tokio::test]
async fn a_recorder_that_is_stopped_lets_go_of_a_stream_that_does_not_end() {
    let (service, _never) = Canned::answering(&[HEAD, "more"]).await;
    let stage = Stage::before(&service.url).await;
    let request = stage
        .client
        .post(format!("{}{CHAT}", stage.url))
        .json(&asking("hi"));
    let _answer = request.send().await.unwrap();
    let (recorded, _folder) = timeout(Duration::from_secs(8), stage.stop()).await.unwrap();
    assert_eq!((recorded.turns, recorded.refused.len()), (0, 1));
}

#[tokio::test]
async fn other_paths_are_passed_on_and_are_no_turns() {
    let service = mock(vec![script("[]")]).await;
    let stage = Stage::before(&service.url()).await;
    let request = stage
        .client
        .get(format!("{}/v1/models", stage.url))
        .bearer_auth("any");
    let answer = request.send().await.unwrap().text().await.unwrap();
    assert!(answer.contains("scripted"), "{answer}");
    assert!(!stage.path().exists());
    let exchanges = fs_err::read_to_string(stage.exchanges()).unwrap();
    assert!(exchanges.contains(r#""path":"/v1/models""#), "{exchanges}");
}

#[tokio::test]
async fn a_model_in_another_dialect_is_passed_on_and_told() {
    let service = Canned::saying("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
    let stage = Stage::before(&service.url).await;
    let request = stage
        .client
        .post(format!("{}/v1/completions", stage.url))
        .json(&asking("hi"));
    assert_eq!(request.send().await.unwrap().text().await.unwrap(), "{}");
    let (recorded, _folder) = stage.stop().await;
    assert_eq!(
        recorded.refused[0].to_string(),
        "POST /v1/completions is not recorded: only chat/completions, messages and responses are recorded"
    );
}

#[tokio::test]
async fn a_recording_that_cannot_be_written_ends_the_recorder_and_not_the_answer() {
    let service = mock(vec![script("[{ times: any, response: { content: ok } }]")]).await;
    let folder = tempfile::tempdir().unwrap();
    let options = RecordOptions {
        address: ([127, 0, 0, 1], 0).into(),
        upstream: service.url().parse().unwrap(),
        out: folder.path().join("gone/recorded.yaml"),
        timings: false,
        exchanges: false,
    };
    let recorder = Recorder::start(options, |_| {}).await.unwrap();
    let url = format!("{}{CHAT}", recorder.url());
    let client = client();
    let asked = asking("hi");
    let (ended, (status, _)) = timeout(PATIENCE, async {
        tokio::join!(recorder.until(pending::<()>()), post(&client, &url, &asked))
    })
    .await
    .unwrap();
    assert_eq!(status, 200);
    let fault = ended.unwrap_err();
    assert_eq!(fault.to_string(), "the recording cannot be written");
}
