//! Streams that break with an error behind what they have said.

use mock_server::{check_drift, read_scripts};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::canned::Canned;
use super::stage::{PATIENCE, Stage, client, mock, script};

/// Text, then half of a call's arguments; and it goes well when asked again.
const SERVICE: &str = r#"
- match: what is up
  response: { content: Let me see, tool_calls: [{ name: bash, arguments: '{"comm' }] }
  fault: { times: any, error: { after: said, type: rate_limit_exceeded, message: Slow down. EVENT } }
- match: what is up
  response: { reasoning: Again., content: "All is well." }
- match: and now
  response: { reasoning: The user wants, tool_calls: [{ name: bash, arguments: "" }] }
  fault: { times: any, error: { after: said } }
"#;

const PATHS: [&str; 6] = [
    "/api/v1/chat/completions",
    "/openai/v1/chat/completions",
    "/moonshot/v1/chat/completions",
    "/coding/v1/chat/completions",
    "/anthropic/v1/messages",
    "/v1/responses",
];

fn question(path: &str, user: &str) -> Value {
    let (schema, parameters) = (json!({ "type": "object" }), json!({}));
    let tool = json!({
        "type": "function",
        "name": "bash",
        "input_schema": schema,
        "parameters": parameters,
        "function": { "name": "bash", "parameters": parameters },
    });
    let messages = json!([{ "role": "user", "content": user }]);
    let asked = if path.ends_with("responses") {
        "input"
    } else {
        "messages"
    };
    let mut question = json!({
        "model": "a-model",
        "max_tokens": 100,
        "stream": true,
        "tools": [tool],
    });
    question[asked] = messages;
    question
}

async fn ask(url: &str, path: &str, user: &str) -> String {
    let asking = client().post(format!("{url}{path}"));
    let asking = asking
        .header("anthropic-version", "2023-06-01")
        .header("x-api-key", "any")
        .bearer_auth("any")
        .json(&question(path, user));
    let response = timeout(PATIENCE, asking.send()).await.unwrap().unwrap();
    assert_eq!(response.status(), 200, "{path}");
    timeout(PATIENCE, response.text()).await.unwrap().unwrap()
}

/// What is the same in each run: everything but ids and when they were made.
fn timeless(stream: &str) -> String {
    let told = |line: &str| match line.strip_prefix("data: {") {
        None => line.to_owned(),
        Some(_) => {
            let mut event: Value = serde_json::from_str(&line["data: ".len()..]).unwrap();
            forget_ids(&mut event);
            event.to_string()
        }
    };
    stream.lines().map(told).collect::<Vec<_>>().join("\n")
}

fn forget_ids(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| {
                let is_id = name == "id" || name.ends_with("_id");
                !is_id && name != "signature" && name != "obfuscation"
            });
            fields.values_mut().for_each(forget_ids);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_ids),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

async fn check(path: &str, event: &str) {
    let service = SERVICE.replace(" EVENT", event);
    let service = mock(vec![script(&service)]).await;
    let stage = Stage::before(&service.url()).await;
    let users = ["what is up?", "what is up?", "and now?"];
    let mut originals = Vec::new();
    for user in users {
        originals.push(ask(&stage.url, path, user).await);
    }
    let scripts = || read_scripts(&stage.path()).unwrap();
    let replaying = mock(scripts()).await;
    for (user, original) in users.iter().zip(&originals) {
        let replayed = ask(&replaying.url(), path, user).await;
        let told = stage.script();
        assert_eq!(timeless(&replayed), timeless(original), "{path}\n{told}");
    }
    assert!(originals[0].contains("Slow down."), "{}", originals[0]);
    assert!(originals[0].contains("see"), "{}", originals[0]);
    assert_eq!(replaying.llm().unsaid(), [], "{path}");
    assert_eq!(replaying.unexpected(), [], "{path}");
    let drifts = check_drift(&stage.exchanges(), scripts()).await.unwrap();
    assert_eq!(drifts, [], "{path}\n{}", stage.script());
    let (recorded, _folder) = stage.stop().await;
    assert_eq!(recorded.refused, [], "{path}");
}

#[tokio::test]
async fn words_and_then_the_error_are_recorded_and_replayed_in_every_dialect() {
    for path in PATHS {
        check(path, "").await;
    }
}

#[tokio::test]
async fn a_response_that_fails_is_replayed_as_one() {
    check("/v1/responses", ", event: response.failed").await;
}

#[tokio::test]
async fn what_was_said_is_written_down_with_its_error() {
    let chunk = |delta: &str| format!("data: {{\"choices\":[{{\"delta\":{delta}}}]}}\n\n");
    let stream = [
        chunk(r#"{"role":"assistant","content":"It "}"#),
        chunk(r#"{"content":"is"}"#),
        "data: {\"error\":{\"code\":429,\"message\":\"no {{ key sk-abcdefghijkl\"}}\n\n".to_owned(),
        "data: [DONE]\n\n".to_owned(),
    ];
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let service = Canned::saying(&[head, &stream.concat()].concat()).await;
    let stage = Stage::before(&service.url).await;
    ask(&stage.url, PATHS[0], "what time is it?").await;
    let turns: Value = mock_server::yaml::read("recorded.yaml", &stage.script()).unwrap();
    let error = json!({
        "after": "said",
        "type": "rate_limit_exceeded",
        "message": "no {{ key [secret]",
    });
    assert_eq!(
        turns,
        json!([{
            "match": "what time is it",
            "response": { "content": "It is" },
            "fault": { "times": "any", "error": error },
        }])
    );
}

#[tokio::test]
async fn a_client_that_hangs_up_on_the_error_has_heard_all_of_it() {
    let word = "data: {\"choices\":[{\"delta\":{\"content\":\"It is\"}}]}\n\n";
    let error = "data: {\"error\":{\"code\":502,\"message\":\"gone\"}}\n\n";
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    // The service leaves the connection open, and the client does not wait for its end.
    let (service, _go_on) = Canned::answering(&[&[head, word, error].concat(), ""]).await;
    let stage = Stage::before(&service.url).await;
    let address = stage.url.trim_start_matches("http://").to_owned();
    let mut socket = TcpStream::connect(address).await.unwrap();
    let body = question(PATHS[0], "what time is it?").to_string();
    let request = format!(
        "POST {} HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}",
        PATHS[0],
        body.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut heard = String::new();
    while !heard.contains("gone") {
        let mut piece = [0; 4096];
        let read = timeout(PATIENCE, socket.read(&mut piece));
        let length = read.await.unwrap().unwrap();
        assert!(length > 0, "{heard}");
        heard.push_str(str::from_utf8(&piece[..length]).unwrap());
    }
    drop(socket);
    let (recorded, folder) = stage.stop().await;
    assert_eq!(recorded.refused, []);
    let script = fs_err::read_to_string(folder.path().join("recorded.yaml")).unwrap();
    assert!(script.contains("after: said"), "{script}");
}
