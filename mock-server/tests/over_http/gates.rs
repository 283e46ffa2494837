//! Answers that wait until the scenario lets them go.

use futures_util::StreamExt;

use super::stage::{Stage, asking};

const HELD: &str = "[{ hold: door, response: { content: late } }]";

#[tokio::test]
async fn a_held_turn_waits_for_its_release() {
    let stage = Stage::with(HELD).await;
    let llm = stage.server.llm();
    let (question, journal) = (asking("hi"), stage.server.journal());
    let (heard, ()) = tokio::join!(stage.hear(&question), async {
        stage.wait_for("llm.held").await;
        assert_eq!(llm.waiting(), ["door"]);
        assert!(!stage.events().contains(&"llm.reply".to_owned()));
        assert_eq!(llm.release("door").unwrap(), 1);
    });
    assert_eq!(heard, "late");
    assert!(llm.waiting().is_empty());
    assert_eq!(
        stage.events(),
        ["llm.request", "llm.held", "llm.released", "llm.reply"]
    );
    assert_eq!(journal.entries()[1].text("gate"), Some("door"));
}

/// What is owed now, a line each.
fn owed(stage: &Stage) -> Vec<String> {
    let unsaid = stage.server.llm().unsaid();
    unsaid.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_held_turn_is_owed_until_its_client_has_heard_its_end() {
    let stage = Stage::with(HELD).await;
    let (question, llm) = (asking("hi"), stage.server.llm());
    tokio::join!(stage.hear(&question), async {
        stage.wait_for("llm.held").await;
        let held = "turn `turn-1` (lane main) was held at `door` and never released";
        assert_eq!(owed(&stage), [held]);
        llm.release("door").unwrap();
    });
    assert!(owed(&stage).is_empty());
}

#[tokio::test]
async fn a_turn_whose_client_went_away_is_owed_unless_it_is_optional() {
    for (optional, expected) in [
        (
            "",
            &["turn `turn-1` (lane main) was never delivered: its client went away"][..],
        ),
        ("optional: true, ", &[]),
    ] {
        let script = format!("[{{ {optional}hold: door, response: {{ content: late }} }}]");
        let stage = Stage::with(&script).await;
        let request = stage
            .post("/v1/chat/completions")
            .json(&asking("hi"))
            .send();
        tokio::select! {
            answered = request => panic!("answered: {answered:?}"),
            () = stage.wait_for("llm.held") => {}
        }
        stage.wait_for("llm.aborted").await;
        stage.server.llm().release("door").unwrap();
        assert_eq!(owed(&stage), expected);
    }
}

#[tokio::test]
async fn a_gate_that_was_released_before_is_open() {
    let stage = Stage::with(HELD).await;
    assert_eq!(stage.server.llm().release("door").unwrap(), 0);
    assert_eq!(stage.hear(&asking("hi")).await, "late");
}

#[tokio::test]
async fn a_gate_that_no_turn_names_is_refused() {
    let stage = Stage::with(HELD).await;
    let unknown = stage.server.llm().release("dor").unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "no turn is held at a gate `dor`; gates: door"
    );
}

#[tokio::test]
async fn a_held_stream_has_begun_and_says_nothing() {
    let stage = Stage::with(HELD).await;
    let mut body = asking("hi");
    body["stream"] = true.into();
    let request = stage.post("/api/v1/chat/completions").json(&body);
    let mut stream = request.send().await.unwrap().bytes_stream();
    assert_eq!(
        stream.next().await.unwrap().unwrap(),
        ": OPENROUTER PROCESSING\n\n"
    );
    stage.wait_for("llm.held").await;

    stage.server.llm().release("door").unwrap();
    let rest: Vec<_> = stream.map(Result::unwrap).collect().await;
    assert!(rest.concat().ends_with(b"data: [DONE]\n\n"));
}

#[tokio::test]
async fn the_end_of_the_server_releases_who_waits() {
    let stage = Stage::with(HELD).await;
    let body = asking("hi");
    let request = stage.post("/v1/chat/completions").json(&body).send();
    let (answer, ended) = tokio::join!(request, async move {
        stage.wait_for("llm.held").await;
        stage.server.join().await
    });
    assert_eq!(answer.unwrap().status(), 200);
    ended.unwrap();
}
