//! Conversations that go on beside each other do not take each other's turns.

use serde_json::json;

use super::stage::{Stage, asking, following};

const SCRIPT: &str = "
lanes:
  title: { system: generate a title }
  small: { model: mini, header: aside }
turns:
  - { response: { content: chat } }
  - { lane: title, response: { content: title } }
  - { match: { lane: small }, response: { content: aside } }
";

#[tokio::test]
async fn a_request_is_answered_in_the_lane_that_claims_it() {
    let stage = Stage::with(SCRIPT).await;
    let titled = following(&json!([
        {"role": "system", "content": "Generate a TITLE for this."},
        {"role": "user", "content": "hi"},
    ]));
    assert_eq!(stage.hear(&titled).await, "title");

    let mut small = asking("hi");
    small["model"] = "kimi-mini".into();
    let request = stage
        .post("/v1/chat/completions")
        .header("x-lane", "aside")
        .json(&small);
    let aside: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(aside["choices"][0]["message"]["content"], "aside");

    // Without the header the rule does not hold.
    assert_eq!(stage.hear(&small).await, "chat");
}
