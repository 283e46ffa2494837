//! The scripts of this repository, loaded as one: no topic answers for another.

use std::path::Path;

use mock_server::{MockOptions, MockServer, read_scripts};
use serde_json::{Value, json};

use super::stage::{Stage, client};

const TOOLS: [&str; 5] = [
    "bash",
    "edit_file",
    "read_file",
    "schedule_task",
    "write_file",
];

async fn stage() -> Stage {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts");
    let server = MockServer::start(MockOptions::default()).await.unwrap();
    for script in read_scripts(&folder).unwrap() {
        server.llm().add(script).unwrap();
    }
    Stage {
        server,
        client: client(),
    }
}

fn request(messages: &[Value]) -> Value {
    let tools =
        TOOLS.map(|tool| json!({"type": "function", "function": {"name": tool, "parameters": {}}}));
    json!({"model": "gpt-5", "messages": messages, "tools": tools})
}

/// Asks again where a service breaks off, as an agent does.
async fn answer(stage: &Stage, body: &Value) -> Value {
    for _ in 0..2 {
        let request = stage.post("/v1/chat/completions").json(body);
        let Ok(response) = request.send().await else {
            continue;
        };
        let status = response.status();
        if let Ok(answer) = response.json::<Value>().await {
            assert_eq!(status, 200, "{body:#}: {answer:#}");
            return answer;
        }
    }
    panic!("no answer to {body:#}")
}

/// What the model says at last, when each of its calls gets the next of the results.
async fn said(stage: &Stage, user: &str, results: &[&str]) -> String {
    // As the agent tells what people wrote.
    let told = format!(
        "<messages>\n<message sender=\"Ada\" time=\"2026-01-05T09:00:00Z\">{user}</message>\n</messages>"
    );
    let mut messages = vec![json!({"role": "user", "content": told})];
    let mut results = results.iter();
    loop {
        let answer = answer(stage, &request(&messages)).await;
        let message = &answer["choices"][0]["message"];
        let Some(calls) = message["tool_calls"].as_array() else {
            assert_eq!(results.len(), 0, "{user}: no call in {message}");
            return message["content"].as_str().unwrap().to_owned();
        };
        messages.push(message.clone());
        for call in calls {
            let result: Value = (*results.next().unwrap()).into();
            messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": result}));
        }
    }
}

async fn check(stage: &Stage, user: &str, results: &[&str], expected: &str) {
    let said = said(stage, user, results).await;
    assert!(said.contains(expected), "{user}: {said}");
}

#[tokio::test]
async fn each_topic_of_the_scripts_is_answered_by_its_own_turns() {
    let stage = stage().await;
    let wrote = "wrote 5 bytes";
    let calls = [
        ("remember that my cat is Miso", vec![wrote], "Noted."),
        (
            "install the skill haiku",
            vec![wrote, wrote, "haiku"],
            "The skill haiku is installed.",
        ),
        (
            "write a haiku",
            vec!["Run skills/haiku/count", "4"],
            "An old silent pond",
        ),
        (
            "draft the list",
            vec![wrote, "milk\nbred", "edited list.md", "2", "milk\nbread"],
            "Two things to buy, in list.md.",
        ),
        (
            "run what is not there",
            vec!["Error: no such file"],
            "There is no such program.",
        ),
        (
            "remind me to stretch",
            vec!["scheduled"],
            "I will, every two hours.",
        ),
        ("tell Ada to stretch", vec![], "Time to stretch"),
        ("break off in a call", vec![wrote], "It is written."),
        ("good morning", vec![], "What can I do for you?"),
        ("thank you", vec![], "You are welcome."),
        ("repeat after me: so", vec![], "You said: "),
        ("say something dangerous", vec![], ""),
        // Last, since what it leaves open would answer for others.
        (
            "You are Kiki, the owl.",
            vec![wrote, wrote],
            "I am Kiki now",
        ),
    ];
    for (user, results, expected) in calls {
        check(&stage, user, &results, expected).await;
    }
    assert_eq!(stage.server.llm().unsaid(), []);
    assert_eq!(stage.server.unexpected(), []);
}
