//! What only OpenRouter has: its way to a provider, what that costs, and who asks afterwards.

use serde_json::{Value, json};

use super::stage::{Stage, asking};

const SCRIPT: &str = "
services: { account: { credits: 10, usage: 2.5 } }
turns:
  - times: any
    response:
      content: Hello.
      tool_calls: [{ name: bash }]
      usage: { prompt_tokens: 125, completion_tokens: 97, cached_tokens: 64 }
";

/// A question to a model that is listed with its price.
fn priced() -> Value {
    let mut body = asking("hi");
    body["model"] = "moonshotai/kimi-k2.5".into();
    body
}

async fn answer(stage: &Stage, body: &Value) -> (u16, Value) {
    let request = stage.post("/api/v1/chat/completions").json(body);
    stage.json(request).await
}

#[tokio::test]
async fn a_whole_answer_has_a_dated_model_a_provider_and_a_price() {
    let stage = Stage::with(SCRIPT).await;
    let request = stage.post("/api/v1/chat/completions").json(&priced());
    let text = request.send().await.unwrap().text().await.unwrap();
    assert!(text.starts_with("\n         \n{"), "{text}");
    let answer: Value = serde_json::from_str(&text).unwrap();
    insta::assert_json_snapshot!(answer);
}

#[tokio::test]
async fn calls_are_counted_in_their_conversation() {
    let stage = Stage::with(SCRIPT).await;
    let mut body = priced();
    let call = |id: &str| json!({"role": "assistant", "tool_calls": [{"id": id, "type": "function", "function": {"name": "bash", "arguments": "{}"}}]});
    let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "ok"});
    let messages = body["messages"].as_array_mut().unwrap();
    // The first call was forgotten: the count goes on behind what is there.
    messages.extend([call("functions.bash:1"), result("functions.bash:1")]);
    let (_, answer) = answer(&stage, &body).await;
    let call = &answer["choices"][0]["message"]["tool_calls"][0];
    assert_eq!(call["id"], "functions.bash:2");
}

#[tokio::test]
async fn the_request_decides_who_may_answer() {
    #[track_caller]
    fn check(answer: &(u16, Value), status: u16, at: &str, expected: &str) {
        let (heard, body) = answer;
        assert_eq!(*heard, status, "{body}");
        assert_eq!(body.pointer(at).unwrap(), expected);
    }
    let stage = Stage::with(SCRIPT).await;
    let mut body = priced();
    body["provider"] = json!({"order": ["moonshotai", "chutes"]});
    check(
        &answer(&stage, &body).await,
        200,
        "/provider",
        "Moonshot AI",
    );
    body["provider"] = json!({"only": ["groq"]});
    let refused = "No allowed providers are available for the selected model.";
    check(&answer(&stage, &body).await, 404, "/error/message", refused);
}

#[tokio::test]
async fn the_first_of_the_models_that_is_scripted_answers() {
    let stage = Stage::with(
        "[{ match: { model: second }, response: { content: yes } }, { response: { content: no } }]",
    )
    .await;
    let mut body = asking("hi");
    body["model"] = "maker/first".into();
    body["models"] = json!(["maker/second", "maker/third"]);
    let (_, fallen_back) = answer(&stage, &body).await;
    assert_eq!(fallen_back["model"], "maker/second");
    assert_eq!(fallen_back["choices"][0]["message"]["content"], "yes");
    body["models"] = json!(["maker/third"]);
    let (_, usual) = answer(&stage, &body).await;
    assert_eq!(usual["model"], "maker/first");
}

#[tokio::test]
async fn a_model_that_refuses_lets_the_next_one_answer() {
    let stage = Stage::with(
        "[{ match: { model: first }, fault: { status: 503 } }, { match: { model: second }, response: { content: yes } }]",
    )
    .await;
    let mut body = asking("hi");
    body["model"] = "maker/first".into();
    body["models"] = json!(["maker/second"]);
    let (_, answer) = answer(&stage, &body).await;
    assert_eq!(answer["model"], "maker/second");
    assert!(stage.server.llm().unsaid().is_empty());
    let events = ["llm.fallback", "llm.request", "llm.reply"];
    assert_eq!(stage.events(), events);
}

#[tokio::test]
async fn the_way_is_told_to_who_asks() {
    let stage = Stage::with(SCRIPT).await;
    let request = stage.post("/api/v1/chat/completions").json(&priced());
    let request = request.header("x-openrouter-metadata", "enabled");
    let (_, answer) = stage.json(request).await;
    let told = &answer["openrouter_metadata"];
    assert_eq!(told["requested"], "moonshotai/kimi-k2.5");
    let chosen = &told["endpoints"]["available"][0];
    assert_eq!(
        *chosen,
        json!({"provider": "Chutes", "model": "moonshotai/kimi-k2.5-0127", "selected": true})
    );
}

#[tokio::test]
async fn an_answer_can_be_asked_about_and_is_paid_for() {
    let stage = Stage::with(SCRIPT).await;
    let (_, answer) = answer(&stage, &priced()).await;
    let id = answer["id"].as_str().unwrap();

    let about = stage.get(&format!("/api/v1/generation?id={id}"));
    let (status, about) = stage.json(about).await;
    assert_eq!(status, 200);
    insta::assert_json_snapshot!(about);
    let (status, error) = stage.json(stage.get("/api/v1/generation?id=gen-0")).await;
    assert_eq!((status, &error["error"]["code"]), (404, &json!(404)));

    let (_, credits) = stage.json(stage.get("/api/v1/credits")).await;
    let total = json!({"total_credits": 10.0, "total_usage": 2.500_234_92});
    assert_eq!(credits["data"], total);
    let (_, key) = stage.json(stage.get("/api/v1/key")).await;
    assert_eq!(key["data"]["usage_daily"], 0.000_234_92);
}

#[tokio::test]
async fn an_answer_is_known_a_moment_after_it_was_given() {
    let stage = Stage::with(
        "{ services: { account: { told_after: 2s } }, turns: [{ response: { content: hi } }] }",
    )
    .await;
    let start = jiff::Timestamp::UNIX_EPOCH;
    let pass = |seconds| {
        let now = start + jiff::SignedDuration::from_secs(seconds);
        stage.server.journal().clock_moved(now);
    };
    pass(0);
    let (_, answer) = answer(&stage, &priced()).await;
    let id = answer["id"].as_str().unwrap();
    let about = || stage.get(&format!("/api/v1/generation?id={id}"));
    for (second, expected) in [(0, 404), (1, 404), (2, 200)] {
        pass(second);
        assert_eq!(stage.json(about()).await.0, expected, "after {second} s");
    }
}

#[tokio::test]
async fn without_credits_there_are_no_answers() {
    let stage = Stage::with(
        "{ services: { account: { credits: 1, usage: 1 } }, turns: [{ response: {}, optional: true }] }",
    )
    .await;
    let (status, error) = answer(&stage, &priced()).await;
    assert_eq!(status, 402);
    insta::assert_json_snapshot!(error);
    assert_eq!(stage.told("llm.refused").len(), 1);
}

#[tokio::test]
async fn scripted_models_are_listed() {
    let stage = Stage::with(
        "{ services: { models: [{ id: a/b, slug: a/b-0101, price: { prompt: 1 } }] }, turns: [] }",
    )
    .await;
    let (_, models) = stage.json(stage.get("/api/v1/models")).await;
    insta::assert_json_snapshot!(models);
}

#[tokio::test]
async fn what_does_not_arrive_is_not_paid_for() {
    async fn check(fault: &str, is_paid: bool) {
        let turn = format!("{{ fault: {fault}, response: {{ content: hi }} }}");
        let stage = Stage::with(&format!("[{turn}]")).await;
        let mut body = asking("hi");
        body["model"] = "moonshotai/kimi-k2.6".into();
        let request = stage.post("/api/v1/chat/completions").json(&body);
        request.send().await.unwrap().bytes().await.unwrap();
        let (_, key) = stage.json(stage.get("/api/v1/key")).await;
        let paid = key["data"]["usage"].as_f64().unwrap();
        assert_eq!(paid > 0.0, is_paid, "{fault}: {paid}");
    }
    check("{ times: any, status: 429 }", false).await;
    check("{ times: any, html: 502 }", false).await;
    check("{ times: any, end: 1 }", false).await;
    check("{ slow: { every: 1ms, bytes: 100 } }", true).await;
}

#[tokio::test]
async fn what_does_not_arrive_spends_no_quota() {
    let stage = Stage::with(
        "{ services: { limits: { tokens_per_minute: 1 } }, turns: [{ fault: { status: 500 }, response: { content: hi } }] }",
    )
    .await;
    for status in [500, 200, 429] {
        assert_eq!(answer(&stage, &asking("hi")).await.0, status);
    }
}

#[tokio::test]
async fn what_a_fault_says_of_quotas_is_told_and_a_proxy_knows_none() {
    let stage = Stage::with(
        "
services: { limits: { requests_per_minute: 9 } }
turns:
  - fault: { status: 429, headers: { x-ratelimit-remaining-requests: 0 } }
  - fault: { html: 502 }
",
    )
    .await;
    let ask = async || {
        let request = stage.post("/api/v1/chat/completions");
        request.json(&asking("hi")).send().await.unwrap()
    };
    let refused = ask().await;
    assert_eq!(refused.headers()["x-ratelimit-remaining-requests"], "0");
    assert_eq!(refused.headers()["x-ratelimit-limit-requests"], "9");
    let page = ask().await;
    let names = page.headers().keys().map(|name| name.as_str());
    let told: Vec<_> = names
        .filter(|name| name.starts_with("x-ratelimit"))
        .collect();
    assert_eq!(told, Vec::<&str>::new());
}

#[tokio::test]
async fn each_key_has_quotas_and_is_told_when_to_come_back() {
    let stage = Stage::with(
        "{ services: { limits: { requests_per_minute: 1 } }, turns: [{ times: 2, response: { content: hi } }] }",
    )
    .await;
    let ask = async |key: &str| {
        let request = stage.post("/api/v1/chat/completions").bearer_auth(key);
        stage.json(request.json(&asking("hi"))).await
    };
    assert_eq!(ask("sk-one").await.0, 200);
    let (status, refused) = ask("sk-one").await;
    assert_eq!(status, 429, "{refused}");
    let metadata = &refused["error"]["metadata"];
    let wait = metadata["retry_after_seconds"].as_u64().unwrap();
    assert!((1..=60).contains(&wait), "{metadata}");
    assert_eq!(metadata["headers"]["Retry-After"], wait.to_string());
    assert_eq!(ask("sk-two").await.0, 200);
}
