//! What was recorded is said again, to the same questions.

use mock_server::{MockServer, read_scripts};
use serde_json::{Value, json};

use super::stage::{PATIENCE, Stage, asking, client, mock, post, request, script};

const SERVICE: &str = r##"
- match: { user: report the outage, turn: 1 }
  response:
    reasoning: The user wants a file.
    content: I will save it.
    tool_calls:
      - { name: write_file, arguments: { path: report.md, content: "# outage {{ '{{' }} x }}\n", n: 1.5, deep: ["yes", { "no": null }] } }
      - { name: bash, arguments: "{oops" }
- match: { tool_result: { name: write_file } }
  response: { content: "Saved: yes\n\n  - {{ '{%' }} done %}\n", usage: { prompt_tokens: 7, completion_tokens: 9, cached_tokens: 3 } }
- { match: my cat is Miso, response: { content: "Noted, Miso." } }
- { match: my cat is Tom, response: { content: Noted } }
- { match: hello, times: 3, response: { content: "null", finish_reason: length } }
- { match: hello, response: { content: "Hello again: 日本語 😀" } }
- { match: nothing, response: { finish_reason: content_filter } }
"##;

fn questions(stream: bool) -> Vec<Value> {
    let ask = json!({ "role": "user", "content": "please report the outage to a file" });
    let call = |id: &str, name: &str, arguments: &str| json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } });
    let calls = [
        call("c1", "write_file", r#"{"path":"report.md"}"#),
        call("c2", "bash", "{}"),
    ];
    let loop_back = json!([
        ask,
        { "role": "assistant", "content": "I will save it.", "tool_calls": calls },
        { "role": "tool", "tool_call_id": "c1", "content": "wrote 12 bytes" },
        { "role": "tool", "tool_call_id": "c2", "content": "Error: not JSON" },
    ]);
    let user = |text: &str| json!([{ "role": "user", "content": text }]);
    let conversations = [
        json!([ask]),
        loop_back,
        user("my cat is Miso"),
        user("my cat is Tom"),
        user("hello"),
        user("hello"),
        user("hello"),
        user("hello"),
        user("nothing"),
    ];
    conversations
        .iter()
        .map(|messages| request(messages, stream))
        .collect()
}

/// What a client makes of an answer: all but ids and times.
fn heard(body: &str) -> Value {
    let documents: Vec<Value> = match serde_json::from_str(body) {
        Ok(document) => vec![document],
        Err(_stream) => body
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .filter(|data| *data != "[DONE]")
            .map(|data| serde_json::from_str(data).unwrap())
            .collect(),
    };
    let mut texts = [String::new(), String::new()];
    let (mut calls, mut finish, mut usage) = (Vec::new(), Value::Null, Value::Null);
    for document in documents {
        let choice = &document["choices"][0];
        let said = if choice["delta"].is_null() {
            &choice["message"]
        } else {
            &choice["delta"]
        };
        let thought = said["reasoning"]
            .as_str()
            .or(said["reasoning_content"].as_str());
        for (text, more) in texts.iter_mut().zip([said["content"].as_str(), thought]) {
            text.push_str(more.unwrap_or(""));
        }
        let called = said["tool_calls"].as_array();
        calls.extend(
            called
                .into_iter()
                .flatten()
                .map(|call| call["function"].clone()),
        );
        for (known, new) in [
            (&mut finish, &choice["finish_reason"]),
            (&mut usage, &document["usage"]),
        ] {
            if !new.is_null() {
                *known = new.clone();
            }
        }
    }
    // What it costs and when it was is not recorded.
    let told = [
        &usage["prompt_tokens"],
        &usage["completion_tokens"],
        &usage["prompt_tokens_details"]["cached_tokens"],
    ];
    json!({ "texts": texts, "calls": calls, "finish": finish, "usage": told })
}

async fn answers(url: &str, questions: &[Value]) -> Vec<Value> {
    let client = client();
    let mut answers = Vec::new();
    for question in questions {
        let (status, body) = post(&client, url, question).await;
        assert_eq!(status, 200, "{body}");
        answers.push(heard(&body));
    }
    answers
}

#[track_caller]
fn check_all_is_said(replaying: &MockServer) {
    assert_eq!(replaying.llm().unsaid(), []);
    assert_eq!(replaying.unexpected(), []);
}

async fn check_replay(dialect: &str, stream: bool) -> String {
    let service = mock(vec![script(SERVICE)]).await;
    let stage = Stage::before(&service.url()).await;
    let questions = questions(stream);
    let path = format!("{dialect}/chat/completions");
    let original = answers(&format!("{}{path}", stage.url), &questions).await;

    let replaying = mock(read_scripts(&stage.path()).unwrap()).await;
    let replayed = answers(&format!("{}{path}", replaying.url()), &questions).await;
    assert_eq!(original, replayed, "{}", stage.script());
    check_all_is_said(&replaying);

    // The order of the questions does not matter where they differ.
    let shuffled = mock(read_scripts(&stage.path()).unwrap()).await;
    let backwards: Vec<Value> = questions[..5].iter().rev().cloned().collect();
    let mut replayed = answers(&format!("{}{path}", shuffled.url()), &backwards).await;
    replayed.reverse();
    assert_eq!(original[..5], replayed, "{}", stage.script());
    stage.script()
}

#[tokio::test]
async fn a_recording_of_documents_answers_the_same() {
    for dialect in ["/v1", "/api/v1", "/coding/v1"] {
        check_replay(dialect, false).await;
    }
}

#[tokio::test]
async fn a_recording_of_streams_answers_the_same() {
    for dialect in ["/api/v1", "/coding/v1"] {
        check_replay(dialect, true).await;
    }
}

#[tokio::test]
async fn the_script_reads_like_one_that_a_person_wrote() {
    let script = check_replay("/coding/v1", true).await;
    let (title, turns) = script.split_once('\n').unwrap();
    assert!(
        title.starts_with("# Recorded from http://127.0.0.1:"),
        "{title}"
    );
    // How the service counts is not the matter here.
    let counted = |line: &str| match line.split_once("_tokens: ") {
        Some((before, _)) => format!("{before}_tokens: …"),
        None => line.trim_end().to_owned(),
    };
    let turns: Vec<String> = turns.lines().map(counted).collect();
    insta::assert_snapshot!(turns.join("\n"));
}

#[tokio::test]
async fn the_file_is_whole_after_each_answer() {
    let service = mock(vec![script("[{ times: any, response: { content: ok } }]")]).await;
    let stage = Stage::before(&service.url()).await;
    for (place, user) in ["my cat is Miso", "my dog is Rex", "good night"]
        .iter()
        .enumerate()
    {
        stage.ask(&asking(user)).await;
        let scripts = read_scripts(&stage.path()).unwrap();
        assert_eq!(scripts[0].turns.len(), place + 1);
    }
    let (recorded, _folder) = stage.stop().await;
    assert_eq!((recorded.turns, recorded.refused.len()), (3, 0));
}

#[tokio::test]
async fn timings_are_kept_on_request() {
    let service = mock(vec![script("[{ response: { content: one two three } }]")]).await;
    let stage = Stage::with(&service.url(), true).await;
    let messages = json!([{ "role": "user", "content": "count" }]);
    stage.ask(&request(&messages, true)).await;
    let script = stage.script();
    for key in ["first_token: ", "per_token: "] {
        let value = script.split_once(key).unwrap().1.lines().next().unwrap();
        let number = value.trim_matches('"').strip_suffix("ms").unwrap();
        let milliseconds: u128 = number.parse().unwrap();
        assert!(milliseconds < PATIENCE.as_millis(), "{script}");
    }
}
