//! Moonshot's open platform: what it has beside OpenAI's endpoints, on the same path.

use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::stage::{Stage, asking};

fn asking_kimi(user: &str) -> Value {
    let mut body = asking(user);
    body["model"] = "kimi-k2.6".into();
    body
}

#[tokio::test]
async fn on_the_shared_path_the_model_decides_whose_answer_it_is() {
    let stage = Stage::with("[{ times: any, response: { tool_calls: [{ name: bash }] } }]").await;
    let (_, kimis) = stage.ask(&asking_kimi("hi")).await;
    let (_, openais) = stage.ask(&asking("hi")).await;
    let id = |answer: &Value| answer["choices"][0]["message"]["tool_calls"][0]["id"].clone();
    assert_eq!([id(&kimis), id(&openais)], ["bash:0", "call_turn-1_2_1"]);
}

#[tokio::test]
async fn an_answer_goes_on_where_the_client_has_begun_it() {
    let stage = Stage::with("[{ times: any, response: { content: Once upon a time. } }]").await;
    let mut body = asking_kimi("tell");
    let lead = json!({"role": "assistant", "content": "Once upon", "partial": true});
    body["messages"].as_array_mut().unwrap().push(lead);
    assert_eq!(stage.hear(&body).await, " a time.");

    body["response_format"] = json!({"type": "json_object"});
    let refusal = stage.refused(400, &body).await;
    assert_eq!(
        refusal,
        "Invalid request: partial mode does not go with response_format json_object"
    );
}

#[tokio::test]
async fn what_moonshot_does_itself_is_called_as_a_builtin_function() {
    let stage = Stage::with(
        "[{ response: { tool_calls: [{ name: $web_search, arguments: { query: rust } }] } }]",
    )
    .await;
    let mut body = asking_kimi("hi");
    body["tools"] = json!([{"type": "builtin_function", "function": {"name": "$web_search"}}]);
    let (_, answer) = stage.ask(&body).await;
    let call = &answer["choices"][0]["message"]["tool_calls"][0];
    assert_eq!(call["type"], "builtin_function");
    assert_eq!(
        call["function"],
        json!({"name": "$web_search", "arguments": r#"{"query":"rust"}"#})
    );
}

#[tokio::test]
async fn tokens_are_estimated_as_they_are_counted() {
    let stage = Stage::with("[{ response: { content: hi } }]").await;
    let body = asking_kimi("nine chars");
    let estimate = stage
        .post("/v1/tokenizers/estimate-token-count")
        .json(&body);
    let (_, estimate) = stage.json(estimate).await;
    let (_, answer) = stage.ask(&body).await;
    assert_eq!(estimate["data"]["total_tokens"], 3);
    assert_eq!(answer["usage"]["prompt_tokens"], 3);
}

#[tokio::test]
async fn a_balance_is_told_and_without_one_nothing_is_answered() {
    let stage = Stage::with("{ services: { account: { balance: { cash: -1, voucher: 0 } } }, turns: [{ response: {}, optional: true }] }").await;
    let (_, balance) = stage.json(stage.get("/v1/users/me/balance")).await;
    let expected = json!({"available_balance": 0.0, "voucher_balance": 0.0, "cash_balance": -1.0});
    assert_eq!(balance["data"], expected);
    let (status, refusal) = stage.ask(&asking_kimi("hi")).await;
    assert_eq!(status, 429);
    assert_eq!(refusal["error"]["type"], "exceeded_current_quota_error");
}

#[tokio::test]
async fn two_megabytes_are_too_much() {
    let stage = Stage::with("[{ response: {}, optional: true }]").await;
    let report = stage
        .refused(400, &asking_kimi(&"x".repeat(2_097_152)))
        .await;
    assert!(report.starts_with("total message size 2097"), "{report}");
    assert!(report.ends_with(" exceeds limit 2097152"), "{report}");
}

/// A form with a file, as curl sends it.
fn form(purpose: &str) -> String {
    [
        "--edge",
        "Content-Disposition: form-data; name=\"purpose\"",
        "",
        purpose,
        "--edge",
        "Content-Disposition: form-data; name=\"file\"; filename=\"notes.txt\"",
        "Content-Type: text/plain",
        "",
        "remember the milk",
        "--edge--",
        "",
    ]
    .join("\r\n")
}

async fn upload(stage: &Stage, path: &str, purpose: &str) -> (u16, Value) {
    let request = stage.post(path).body(form(purpose));
    let content_type = "multipart/form-data; boundary=edge";
    stage.json(request.header(CONTENT_TYPE, content_type)).await
}

#[tokio::test]
async fn a_file_is_kept_until_it_is_deleted() {
    let stage = Stage::with("[]").await;
    let (status, file) = upload(&stage, "/v1/files", "file-extract").await;
    assert_eq!(status, 200);
    insta::assert_json_snapshot!(file, { ".created_at" => "[now]" });
    let path = format!("/v1/files/{}", file["id"].as_str().unwrap());

    let (_, list) = stage.json(stage.get("/v1/files")).await;
    assert_eq!(list["data"], json!([file]));
    assert_eq!(stage.json(stage.get(&path)).await.1, file);
    let (_, content) = stage.json(stage.get(&format!("{path}/content"))).await;
    assert_eq!(content["content"], "remember the milk");

    let url = format!("{}{path}", stage.server.url());
    let (_, deleted) = stage.json(stage.client.delete(url)).await;
    assert_eq!(deleted["deleted"], true);
    assert_eq!(stage.json(stage.get(&path)).await.0, 404);
    let events = [
        "llm.upload",
        "llm.files",
        "llm.file",
        "llm.file_content",
        "llm.file_deleted",
        "llm.file",
    ];
    assert_eq!(stage.events(), events);
}

#[tokio::test]
async fn an_upload_says_what_it_is_for() {
    let stage = Stage::with("[]").await;
    let (status, refusal) = upload(&stage, "/v1/files", "fun").await;
    assert_eq!(status, 400);
    assert_eq!(
        refusal["error"]["message"],
        "Invalid request: purpose fun is not supported"
    );
    let (status, _) = stage.json(stage.post("/v1/files").body("no form")).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_in_the_service_s_words_and_told() {
    let stage = Stage::with("[]").await;
    let json = |path: &str| stage.post(path).header(CONTENT_TYPE, "application/json");
    let form = |body: &'static str| stage.post("/v1/files").header(CONTENT_TYPE, body);
    let requests = [
        (json("/coding/v1/search").body("{}"), "/coding/v1/search: "),
        (json("/coding/v1/fetch").body("{"), "/coding/v1/fetch: "),
        (
            json("/v1/tokenizers/estimate-token-count").body("[]"),
            "/v1/tokenizers/estimate-token-count: ",
        ),
        (form("text/plain").body("x"), "/v1/files: "),
        (
            stage.get("/api/v1/generation?id=1&id=2"),
            "/api/v1/generation: ",
        ),
        (stage.get("/api/v1/generation"), "/api/v1/generation: "),
    ];
    for (place, (request, told)) in requests.into_iter().enumerate() {
        let (status, answer) = stage.json(request).await;
        assert!((400..500).contains(&status), "{told}{status}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("Invalid request: "), "{told}{message}");
        let reports = stage.server.unexpected();
        assert_eq!(reports.len(), place + 1, "{told}");
        assert!(reports[place].report.starts_with(told), "{reports:?}");
    }
}

#[tokio::test]
async fn a_conversation_that_is_too_long_for_its_model_is_refused_and_eats_no_turn() {
    let stage = Stage::with(
        "{ services: { models: [{ id: kimi-k2.6, context_length: 100 }, { id: kimi-k2.5, context_length: 50 }] }, turns: [{ response: { content: Short enough. } }] }",
    )
    .await;
    // Four bytes are a token.
    let refusal = stage.refused(400, &asking_kimi(&"a".repeat(401))).await;
    assert_eq!(
        refusal,
        "Invalid request: Your request exceeded model token limit: 100 (requested: 101)"
    );
    let told = json!({ "path": "/v1/chat/completions", "model": "kimi-k2.6", "tokens": 101, "limit": 100 });
    assert_eq!(stage.told("llm.overfull"), [told]);
    assert!(stage.server.unexpected().is_empty());
    assert_eq!(stage.server.llm().unsaid().len(), 1);
    assert_eq!(
        stage.hear(&asking_kimi(&"a".repeat(400))).await,
        "Short enough."
    );
    assert_eq!(stage.server.llm().unsaid(), []);
}
