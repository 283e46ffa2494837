//! A client that breaks off and asks the same again is not asking anew.

use serde_json::Value;

use super::stage::{Stage, asking};

const SCRIPT: &str = "
- { hold: door, response: { content: first } }
- { response: { content: second } }
";

/// Asks, and hangs up while the answer is held.
async fn ask_and_hang_up(stage: &Stage, body: &Value) {
    let request = stage.post("/v1/chat/completions").json(body).send();
    tokio::select! {
        answered = request => panic!("answered: {answered:?}"),
        () = stage.wait_for("llm.held") => {}
    }
    stage.wait_for("llm.aborted").await;
}

#[tokio::test]
async fn the_same_bytes_get_the_same_turn_again() {
    let stage = Stage::with(SCRIPT).await;
    ask_and_hang_up(&stage, &asking("hi")).await;
    assert!(stage.server.llm().waiting().is_empty());

    stage.server.llm().release("door").unwrap();
    assert_eq!(stage.hear(&asking("hi")).await, "first");
    assert_eq!(
        stage.events(),
        [
            "llm.request",
            "llm.held",
            "llm.aborted",
            "llm.released",
            "llm.request",
            "llm.retry",
            "llm.reply"
        ]
    );
    // Only once: what was heard to its end is over.
    assert_eq!(stage.hear(&asking("hi")).await, "second");
}

#[tokio::test]
async fn other_bytes_get_the_next_turn() {
    let stage = Stage::with(SCRIPT).await;
    ask_and_hang_up(&stage, &asking("hi")).await;
    assert_eq!(stage.hear(&asking("hi again")).await, "second");
}

#[tokio::test]
async fn a_broken_stream_is_repeated_too() {
    let stage = Stage::with(SCRIPT).await;
    let mut body = asking("hi");
    body["stream"] = true.into();
    ask_for_stream_and_hang_up(&stage, &body).await;

    stage.server.llm().release("door").unwrap();
    let again = stage
        .post("/v1/chat/completions")
        .json(&body)
        .send()
        .await
        .unwrap();
    assert!(again.text().await.unwrap().contains("first"));
}

async fn ask_for_stream_and_hang_up(stage: &Stage, body: &Value) {
    let response = stage
        .post("/v1/chat/completions")
        .json(body)
        .send()
        .await
        .unwrap();
    stage.wait_for("llm.held").await;
    drop(response);
    stage.wait_for("llm.aborted").await;
}

#[tokio::test]
async fn a_stream_that_is_gone_on_with_is_the_same_answer() {
    let stage = Stage::with(SCRIPT).await;
    let mut body = asking("hi");
    body["stream"] = true.into();
    ask_for_stream_and_hang_up(&stage, &body).await;
    stage.server.llm().release("door").unwrap();

    let with_lead = |lead: &str| {
        let mut body = asking("hi");
        let lead = serde_json::json!({"role": "assistant", "content": lead});
        body["messages"].as_array_mut().unwrap().push(lead);
        body
    };
    // Another beginning is of another answer.
    assert_eq!(stage.hear(&with_lead("sec")).await, "second");
    assert_eq!(stage.hear(&with_lead("fir")).await, "first");
    let of = stage.server.journal().entries();
    assert!(of.iter().any(|entry| entry.event == "llm.retry"));
}

#[tokio::test]
async fn the_same_bytes_for_another_lane_are_another_question() {
    let stage = Stage::with(
        "
lanes: { side: { header: { x-title: side } } }
turns:
  - { hold: door, response: { content: first } }
  - { lane: side, response: { content: aside } }
",
    )
    .await;
    ask_and_hang_up(&stage, &asking("hi")).await;
    stage.server.llm().release("door").unwrap();
    let request = stage.post("/v1/chat/completions").json(&asking("hi"));
    let (_, answer) = stage.json(request.header("x-title", "side")).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "aside");
    assert_eq!(stage.hear(&asking("hi")).await, "first");
}

#[tokio::test]
async fn an_answer_that_breaks_off_twice_is_still_the_same_answer() {
    let stage = Stage::with(SCRIPT).await;
    let with_lead = |lead: &str| {
        let mut body = asking("hi");
        let lead = serde_json::json!({"role": "assistant", "content": lead});
        body["messages"].as_array_mut().unwrap().push(lead);
        body
    };
    ask_and_hang_up(&stage, &asking("hi")).await;
    let again = stage
        .post("/v1/chat/completions")
        .json(&with_lead("fi"))
        .send();
    tokio::select! {
        answered = again => panic!("answered: {answered:?}"),
        () = second(&stage, "llm.held") => {}
    }
    second(&stage, "llm.aborted").await;
    stage.server.llm().release("door").unwrap();
    assert_eq!(stage.hear(&with_lead("firs")).await, "first");
}

/// Waits for that entry of the second request.
async fn second(stage: &Stage, event: &str) {
    let journal = stage.server.journal();
    let found = journal.wait_for(event, super::stage::PATIENCE, |entry| {
        (entry.event == event && entry.fields["n"] == 2).then_some(())
    });
    found.await.unwrap();
}
