//! Rules of the wire that a script puts out of force.

use serde_json::{Value, json};

use super::stage::{Stage, asking};

/// Asks Kimi.
async fn ask(stage: &Stage, body: &Value) -> (u16, Value) {
    let request = stage.post("/coding/v1/chat/completions").json(body);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// Refused by Kimi with these words, unless the script names the rule.
async fn check(rule: &str, body: &Value, refused: &str) {
    let turns =
        "turns: [{ times: any, response: { content: well, tool_calls: [{ name: bash }] } }]";
    let strict = Stage::with(&format!("{{ {turns} }}")).await;
    let (status, answer) = ask(&strict, body).await;
    assert_eq!(
        (status, &answer["error"]["message"]),
        (400, &json!(refused))
    );
    let report = &strict.server.unexpected()[0].report;
    let way_out = format!("{refused}\na script that wants this says `lenient: [{rule}]`");
    assert_eq!(*report, way_out);

    let lenient = Stage::with(&format!("{{ lenient: [{rule}], {turns} }}")).await;
    let (status, answer) = ask(&lenient, body).await;
    assert_eq!(status, 200, "{answer:#}");
    assert!(lenient.server.unexpected().is_empty());
}

#[tokio::test]
async fn kimi_minds_thoughts_tools_and_size_unless_told_otherwise() {
    let mut thoughtless = asking("hi");
    thoughtless["thinking"] = json!({"type": "enabled"});
    thoughtless["messages"] = json!([
        {"role": "user", "content": "go"},
        {"role": "assistant", "tool_calls": [
            {"id": "bash:0", "type": "function", "function": {"name": "bash", "arguments": "{}"}},
        ]},
        {"role": "tool", "tool_call_id": "bash:0", "content": "ok"},
    ]);
    check(
        "reasoning_content",
        &thoughtless,
        "thinking is enabled but reasoning_content is missing in assistant tool call message at index 1",
    )
    .await;

    let mut twice = asking("hi");
    twice["tools"][1] = twice["tools"][0].clone();
    check(
        "duplicate_tools",
        &twice,
        "function name bash is duplicated",
    )
    .await;

    let mut without = asking("hi");
    without["tools"] = json!([]);
    let refused = "turn `turn-1` calls `bash`, but the request offers no tools";
    check("unknown_tool", &without, refused).await;

    let large = asking(&"x".repeat(2_097_152));
    let length = large.to_string().len();
    let refused = format!("total message size {length} exceeds limit 2097152");
    check("body_size", &large, &refused).await;
}

#[tokio::test]
async fn a_rule_that_does_not_exist_is_refused() {
    let mistakes = mock_server::yaml::read::<mock_server::Script>(
        "script.yaml",
        "{ lenient: [paring], turns: [] }",
    );
    let mistakes = mistakes.unwrap_err().to_string();
    assert!(mistakes.contains("paring"), "{mistakes}");
    assert!(mistakes.contains("pairing"), "{mistakes}");
}
