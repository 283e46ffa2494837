//! Endpoints that fail, in every way that was seen or feared.

use serde_json::json;

use crate::model::{Model, Reply, finish_frame, text_frame};
use crate::stage::Stage;

/// As much as a busy machine may take to answer, and as little as a test may wait.
const STALL: &str = "1s";

/// The answer comes at the second attempt, and nothing of the first is told.
async fn check_recovers(first: Reply) {
    let model = Model::start([first, Reply::says("recovered")]).await;
    let told = Stage::for_model(&model)
        .with("NANOKIMI_LLM_STALL_TIMEOUT", STALL)
        .ask("hi")
        .await;
    assert_eq!(told.answers(), ["recovered"], "{told:#?}");
    assert_eq!(told.story(), "session text result");
    let asked = model.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0], asked[1], "a question asked again is the same");
}

/// The turn fails at once, or after both attempts.
async fn check_fails(replies: Vec<Reply>, kind: &str, retryable: bool) {
    let asked = replies.len();
    let model = Model::start(replies).await;
    let told = Stage::for_model(&model)
        .with("NANOKIMI_LLM_STALL_TIMEOUT", STALL)
        .with("NANOKIMI_LLM_ATTEMPTS", "2")
        .ask("hi")
        .await;
    assert_eq!(told.error()["kind"], kind, "{told:#?}");
    assert_eq!(told.error()["retryable"], retryable, "{told:#?}");
    assert_eq!(told.story(), "session error", "no partial text is told");
    assert_eq!(model.asked().len(), asked, "{told:#?}");
}

#[tokio::test]
async fn a_busy_or_failing_endpoint_is_asked_again() {
    check_recovers(Reply::status("429 Too Many", "retry-after: 0\r\n", "{}")).await;
    check_recovers(Reply::status("500 Oops", "", "<html>")).await;
    check_recovers(Reply::raw("")).await;
    let error = json!({"error": {"code": 502, "message": "gone"}});
    check_recovers(Reply::frames(&[text_frame("part"), error.clone()])).await;
    check_recovers(Reply::status("200 OK", "", &error.to_string())).await;
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_no_answer() {
    check_recovers(Reply::frames(&[text_frame("part")])).await;
    check_recovers(Reply::frames(&[])).await;
    let inside_arguments = json!({"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "c0",
        "function": {"name": "bash", "arguments": "{\"command\":\"touch w"}}]}}]});
    check_recovers(Reply::frames(&[inside_arguments])).await;
    check_recovers(Reply::status(
        "200 OK",
        "content-type: text/event-stream\r\ncontent-length: 1000\r\n",
        &format!("data: {}\n\n", text_frame("part")),
    ))
    .await;
    check_recovers(Reply::status(
        "200 OK",
        "",
        "data: {\"choices\":[{\"del\n\n",
    ))
    .await;
}

#[tokio::test]
async fn a_silent_model_is_given_up_and_asked_again() {
    check_recovers(Reply::raw("").held()).await;
    check_recovers(Reply::frames(&[text_frame("part")]).held()).await;
    check_recovers(Reply::frames(&[text_frame("part")]).held_with_comments()).await;
}

#[tokio::test]
async fn a_finished_answer_needs_no_hanging_up() {
    let finished = Reply::frames(&[text_frame("whole"), finish_frame("stop")]).held();
    let model = Model::start([finished]).await;
    let told = Stage::for_model(&model)
        .with("NANOKIMI_LLM_STALL_TIMEOUT", STALL)
        .ask("hi")
        .await;
    assert_eq!(told.answers(), ["whole"]);
}

#[tokio::test]
async fn carriage_returns_and_comments_change_nothing() {
    let frames = format!(
        ": PROCESSING\r\n\r\ndata: {}\r\n\r\ndata: {}\r\n\r\ndata: [DONE]\r\n\r\n",
        text_frame("Grüße 🐈"),
        finish_frame("stop"),
    );
    let model = Model::start([Reply::status("200 OK", "", &frames)]).await;
    let told = Stage::for_model(&model).ask("hi").await;
    assert_eq!(told.answers(), ["Grüße 🐈"]);
}

#[tokio::test]
async fn what_asking_again_cannot_mend_is_told_at_once() {
    let refuse = |status: &str, body: &str| vec![Reply::status(status, "", body)];
    check_fails(refuse("401 No", ""), "auth", false).await;
    check_fails(refuse("402 Pay", ""), "quota", false).await;
    check_fails(refuse("404 What", ""), "request", false).await;
    let long = r#"{"error":{"message":"Your request exceeded model token limit : 262144"}}"#;
    check_fails(refuse("400 Long", long), "context_too_long", false).await;
    let withheld = Reply::frames(&[text_frame("part"), finish_frame("content_filter")]);
    check_fails(vec![withheld], "content_filter", false).await;
    let elsewhere = refuse("200 OK", "<!DOCTYPE html>");
    check_fails(elsewhere, "protocol", false).await;
    let later = Reply::status("429 Later", "retry-after: 3600\r\n", "{}");
    check_fails(vec![later], "rate_limit", true).await;
}

#[tokio::test]
async fn attempts_end() {
    let twice = |reply: Reply| vec![reply.clone(), reply];
    check_fails(twice(Reply::status("503 No", "", "")), "upstream", true).await;
    check_fails(twice(Reply::status("429 No", "", "")), "rate_limit", true).await;
    check_fails(twice(Reply::frames(&[text_frame("part")])), "network", true).await;
    let silent = Reply::raw("").held();
    check_fails(twice(silent), "stalled", true).await;
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_a_broken_network() {
    let model = Model::start([]).await;
    // The port of a listener that is gone.
    let told = Stage::for_model(&model)
        .with("NANOKIMI_LLM_BASE_URL", "http://127.0.0.1:9/v1")
        .with("NANOKIMI_LLM_ATTEMPTS", "2")
        .ask("hi")
        .await;
    assert_eq!(told.error()["kind"], "network");
    assert!(told.stderr.contains("attempt 1 of 2"), "{}", told.stderr);
}

#[tokio::test]
async fn an_answer_cut_by_the_models_limit_says_so() {
    let model = Model::start([Reply::frames(&[text_frame("Once"), finish_frame("length")])]).await;
    let told = Stage::for_model(&model).ask("tell me a story").await;
    assert_eq!(
        told.answers(),
        ["Once\n\n[The answer was cut off at the model's output limit.]"]
    );
}
