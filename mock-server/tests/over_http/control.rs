//! The mocks told and asked from outside.

use futures_util::StreamExt;
use mock_server::JOURNAL_AT;
use serde_json::{Value, json};

use super::stage::{Stage, asking};

#[tokio::test]
async fn a_script_can_be_posted() {
    let stage = Stage::with("[]").await;
    let yaml = "- { match: hi, response: { content: hello } }";
    let added = stage
        .post("/_mock/scripts")
        .body(yaml)
        .send()
        .await
        .unwrap();
    assert_eq!(added.json::<Value>().await.unwrap(), json!({"added": 1}));
    let as_json = json!({"turns": [{"match": "bye", "response": {"content": "farewell"}}]});
    stage
        .post("/_mock/scripts")
        .json(&as_json)
        .send()
        .await
        .unwrap()
        .error_for_status()
        .unwrap();

    assert_eq!(stage.hear(&asking("hi")).await, "hello");
    assert_eq!(stage.hear(&asking("bye")).await, "farewell");
}

#[tokio::test]
async fn a_bad_script_is_refused_with_its_mistakes() {
    let stage = Stage::with("[]").await;
    let yaml = "- match: /(/\n  respons: { content: hi }\n";
    let refused = stage
        .post("/_mock/scripts")
        .body(yaml)
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), 400);
    let body: Value = refused.json().await.unwrap();
    let message = body["error"]["message"].as_str().unwrap();
    for part in [
        "`(` is not a regular expression",
        "1:10",
        "unknown key `respons`",
        "2:3",
    ] {
        assert!(message.contains(part), "{message}");
    }
}

#[tokio::test]
async fn the_state_can_be_asked_for_and_forgotten() {
    let stage = Stage::with("[{ id: owed, match: x, response: {} }]").await;
    stage.refused(422, &asking("hi")).await;

    let status: Value = stage
        .get("/_mock/status")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(
        status["unsaid"],
        json!([{"turn": "owed", "lane": "main", "said": 0, "times": 1, "reason": "unasked"}])
    );
    assert_eq!(status["unexpected"][0]["event"], "llm.unexpected");
    assert_eq!(status["waiting"], json!([]));

    let reset = stage.post("/_mock/reset").send().await.unwrap();
    assert_eq!(reset.status(), 204);
    let status: Value = stage
        .get("/_mock/status")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(
        status,
        json!({"unsaid": [], "unfired": [], "unexpected": [], "waiting": [], "paced": 0, "last": 3})
    );
}

#[tokio::test]
async fn a_gate_is_released_from_outside() {
    let stage = Stage::with("[{ hold: door, response: { content: late } }]").await;
    let question = asking("hi");
    let (heard, released) = tokio::join!(stage.hear(&question), async {
        stage.wait_for("llm.held").await;
        stage.post("/_mock/release/door").send().await.unwrap()
    });
    assert_eq!(heard, "late");
    assert_eq!(
        released.json::<Value>().await.unwrap(),
        json!({"gate": "door", "waited": 1})
    );
    let unknown = stage.post("/_mock/release/window").send().await.unwrap();
    assert_eq!(unknown.status(), 404);
}

#[tokio::test]
async fn the_journal_can_be_read_and_followed() {
    let stage = Stage::with("[{ response: { content: hi } }]").await;
    stage.hear(&asking("hi")).await;
    let after = stage.get("/_mock/journal?after=1").send().await.unwrap();
    let after: Vec<Value> = after.json().await.unwrap();
    assert_eq!(after.len(), 1);
    assert_eq!(
        (&after[0]["seq"], &after[0]["event"]),
        (&json!(2), &json!("llm.reply"))
    );

    let follow = stage
        .get("/_mock/journal/stream")
        .header("last-event-id", "2")
        .send()
        .await
        .unwrap();
    let mut events = follow.bytes_stream();
    stage.refused(422, &asking("more")).await;
    let event = events.next().await.unwrap().unwrap();
    assert!(
        event.starts_with(b"id: 3\nevent: llm.request\n"),
        "{event:?}"
    );
    // The end of the server is the end of the stream.
    stage.server.join().await.unwrap();
    while let Some(event) = events.next().await {
        event.unwrap();
    }
}

#[tokio::test]
async fn each_answer_says_how_far_the_journal_is() {
    let stage = Stage::with("[{ response: { content: hi } }]").await;
    stage.hear(&asking("hi")).await;
    let last = stage.get("/_mock/journal/last").send().await.unwrap();
    assert_eq!(last.headers()[JOURNAL_AT], "2");
    let last: Value = last.json().await.unwrap();
    assert_eq!(last["seq"], 2);
    let secrets = last["secrets"].as_u64().unwrap();
    assert!(last["real_ms"].as_f64().unwrap() > 0.0, "{last}");

    let refused = stage.post("/_mock/release/window").send().await.unwrap();
    assert_eq!(refused.headers()[JOURNAL_AT], "2");
    assert_eq!(
        refused.json::<Value>().await.unwrap(),
        json!({"error": {"type": "unknown", "message": "no turn is held at a gate `window`; gates: none"}})
    );
    stage.server.journal().hide("sesame");
    let later = stage.get("/_mock/journal/last").send().await.unwrap();
    let later: Value = later.json().await.unwrap();
    assert_eq!(later["secrets"], secrets + 1);
    // What clients of the services see is as it would be.
    let models = stage.get("/v1/models").send().await.unwrap();
    assert!(!models.headers().contains_key(JOURNAL_AT));
}

#[tokio::test]
async fn a_clock_is_told_from_outside() {
    let stage = Stage::with("[]").await;
    let noon = json!({"now": "2026-01-05T12:00:00Z"});
    let clock = async || {
        let clock = stage.get("/_mock/clock").send().await.unwrap();
        clock.json::<Value>().await.unwrap()
    };
    assert_eq!(clock().await, json!({"now": null}));
    let moved = stage.post("/_mock/clock").json(&noon).send().await.unwrap();
    assert_eq!(moved.status(), 200);
    assert_eq!(clock().await, noon);

    for wrong in ["now: noon", "now:", "then: 2026-01-05T12:00:00Z"] {
        let refused = stage.post("/_mock/clock").body(wrong).send().await.unwrap();
        assert_eq!(refused.status(), 400, "{wrong}");
    }
}

#[tokio::test]
async fn a_secret_that_is_told_is_written_down_no_more() {
    let stage = Stage::with("[{ response: { content: hi } }]").await;
    let told = stage.post("/_mock/secrets").body("[sesame]");
    assert_eq!(told.send().await.unwrap().status(), 204);
    stage.hear(&asking("open sesame")).await;

    let entries = stage.get("/_mock/journal").send().await.unwrap();
    let entries = entries.text().await.unwrap();
    assert!(!entries.contains("sesame") && entries.contains("open [secret]"));
    let secrets = stage.get("/_mock/secrets").send().await.unwrap();
    let secrets: Vec<String> = secrets.json().await.unwrap();
    assert!(secrets.iter().any(|secret| secret == "sesame"));
}

#[tokio::test]
async fn a_script_that_is_posted_may_have_a_name() {
    let stage = Stage::with("[]").await;
    let posted = stage.post("/_mock/scripts?name=small%20talk");
    posted.body("- { match: hi }\n").send().await.unwrap();
    let refused = stage.post("/_mock/scripts?name=small%20talk");
    let refused = refused.body("- { match: x, response: {} }\n- { match: hi }\n");
    let body: Value = refused.send().await.unwrap().json().await.unwrap();
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains("turn `small talk-2`"), "{message}");
}
