//! The mocks told and asked from outside.

use futures_util::StreamExt;
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
