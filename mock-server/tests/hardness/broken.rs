//! Thousands of broken bodies: each gets a documented answer, and the server is well afterwards.
//!
//! The same seeds in every run. `FUZZ_SEED` begins elsewhere and `FUZZ_CASES` asks for more:
//!   FUZZ_SEED=7000 FUZZ_CASES=1 cargo nextest run -p mock-server --test hardness broken

use std::ops::Range;
use std::time::Duration;

use mock_server::{MockOptions, MockServer, yaml};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::bodies::{self, Sound};
use super::chance::Chance;
use super::connection::Connection;

#[path = "breaking.rs"]
mod breaking;

/// How many bodies are broken, unless somebody asks for more.
const CASES: u64 = 4_000;
/// How many of them are under way at once.
const CLIENTS: u64 = 4;
/// Real time for one answer; a machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a client may be told. A 500 is not among it, and neither is silence.
const DOCUMENTED: [u16; 9] = [200, 204, 400, 401, 403, 404, 413, 415, 422];

/// Answers to whatever is still a request after it was broken.
const SCRIPT: &str = r#"
- match: { tool_result: { name: bash } }
  times: any
  response: { reasoning: "So.", content: "{{ tool_result }} of {{ tool.bash.command }} 日本語" }
  stream: { chunk: 2 }
- match: look
  times: any
  response: { content: "{{ user }}", tool_calls: [{ name: bash, arguments: { command: ls } }] }
- times: any
  response: { content: "{{ user }}" }
"#;
const CHAT: &str = "/v1/chat/completions";
/// More messages than any conversation has.
const MANY: usize = 100_000;
const SOUND: &[u8] =
    br#"{"model":"kimi-k2","messages":[{"role":"user","content":"still there?"}]}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_bodies_get_a_documented_answer() {
    let server = MockServer::start(MockOptions::default()).await.unwrap();
    let first = number("FUZZ_SEED").unwrap_or(1);
    let cases = number("FUZZ_CASES").unwrap_or(CASES);

    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let share = first + cases * client / CLIENTS..first + cases * (client + 1) / CLIENTS;
        let (address, sound) = (server.address(), bodies::all());
        server.llm().add(script()).unwrap();
        clients.spawn(async move { send(share, &sound, &mut Connection::to(address)).await });
    }
    let mut told = [0_u64; 600];
    while let Some(statuses) = clients.join_next().await {
        for status in statuses.unwrap() {
            told[usize::from(status)] += 1;
        }
    }
    assert_eq!(told.iter().sum::<u64>(), cases);
    // Otherwise nothing was broken, or nothing was left whole enough to be looked into. A few
    // bodies have no shares.
    if cases >= CASES {
        assert!(told[200] > cases / 50, "{} answers", told[200]);
        assert!(told[400] > cases / 20, "{} refusals", told[400]);
    }

    is_well(server).await;
}

#[tokio::test]
async fn a_hundred_thousand_messages_are_a_conversation() {
    let server = MockServer::start(MockOptions::default()).await.unwrap();
    server.llm().add(script()).unwrap();
    let messages = vec![json!({"role": "user", "content": "and"}); MANY];
    // Not Moonshot's, which takes no more than two megabytes.
    let body = json!({"model": "gpt-5", "messages": messages}).to_string();
    let mut connection = Connection::to(server.address());
    let answer = connection.post(CHAT, "application/json", body.as_bytes());
    let answer = answer.await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    is_well(server).await;
}

/// It answers a sound request, and ends without a panic.
async fn is_well(server: MockServer) {
    let mut connection = Connection::to(server.address());
    server.llm().add(script()).unwrap();
    let answer = connection.post(CHAT, "application/json", SOUND);
    let answer = answer.await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body.contains("still there?"), "{answer:?}");
    drop(connection);
    server.join().await.unwrap();
}

/// Sends the bodies of these seeds one after the other; what the server said to each.
async fn send(seeds: Range<u64>, sound: &[Sound], connection: &mut Connection) -> Vec<u16> {
    let mut statuses = Vec::new();
    for seed in seeds {
        let mut chance = Chance::new(seed);
        let model = chance.one_of(sound);
        let body = breaking::broken(model.body.as_bytes(), &mut chance);
        let asked = connection.post(model.path, model.content_type, &body);
        let complaint = match timeout(PATIENCE, asked).await {
            Ok(Ok(answer)) if DOCUMENTED.contains(&answer.status) => {
                statuses.push(answer.status);
                continue;
            }
            Ok(Ok(answer)) => format!("{answer:?} is not documented"),
            Ok(Err(fault)) => format!("not an answer: {fault}"),
            Err(_) => format!("no answer within {PATIENCE:?}"),
        };
        let shown = String::from_utf8_lossy(&body[..body.len().min(2_000)]).into_owned();
        panic!(
            "FUZZ_SEED={seed}: POST {}: {complaint}\n{shown}",
            model.path
        );
    }
    statuses
}

fn script() -> mock_server::Script {
    yaml::read("script.yaml", SCRIPT).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var_os(variable)?.into_string().unwrap();
    Some(text.parse().unwrap())
}
