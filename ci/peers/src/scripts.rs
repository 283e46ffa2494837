//! The same turns in the words of each peer.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde_json::{Value, json};

use crate::case::{Case, WORD};

fn turns<T: FromIterator<Value>>(case: Case, turn: impl Fn(String, String) -> Value) -> T {
    let turns = 1..=case.turns.get();
    turns
        .map(|number| turn(case.question(number), case.answer()))
        .collect()
}

fn written(folder: &Path, name: &str, text: &Value) -> io::Result<PathBuf> {
    let path = folder.join(name);
    fs::write(&path, text.to_string())?;
    Ok(path)
}

/// Ours. JSON is YAML too.
pub(crate) fn ours(folder: &Path, case: Case) -> io::Result<PathBuf> {
    let turn = |question, answer| json!({ "match": question, "times": "any", "response": { "content": answer } });
    written(folder, "script.json", &turns(case, turn))
}

/// For `stand_in.rs`.
pub(crate) fn wiremock(folder: &Path, case: Case) -> io::Result<PathBuf> {
    let turn = |question, answer| json!({ "question": question, "answer": answer, "stream": case.is_streamed });
    written(folder, "turns.json", &turns(case, turn))
}

pub(crate) fn aimock(folder: &Path, case: Case) -> io::Result<PathBuf> {
    let turn = |question, answer| json!({ "match": { "userMessage": question }, "response": { "content": answer } });
    let fixtures: Vec<_> = turns(case, turn);
    written(folder, "fixtures.json", &json!({ "fixtures": fixtures }))
}

pub(crate) fn llmposter(folder: &Path, case: Case) -> io::Result<PathBuf> {
    let turn = |question, answer| {
        let streaming = json!({ "latency": 0, "chunk_size": WORD.len() });
        json!({
            "match": { "user_message": question },
            "response": { "content": answer },
            "streaming": streaming,
        })
    };
    let fixtures: Vec<_> = turns(case, turn);
    written(folder, "fixtures.yaml", &json!({ "fixtures": fixtures }))
}

/// Its last rule that matches wins, so it looks at all of them anyway.
pub(crate) fn mock_llm(folder: &Path, case: Case) -> io::Result<PathBuf> {
    let turn = |question, answer| {
        let choice = json!({ "message": { "role": "assistant", "content": answer }, "finish_reason": "stop" });
        let document =
            json!({ "id": "c", "object": "chat.completion", "model": "m", "choices": [choice] });
        json!({
            "path": "/v1/chat/completions",
            "method": "POST",
            "match": format!("contains(body.messages[-1].content, '{question}')"),
            "response": { "status": 200, "content": document.to_string() },
        })
    };
    let rules: Vec<_> = turns(case, turn);
    let streaming = json!({ "chunkSize": WORD.len(), "chunkIntervalMs": 0 });
    let config = json!({ "streaming": streaming, "rules": rules });
    written(folder, "mock-llm.yaml", &config)
}

/// It has no turns; a template with a branch for each is what comes nearest. Streams are cut
/// at white space.
pub(crate) fn vidaimock(folder: &Path, case: Case) -> io::Result<PathBuf> {
    let branches: Vec<_> = (1..=case.turns.get())
        .map(|turn| {
            let word = if turn == 1 { "if" } else { "elif" };
            let (question, answer) = (case.question(turn), case.answer());
            format!("{{% {word} '{question}' in json.messages.0.content %}}{answer}")
        })
        .collect();
    let template = format!(
        r#"{{"id":"c","object":"chat.completion","model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"{}{{% endif %}}"}},"finish_reason":"stop"}}]}}"#,
        branches.concat()
    );
    let frame = r#"data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"{{ chunk }}"},"finish_reason":null}]}"#;
    let lifecycle = json!({
        "on_chunk": { "template_body": frame },
        "on_stop": { "template_body": "data: [DONE]" },
    });
    let provider = json!({
        "name": "turns",
        "matcher": "^/v1/chat/completions$",
        "priority": 100,
        "response_template": "turns.json.j2",
        "stream": { "enabled": true, "frame_format": "raw", "lifecycle": lifecycle },
    });
    let config = folder.join("config");
    fs::create_dir_all(config.join("providers"))?;
    fs::create_dir_all(config.join("templates"))?;
    fs::write(config.join("templates/turns.json.j2"), template)?;
    written(&config.join("providers"), "turns.yaml", &provider)?;
    Ok(config)
}

/// WireMock for Java. A stream is one body: it knows no other.
pub(crate) fn wiremock_java(folder: &Path, case: Case) -> io::Result<PathBuf> {
    let content_type = match case.is_streamed {
        true => "text/event-stream",
        false => "application/json",
    };
    let turn = |question: String, answer: String| {
        let choice = json!({ "message": { "role": "assistant", "content": answer } });
        let body = match case.is_streamed {
            true => format!("data: {}\n\n", json!({ "choices": [choice] })),
            false => json!({ "choices": [choice] }).to_string(),
        };
        json!({
            "request": { "method": "POST", "urlPath": "/v1/chat/completions", "bodyPatterns": [{ "contains": question }] },
            "response": { "status": 200, "body": body, "headers": { "content-type": content_type } },
        })
    };
    let mappings: Vec<_> = turns(case, turn);
    fs::create_dir_all(folder.join("mappings"))?;
    written(
        &folder.join("mappings"),
        "turns.json",
        &json!({ "mappings": mappings }),
    )?;
    Ok(folder.to_owned())
}
