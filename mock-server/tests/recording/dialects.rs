//! Anthropic's messages and OpenAI's responses are recorded as chat completions are.

use mock_server::{Script, check_drift, read_scripts};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::canned::Canned;
use super::stage::{PATIENCE, Stage, client, mock, script};

const SERVICE: &str = r##"
- match: { user: report the outage, turn: 1 }
  response:
    reasoning: The user wants a file.
    content: I will save it.
    tool_calls:
      - { name: write_file, arguments: { path: report.md, content: "# outage", n: 1.5 } }
      - { name: now }
    usage: { prompt_tokens: 70, completion_tokens: 9, cached_tokens: 30 }
- match: { tool_result: { name: write_file, ok: true } }
  response: { content: "Saved.\n" }
- { match: go on and on, response: { content: And so, finish_reason: length } }
- { match: too much, fault: { status: 429, headers: { retry-after: 3 } }, response: { content: Now. } }
- { match: go down, fault: { error: {} } }
"##;

fn messages(stream: bool) -> Vec<Value> {
    let tool = |name: &str| json!({ "name": name, "input_schema": { "type": "object" } });
    let used = |id: &str, name: &str| json!({ "type": "tool_use", "id": id, "name": name, "input": { "a": 1 } });
    let result = |id: &str| json!({ "type": "tool_result", "tool_use_id": id, "content": "done" });
    let user = |text: &str| json!({ "role": "user", "content": text });
    let ask = user("please report the outage");
    let conversations = [
        json!([ask]),
        json!([
            ask,
            { "role": "assistant", "content": [used("toolu_1", "write_file"), used("toolu_2", "now")] },
            { "role": "user", "content": [result("toolu_1"), result("toolu_2")] },
        ]),
        json!([user("go on and on")]),
        json!([user("too much")]),
        json!([user("too much")]),
        json!([user("go down")]),
    ];
    let asked = conversations.iter().map(|messages| {
        json!({
            "model": "claude-sonnet-4-5",
            "max_tokens": 1000,
            "stream": stream,
            "system": "You are Kai.",
            "tools": [tool("write_file"), tool("now")],
            "messages": messages,
        })
    });
    asked.collect()
}

fn responses(stream: bool) -> Vec<Value> {
    let tool = |name: &str| json!({ "type": "function", "name": name, "parameters": {} });
    let call = |id: &str, name: &str| json!({ "type": "function_call", "call_id": id, "name": name, "arguments": "{}" });
    let output =
        |id: &str| json!({ "type": "function_call_output", "call_id": id, "output": "done" });
    let user = |text: &str| json!({ "role": "user", "content": text });
    let ask = user("please report the outage");
    let inputs = [
        json!([ask]),
        json!([
            ask,
            call("c1", "write_file"),
            call("c2", "now"),
            output("c1"),
            output("c2")
        ]),
        json!("go on and on"),
        json!("too much"),
        json!("too much"),
        json!("go down"),
    ];
    let asked = inputs.iter().map(|input| {
        json!({
            "model": "gpt-5",
            "stream": stream,
            "instructions": "You are Kai.",
            "tools": [tool("write_file"), tool("now")],
            "input": input,
        })
    });
    asked.collect()
}

async fn ask(url: &str, body: &Value) -> (u16, String) {
    let asking = client().post(url).header("anthropic-version", "2023-06-01");
    let asking = asking
        .header("x-api-key", "any")
        .bearer_auth("any")
        .json(body);
    let response = timeout(PATIENCE, asking.send()).await.unwrap().unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// Records all questions, replays them, and holds the exchanges against the recording.
async fn check(path: &str, questions: &[Value]) -> Vec<mock_server::ScriptedTurn> {
    let service = mock(vec![script(SERVICE)]).await;
    let stage = Stage::before(&service.url()).await;
    let mut originals = Vec::new();
    for question in questions {
        originals.push(ask(&format!("{}{path}", stage.url), question).await);
    }
    let scripts = || read_scripts(&stage.path()).unwrap();
    let replaying = mock(scripts()).await;
    for (question, (status, body)) in questions.iter().zip(originals) {
        let replayed = ask(&format!("{}{path}", replaying.url()), question).await;
        assert_eq!(replayed.0, status, "{body}\n{}", stage.script());
    }
    assert_eq!(replaying.llm().unsaid(), [], "{}", stage.script());
    assert_eq!(replaying.unexpected(), [], "{}", stage.script());
    let drifts = check_drift(&stage.exchanges(), scripts()).await.unwrap();
    let told: Vec<_> = drifts.iter().map(ToString::to_string).collect();
    assert!(told.is_empty(), "{path}: {told:#?}\n{}", stage.script());
    let turns = scripts()
        .into_iter()
        .flat_map(|script: Script| script.turns)
        .collect();
    let (recorded, _folder) = stage.stop().await;
    assert_eq!(recorded.refused, [], "{path}");
    turns
}

/// The turns say what the script of the service said.
#[track_caller]
fn check_turns(turns: &[mock_server::ScriptedTurn]) {
    let written = serde_json::to_value(turns).unwrap();
    let first = &written[0]["response"];
    assert_eq!(first["reasoning"], "The user wants a file.");
    assert_eq!(first["content"], "I will save it.");
    let file = json!({ "path": "report.md", "content": "# outage", "n": 1.5 });
    assert_eq!(
        first["tool_calls"][0],
        json!({ "name": "write_file", "arguments": file })
    );
    assert_eq!(first["tool_calls"][1]["name"], "now");
    let usage = json!({ "prompt_tokens": 70, "completion_tokens": 9, "cached_tokens": 30 });
    assert_eq!(first["usage"], usage);
    assert_eq!(written[1]["response"]["content"], "Saved.\n");
    assert_eq!(written[2]["response"]["finish_reason"], "length");
    assert_eq!(
        written[3]["fault"],
        json!({ "status": 429, "headers": { "retry-after": "3" } })
    );
    assert_eq!(written[4]["response"]["content"], "Now.");
    assert!(written[5]["fault"].is_object(), "{written:#}");
}

#[tokio::test]
async fn messages_are_recorded_and_replayed() {
    for stream in [false, true] {
        check_turns(&check("/anthropic/v1/messages", &messages(stream)).await);
    }
}

#[tokio::test]
async fn responses_are_recorded_and_replayed() {
    for stream in [false, true] {
        check_turns(&check("/v1/responses", &responses(stream)).await);
    }
}

/// Answers once with this document, and tells why it is not recorded.
async fn refused(path: &str, body: &Value, answer: &Value) -> String {
    let answer = answer.to_string();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length";
    let service = Canned::saying(&format!("{head}: {}\r\n\r\n{answer}", answer.len())).await;
    let stage = Stage::before(&service.url).await;
    assert_eq!(
        ask(&format!("{}{path}", stage.url), body).await,
        (200, answer)
    );
    assert!(!stage.path().exists());
    let (recorded, _folder) = stage.stop().await;
    recorded.refused[0].why.to_string()
}

#[tokio::test]
async fn what_a_script_cannot_say_is_told() {
    let (message, response) = (&messages(false)[0], &responses(false)[0]);
    let search =
        json!([{ "type": "server_tool_use", "id": "s", "name": "web_search", "input": {} }]);
    let told = refused("/v1/messages", message, &json!({ "content": search })).await;
    assert_eq!(
        told,
        "a script cannot say what the model did: a block that is no text, thought or use of a tool"
    );
    let pause =
        json!({ "content": [{ "type": "text", "text": "a" }], "stop_reason": "pause_turn" });
    let told = refused("/v1/messages", message, &pause).await;
    assert_eq!(told, "a script cannot say the finish_reason `pause_turn`");
    let search = json!({ "status": "completed", "output": [{ "type": "web_search_call" }] });
    let told = refused("/v1/responses", response, &search).await;
    assert_eq!(
        told,
        "a script cannot say what the model did: an item that is no message, thought or call"
    );
    let going_on = json!({ "model": "gpt-5", "input": "and?", "previous_response_id": "resp_1" });
    let said = json!({ "output": [{ "type": "message", "content": [{ "type": "output_text", "text": "a" }] }] });
    let told = refused("/v1/responses", &going_on, &said).await;
    assert_eq!(
        told,
        "the request goes on from `resp_1`, an answer that is not recorded; record its conversation from the beginning"
    );
    let unfit = json!({ "model": "claude", "messages": [] });
    let said = json!({ "content": [{ "type": "text", "text": "a" }] });
    let told = refused("/v1/messages", &unfit, &said).await;
    assert!(
        told.starts_with("the request is none that a mock would take"),
        "{told}"
    );
}

#[tokio::test]
async fn a_stream_without_its_end_is_told() {
    let begun = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{}}\n\n";
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n{begun}");
    for (path, question) in [
        ("/v1/messages", &messages(true)[0]),
        ("/v1/responses", &responses(true)[0]),
    ] {
        let service = Canned::saying(&answer).await;
        let stage = Stage::before(&service.url).await;
        ask(&format!("{}{path}", stage.url), question).await;
        let (recorded, _folder) = stage.stop().await;
        let why = recorded.refused[0].why.to_string();
        assert_eq!(
            why,
            "the stream is truncated: nothing in it says that it has ended"
        );
    }
}
