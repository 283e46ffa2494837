//! Kimi's coding service: its gate, its quota, and the web as it shows it.

use serde_json::{Value, json};

use super::stage::{Stage, asking, stranger};

const CHAT: &str = "/coding/v1/chat/completions";

#[tokio::test]
async fn only_coding_agents_are_answered() {
    async fn check(script: &str, agent: &str, expected: u16) {
        let stage = Stage::with(script).await;
        let request = stranger().post(format!("{}{CHAT}", stage.server.url()));
        let request = request.bearer_auth("sk").header("user-agent", agent);
        let (status, answer) = stage.json(request.json(&asking("hi"))).await;
        assert_eq!(status, expected, "{answer}");
        if status == 403 {
            assert_eq!(answer["error"]["type"], "access_terminated_error");
            assert_eq!(stage.told("llm.refused")[0]["status"], 403);
        }
    }
    let script = "[{ response: { content: hi }, optional: true }]";
    check(script, "kimi-code-cli/2.1.0", 200).await;
    check(script, "claude-cli/1.0", 200).await;
    check(script, "nanokimi-agent/0.1.0", 200).await;
    check(script, "curl/8.0", 403).await;
    check(
        "{ services: { agents: any }, turns: [{ response: {} }] }",
        "curl/8.0",
        200,
    )
    .await;
    let only = "{ services: { agents: [mine/] }, turns: [{ response: {}, optional: true }] }";
    check(only, "mine/1", 200).await;
    check(only, "KimiCLI/1.51.0", 403).await;
}

#[tokio::test]
async fn an_answer_can_be_traced_and_the_device_is_written_down() {
    let stage = Stage::with("[{ response: { content: hi } }]").await;
    let request = stage.post(CHAT).header("x-msh-device-id", "d1");
    let response = request.json(&asking("hi")).send().await.unwrap();
    assert!(response.headers().contains_key("x-trace-id"));
    let told = stage.told("llm.request");
    assert_eq!(told[0]["device"], json!({"x-msh-device-id": "d1"}));
}

#[tokio::test]
async fn the_quota_is_told() {
    let stage = Stage::with(
        "{ services: { account: { quota: { used: 214, window_used: 20 } } }, turns: [] }",
    )
    .await;
    let (_, usages) = stage.json(stage.get("/coding/v1/usages")).await;
    insta::assert_json_snapshot!(usages);
}

const WEB: &str = "
services:
  search:
    - match: rust
      results: [{ title: Rust, url: https://rust.example, snippet: A language }, { title: Oxide }]
  pages: [{ url: https://rust.example, text: '# Rust' }]
turns: []
";

#[tokio::test]
async fn the_web_is_what_the_script_says() {
    let stage = Stage::with(WEB).await;
    let search = |query: Value| stage.post("/coding/v1/search").json(&query);
    let (_, found) = stage
        .json(search(json!({"text_query": "about Rust", "limit": 1})))
        .await;
    assert_eq!(found["search_results"].as_array().unwrap().len(), 1);
    assert_eq!(found["search_results"][0]["title"], "Rust");

    let fetch = |url: &str| stage.post("/coding/v1/fetch").json(&json!({ "url": url }));
    let page = fetch("https://rust.example").send().await.unwrap();
    assert_eq!(page.text().await.unwrap(), "# Rust");
    assert!(stage.server.unexpected().is_empty());
}

#[tokio::test]
async fn what_nobody_scripted_is_not_in_the_web() {
    let stage = Stage::with(WEB).await;
    let search = stage
        .post("/coding/v1/search")
        .json(&json!({"text_query": "go"}));
    assert_eq!(stage.json(search).await.0, 422);
    let fetch = stage
        .post("/coding/v1/fetch")
        .json(&json!({"url": "https://go.example"}));
    assert_eq!(stage.json(fetch).await.0, 422);
    let reports: Vec<_> = stage
        .server
        .unexpected()
        .into_iter()
        .map(|unexpected| unexpected.report)
        .collect();
    let there_are = "the script has a search that must contain \"rust\", `https://rust.example`";
    assert_eq!(
        reports,
        [
            format!("nobody has scripted what a search for \"go\" finds; {there_are}"),
            format!("nobody has scripted the page `https://go.example`; {there_are}"),
        ]
    );
}
