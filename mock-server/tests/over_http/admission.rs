//! No key, no answer: as every real service has it.

use serde_json::Value;

use super::stage::{Stage, asking, stranger};

/// Asks with this key, or with none.
async fn ask(stage: &Stage, path: &str, key: Option<&str>) -> (u16, Value) {
    let request = stranger().post(format!("{}{path}/chat/completions", stage.server.url()));
    let request = match key {
        Some(key) => request.bearer_auth(key),
        None => request,
    };
    let mut body = asking("hi");
    body["model"] = "kimi-k2.6".into();
    stage.json(request.json(&body)).await
}

#[tokio::test]
async fn each_service_refuses_who_has_no_key_in_its_own_words() {
    let stage = Stage::with("[{ response: {}, optional: true }]").await;
    let mut errors = Vec::new();
    for path in ["/openai/v1", "/v1", "/api/v1", "/coding/v1"] {
        let (status, error) = ask(&stage, path, None).await;
        assert_eq!(status, 401);
        errors.push(error);
    }
    insta::assert_json_snapshot!(errors);
    assert_eq!(stage.events(), ["llm.refused"; 4]);
}

#[tokio::test]
async fn a_script_says_which_keys_pass() {
    async fn check(keys: &str, key: Option<&str>, expected: u16) {
        let script = format!(
            "{{ services: {{ keys: {keys} }}, turns: [{{ optional: true, response: {{}} }}] }}"
        );
        let stage = Stage::with(&script).await;
        let (status, answer) = ask(&stage, "/api/v1", key).await;
        assert_eq!(status, expected, "{answer}");
    }
    check("any", Some("x"), 200).await;
    check("none", None, 200).await;
    check("[sk-1, sk-2]", Some("sk-2"), 200).await;
    check("[sk-1, sk-2]", Some("sk-3"), 401).await;
    check("[sk-1, sk-2]", None, 401).await;
}

#[tokio::test]
async fn side_endpoints_want_a_key_too_and_unknown_paths_stay_unexpected() {
    let stage = Stage::with("[]").await;
    let url = |path: &str| format!("{}{path}", stage.server.url());
    let (status, _) = stage.json(stranger().get(url("/api/v1/key"))).await;
    assert_eq!(status, 401);
    let (status, _) = stage.json(stranger().get(url("/api/v1/nothing"))).await;
    assert_eq!(status, 404);
    assert_eq!(stage.events(), ["llm.refused", "http.unexpected"]);
}

#[test]
fn a_word_that_is_none_is_refused() {
    let mistakes = mock_server::yaml::read::<mock_server::Script>(
        "s.yaml",
        "{ services: { keys: some }, turns: [] }",
    );
    let mistakes = mistakes.unwrap_err().to_string();
    assert!(mistakes.contains("`some`"), "{mistakes}");
}

#[tokio::test]
async fn anthropic_takes_its_own_header() {
    let stage =
        Stage::with("{ services: { keys: [sk-1] }, turns: [{ response: { content: hi } }] }").await;
    let ask = |key: &str| {
        let request = stranger().post(format!("{}/v1/messages", stage.server.url()));
        let request = request.header("anthropic-version", "2023-06-01");
        let body = serde_json::json!({"model": "claude", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
        stage.json(request.header("x-api-key", key).json(&body))
    };
    let (status, refusal) = ask("sk-2").await;
    assert_eq!(status, 401);
    assert_eq!(refusal["error"]["type"], "authentication_error");
    assert_eq!(ask("sk-1").await.0, 200);
}

#[tokio::test]
async fn the_keys_that_pass_are_never_written_down() {
    let stage =
        Stage::with("{ services: { keys: [sk-only] }, turns: [{ response: { content: hi } }] }")
            .await;
    let mut body = asking("I have sk-only here");
    body["model"] = "kimi-k2.6".into();
    let request = stranger().post(format!("{}/v1/chat/completions", stage.server.url()));
    let (status, _) = stage.json(request.bearer_auth("sk-only").json(&body)).await;
    assert_eq!(status, 200);
    let entries = stage.server.journal().entries();
    let shown = serde_json::to_string(&*entries[0]).unwrap();
    assert!(shown.contains("I have [secret] here"), "{shown}");
    assert!(!shown.contains("sk-only"), "{shown}");
}

#[tokio::test]
async fn a_key_is_the_same_to_a_door_and_to_a_lane() {
    let stage = Stage::with(
        "{ lanes: { side: { key: sk-side } }, turns: [{ lane: side, response: { content: hi } }] }",
    )
    .await;
    let request = stranger().post(format!("{}/v1/chat/completions", stage.server.url()));
    let request = request.header("authorization", "bearer sk-side");
    let (status, answer) = stage.json(request.json(&asking("hi"))).await;
    assert_eq!(status, 200, "{answer}");
}
