//! `async-openai`, the client of OpenAI that Rust programs use.
//!
//! Its requests are made from JSON, through its own types, so that what goes out is what those
//! types make of it.

use std::collections::BTreeMap;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::types::chat::{
    ChatCompletionMessageToolCallChunk, CompletionUsage, CreateChatCompletionRequest, FinishReason,
};
use futures_util::StreamExt;
use serde::Serialize;
use serde_json::{Value, json};

use super::cases::{Case, IS_UNSCRIPTED, LISTS_MODELS, SAYS, STREAMS, STREAMS_TOOLS, USES_TOOLS};
use super::guest::KEY;
use super::stage::Stage;

const HELLO: &str = "Hello, guest. 日本語 and 🦀 arrive whole.";

async fn check(case: &Case, play: impl AsyncFnOnce(Client<OpenAIConfig>)) {
    let stage = Stage::set(case).await;
    play(client(&stage.url())).await;
    stage.ends_as(case).await;
}

fn client(url: &str) -> Client<OpenAIConfig> {
    // The first of several tests in one process has done it.
    let (Ok(()) | Err(_)) = rustls::crypto::ring::default_provider().install_default();
    let plain = reqwest::Client::builder()
        .tls_certs_only([])
        .build()
        .unwrap();
    let config = OpenAIConfig::new()
        .with_api_base(format!("{url}/v1"))
        .with_api_key(KEY);
    Client::build(plain, config)
}

fn greeting() -> CreateChatCompletionRequest {
    request(&json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Say hello."},
    ]))
}

fn request(messages: &Value) -> CreateChatCompletionRequest {
    let weather = json!({"type": "function", "function": {"name": "weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}},
    }}});
    let body = json!({"model": "gpt-5", "messages": messages, "tools": [weather]});
    serde_json::from_value(body).unwrap()
}

#[track_caller]
fn same_usage(usage: Option<CompletionUsage>) {
    let usage = usage.unwrap();
    let tokens = (
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.total_tokens,
    );
    assert_eq!(tokens, (11, 7, 18));
    let details = usage.prompt_tokens_details.unwrap();
    assert_eq!(details.cached_tokens, Some(3));
}

/// What the model has said and called.
#[derive(Default)]
struct Turn {
    text: String,
    calls: Vec<Called>,
    reason: Option<FinishReason>,
}

#[derive(Clone, Default, Serialize)]
struct Called {
    id: String,
    r#type: &'static str,
    function: Function,
}

#[derive(Clone, Default, Serialize)]
struct Function {
    name: String,
    arguments: String,
}

async fn whole(client: &Client<OpenAIConfig>, request: CreateChatCompletionRequest) -> Turn {
    let mut answer = client.chat().create(request).await.unwrap();
    let choice = answer.choices.remove(0);
    let calls = serde_json::to_value(choice.message.tool_calls.unwrap_or_default()).unwrap();
    let calls = calls.as_array().unwrap().iter().map(|call| Called {
        id: call["id"].as_str().unwrap().to_owned(),
        r#type: "function",
        function: Function {
            name: call["function"]["name"].as_str().unwrap().to_owned(),
            arguments: call["function"]["arguments"].as_str().unwrap().to_owned(),
        },
    });
    Turn {
        text: choice.message.content.unwrap_or_default(),
        calls: calls.collect(),
        reason: choice.finish_reason,
    }
}

async fn streamed(client: &Client<OpenAIConfig>, request: CreateChatCompletionRequest) -> Turn {
    let mut chunks = client.chat().create_stream(request).await.unwrap();
    let mut turn = Turn::default();
    let mut calls = BTreeMap::new();
    while let Some(chunk) = chunks.next().await {
        for choice in chunk.unwrap().choices {
            turn.text += &choice.delta.content.unwrap_or_default();
            turn.reason = turn.reason.or(choice.finish_reason);
            for part in choice.delta.tool_calls.into_iter().flatten() {
                add(calls.entry(part.index).or_default(), part);
            }
        }
    }
    turn.calls = calls.into_values().collect();
    turn
}

fn add(call: &mut Called, part: ChatCompletionMessageToolCallChunk) {
    call.id += &part.id.unwrap_or_default();
    call.r#type = "function";
    let function = part.function.unwrap();
    call.function.name += &function.name.unwrap_or_default();
    call.function.arguments += &function.arguments.unwrap_or_default();
}

/// From the question over the tools to the answer.
async fn weather_loop(ask: impl AsyncFn(CreateChatCompletionRequest) -> Turn) {
    let mut messages =
        vec![json!({"role": "user", "content": "How is the weather in Paris and Oslo?"})];
    let first = ask(request(&messages.clone().into())).await;
    assert_eq!(first.text, "I look.");
    assert_eq!(first.reason, Some(FinishReason::ToolCalls));
    messages.push(json!({"role": "assistant", "content": first.text, "tool_calls": first.calls}));
    let degrees = [18, 9];
    assert_eq!(first.calls.len(), degrees.len());
    for (call, degrees) in first.calls.iter().zip(degrees) {
        let arguments: Value = serde_json::from_str(&call.function.arguments).unwrap();
        let city = arguments["city"].as_str().unwrap();
        let content = format!("{city}: {degrees} degrees");
        messages.push(json!({"role": "tool", "tool_call_id": call.id, "content": content}));
    }
    let last = ask(request(&messages.into())).await;
    assert_eq!(last.text, "It is warmer in Paris than in Oslo.");
    assert_eq!(last.reason, Some(FinishReason::Stop));
}

#[tokio::test]
async fn a_text_is_read_with_its_usage() {
    check(&SAYS, async |client| {
        let answer = client.chat().create(greeting()).await.unwrap();
        let choice = &answer.choices[0];
        assert_eq!(choice.message.content.as_deref(), Some(HELLO));
        assert_eq!(choice.finish_reason, Some(FinishReason::Stop));
        assert_eq!(answer.model, "gpt-5");
        same_usage(answer.usage);
    })
    .await;
}

#[tokio::test]
async fn a_text_is_read_from_a_stream() {
    check(&STREAMS, async |client| {
        let mut request = greeting();
        let options = json!({"include_usage": true});
        request.stream_options = Some(serde_json::from_value(options).unwrap());
        let mut chunks = client.chat().create_stream(request).await.unwrap();
        let (mut text, mut pieces, mut usages) = (String::new(), 0, Vec::new());
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.unwrap();
            usages.extend(chunk.usage);
            let said = chunk
                .choices
                .into_iter()
                .filter_map(|choice| choice.delta.content);
            text.extend(said);
            pieces += 1;
        }
        assert_eq!(text, HELLO);
        assert!(pieces > 5, "{pieces} chunks");
        assert_eq!(usages.len(), 1);
        same_usage(usages.pop());
    })
    .await;
}

#[tokio::test]
async fn tools_are_called_and_their_results_answered() {
    check(&USES_TOOLS, async |client| {
        weather_loop(async |request| whole(&client, request).await).await;
    })
    .await;
}

#[tokio::test]
async fn tools_are_called_from_a_stream() {
    check(&STREAMS_TOOLS, async |client| {
        weather_loop(async |request| streamed(&client, request).await).await;
    })
    .await;
}

#[tokio::test]
async fn models_are_listed() {
    check(&LISTS_MODELS, async |client| {
        let models = client.models().list().await.unwrap();
        assert!(!models.data.is_empty());
        assert!(models.data.iter().all(|model| model.object == "model"));
    })
    .await;
}

#[tokio::test]
async fn an_unscripted_request_is_an_error_of_its_own() {
    check(&IS_UNSCRIPTED, async |client| {
        let asked = request(&json!([{"role": "user", "content": "Say hello."}]));
        let error = client.chat().create(asked).await.unwrap_err();
        let OpenAIError::ApiError(error) = error else {
            panic!("not an error of the API: {error}");
        };
        assert_eq!(error.status_code.as_u16(), 422);
        assert_eq!(error.api_error.code.as_deref(), Some("unscripted_request"));
        assert!(error.api_error.message.contains("Say hello."), "{error}");
    })
    .await;
}
