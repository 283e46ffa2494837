//! OpenAI's Responses, as its clients see them.

use serde_json::{Value, json};

use super::stage::Stage;

const SCRIPT: &str = r#"
- id: upload
  match: report the outage
  response:
    reasoning: They want a file.
    content: I will save it.
    tool_calls: [{ name: write_file, arguments: { path: report.md } }]
- id: saved
  match: { tool_result: { name: write_file, ok: true }, user: report the outage }
  response: { content: "Saved {{ tool.write_file.path }}." }
- id: thanks
  match: { user: thanks, turn: 3, messages: { assistant: Saved } }
  response: { content: You are welcome. }
"#;

/// A request as a client sends it.
fn asking(input: &Value) -> Value {
    let tool = |name: &str| json!({"type": "function", "name": name, "parameters": {}});
    json!({
        "model": "gpt-5",
        "instructions": "You are Kai.",
        "input": input,
        "tools": [tool("bash"), tool("write_file")],
    })
}

fn following(previous: &Value, input: &Value) -> Value {
    let mut body = asking(input);
    body["previous_response_id"] = previous["id"].clone();
    body
}

fn output(answer: &Value, output: &str) -> Value {
    let items = answer["output"].as_array().unwrap();
    let call_id = &items.last().unwrap()["call_id"];
    json!({"type": "function_call_output", "call_id": call_id, "output": output})
}

async fn ask(stage: &Stage, body: &Value) -> (u16, Value) {
    let request = stage.post("/v1/responses").bearer_auth("sk-1").json(body);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn hear(stage: &Stage, body: &Value) -> Value {
    let (status, answer) = ask(stage, body).await;
    assert_eq!(status, 200, "{answer:#}");
    answer
}

async fn get(stage: &Stage, path: &str) -> (u16, Value) {
    let request = stage.get(&format!("/v1/responses/{path}"));
    let response = request.bearer_auth("sk-1").send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn text(answer: &Value) -> &str {
    answer["output"][0]["content"][0]["text"].as_str().unwrap()
}

#[tokio::test]
async fn a_conversation_goes_on_from_an_answer() {
    let stage = Stage::with(SCRIPT).await;
    let first = hear(&stage, &asking(&json!("please report the outage"))).await;
    insta::assert_json_snapshot!(first);

    let result = output(&first, "wrote 8 bytes");
    let second = hear(&stage, &following(&first, &json!([result]))).await;
    assert_eq!(text(&second), "Saved report.md.");
    assert_eq!(second["previous_response_id"], first["id"]);
    let third = hear(&stage, &following(&second, &json!("thanks"))).await;
    assert_eq!(text(&third), "You are welcome.");
    assert!(stage.server.unexpected().is_empty());
}

#[tokio::test]
async fn a_conversation_may_be_sent_whole_and_by_reference() {
    let stage = Stage::with(SCRIPT).await;
    let first = hear(&stage, &asking(&json!("report the outage"))).await;
    let mut items = vec![json!({"role": "user", "content": "report the outage"})];
    items.extend(first["output"].as_array().unwrap().iter().cloned());
    let last = items.last_mut().unwrap();
    *last = json!({"type": "item_reference", "id": last["id"]});
    items.push(output(&first, "wrote 8 bytes"));
    let second = hear(&stage, &asking(&items.into())).await;
    assert_eq!(text(&second), "Saved report.md.");
}

#[tokio::test]
async fn a_stream_is_made_of_numbered_events() {
    let script = r#"
- response:
    reasoning: The user greets.
    content: Hello there.
    tool_calls:
      - { name: bash, arguments: { command: "ls -la" } }
      - { name: bash, arguments: "" }
    usage: { prompt_tokens: 100, completion_tokens: 7, cached_tokens: 90 }
  stream: { chunk: 8, arguments: 12 }
"#;
    let stage = Stage::with(script).await;
    let mut body = asking(&json!("hi"));
    body["stream"] = true.into();
    let request = stage.post("/openai/v1/responses").bearer_auth("sk-1");
    let response = request.json(&body).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    insta::assert_snapshot!(response.text().await.unwrap());
}

#[tokio::test]
async fn an_error_within_a_stream_is_numbered_like_any_event() {
    for (dress, after, number) in [("{}", 0, 0), ("{}", 5, 5), ("{ duplicate: 2..3 }", 5, 3)] {
        let turn = format!(
            "{{ fault: {{ error: {{ after: {after} }} }}, response: {{ content: a b c }}, stream: {dress} }}"
        );
        let stage = Stage::with(&format!("[{turn}]")).await;
        let mut body = asking(&json!("hi"));
        body["stream"] = true.into();
        let request = stage.post("/v1/responses").bearer_auth("sk-1").json(&body);
        let stream = request.send().await.unwrap().text().await.unwrap();
        let (before, error) = stream.split_once("event: error\ndata: ").unwrap();
        assert_eq!(before.matches("event: ").count(), after, "{stream}");
        let error: Value = serde_json::from_str(error.trim_end()).unwrap();
        assert_eq!(error["sequence_number"], number, "{stream}");
    }
}

#[tokio::test]
async fn an_answer_ends_for_a_reason() {
    for (reason, event, status, detail) in [
        ("stop", "response.completed", "completed", Value::Null),
        (
            "length",
            "response.incomplete",
            "incomplete",
            json!({"reason": "max_output_tokens"}),
        ),
        (
            "content_filter",
            "response.incomplete",
            "incomplete",
            json!({"reason": "content_filter"}),
        ),
        ("error", "response.failed", "failed", Value::Null),
    ] {
        let turn = format!("{{ times: any, response: {{ content: x, finish_reason: {reason} }} }}");
        let stage = Stage::with(&format!("[{turn}]")).await;
        let mut body = asking(&json!("hi"));
        let answer = hear(&stage, &body).await;
        assert_eq!(answer["status"], status);
        assert_eq!(answer["incomplete_details"], detail);
        assert_eq!(answer["error"].is_object(), status == "failed");
        body["stream"] = true.into();
        let request = stage.post("/v1/responses").bearer_auth("sk-1").json(&body);
        let stream = request.send().await.unwrap().text().await.unwrap();
        let last = stream.trim_end().rsplit("\n\n").next().unwrap();
        assert!(last.starts_with(&format!("event: {event}\n")), "{stream}");
    }
}

#[tokio::test]
async fn an_answer_is_kept_until_it_is_deleted() {
    let stage = Stage::with("[{ times: any, response: { content: hello } }]").await;
    let answer = hear(&stage, &asking(&json!("hi"))).await;
    let id = answer["id"].as_str().unwrap();
    assert_eq!(get(&stage, id).await, (200, answer.clone()));
    let (_, items) = get(&stage, &format!("{id}/input_items")).await;
    assert_eq!(items["data"][0]["content"][0]["text"], "hi");

    let gone = stage
        .client
        .delete(format!("{}/v1/responses/{id}", stage.server.url()));
    let gone: Value = gone.send().await.unwrap().json().await.unwrap();
    assert_eq!(
        gone,
        json!({"id": id, "object": "response", "deleted": true})
    );
    let (status, error) = get(&stage, id).await;
    assert_eq!(status, 404);
    assert_eq!(
        error["error"]["message"],
        format!("Response with id '{id}' not found.")
    );
    let (status, error) = ask(&stage, &following(&answer, &json!("again"))).await;
    assert_eq!(status, 400);
    assert_eq!(error["error"]["code"], "previous_response_not_found");
    assert_eq!(error["error"]["param"], "previous_response_id");
}

#[tokio::test]
async fn an_answer_that_is_not_to_be_stored_is_not() {
    let stage = Stage::with("[{ response: { content: hello } }]").await;
    let mut body = asking(&json!("hi"));
    body["store"] = false.into();
    let answer = hear(&stage, &body).await;
    assert_eq!(answer["store"], false);
    assert_eq!(get(&stage, answer["id"].as_str().unwrap()).await.0, 404);
}

#[tokio::test]
async fn a_call_without_an_output_is_refused_unless_the_script_is_lenient() {
    let call = json!({"type": "function_call", "call_id": "c1", "name": "bash", "arguments": "{}"});
    let body = asking(&json!([{"role": "user", "content": "hi"}, call]));
    let strict = Stage::with("[{ response: { content: ok } }]").await;
    let (status, error) = ask(&strict, &body).await;
    assert_eq!(status, 400);
    assert_eq!(
        error["error"],
        json!({
            "message": "No tool output found for function call c1.",
            "type": "invalid_request_error",
            "param": "input",
            "code": null,
        })
    );
    let lenient = "{ lenient: [pairing], turns: [{ response: { content: ok } }] }";
    let lenient = Stage::with(lenient).await;
    assert_eq!(text(&hear(&lenient, &body).await), "ok");
}

#[tokio::test]
async fn nobody_scripted_this_is_said_in_the_error() {
    let stage = Stage::with(SCRIPT).await;
    let (status, error) = ask(&stage, &asking(&json!("what else?"))).await;
    assert_eq!(status, 422);
    let message = error["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("no scripted turn answers request 1"),
        "{message}"
    );
    let request = stage.server.journal().entries().remove(0);
    assert_eq!(request.fields["path"], "/v1/responses");
    assert_eq!(request.fields["system"], "You are Kai.");
}

#[tokio::test]
async fn an_answer_that_comes_late_is_gone_on_from_too() {
    let stage = Stage::with(
        "[{ fault: { slow: { every: 1ms, bytes: 500 } }, response: { content: one } }, { match: { turn: 2 }, response: { content: two } }]",
    )
    .await;
    let first = hear(&stage, &asking(&json!("hi"))).await;
    let second = hear(&stage, &following(&first, &json!("and then?"))).await;
    assert_eq!(text(&second), "two");
}

#[tokio::test]
async fn an_end_alone_says_nothing() {
    let turn = "{ fault: { empty: done }, response: { reasoning: a thought, content: some words, tool_calls: [{ name: bash }] } }";
    let stage = Stage::with(&format!("[{turn}]")).await;
    let mut body = asking(&json!("hi"));
    body["stream"] = true.into();
    let request = stage.post("/v1/responses").bearer_auth("sk-1").json(&body);
    let stream = request.send().await.unwrap().text().await.unwrap();
    assert!(
        stream.starts_with("event: response.completed\n"),
        "{stream}"
    );
    for said in ["a thought", "some words", "bash\",\"arguments"] {
        assert!(!stream.contains(said), "{stream}");
    }
}

#[tokio::test]
async fn of_very_many_answers_the_latest_are_kept() {
    let script = "[{ match: hi, times: any, response: { content: Hello. } }]";
    let stage = Stage::with(script).await;
    let first = hear(&stage, &asking(&json!("hi"))).await;
    let second = hear(&stage, &asking(&json!("hi"))).await;
    for _ in 0..1_023 {
        hear(&stage, &asking(&json!("hi"))).await;
    }
    let (status, error) = ask(&stage, &following(&first, &json!("hi"))).await;
    assert_eq!(status, 400, "{error:#}");
    assert_eq!(error["error"]["code"], "previous_response_not_found");
    hear(&stage, &following(&second, &json!("hi"))).await;
}
