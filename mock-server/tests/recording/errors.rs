//! Errors of a service are turns as well, in the words of a fault.

use mock_server::{check_drift, read_scripts};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::canned::Canned;
use super::stage::{PATIENCE, Stage, asking, client, mock, request, script};

const SERVICE: &str = r"
- { match: hi, fault: { status: 429, headers: { retry-after: 7 } }, response: { content: Hello. } }
- { match: broke, fault: { status: 402, message: Out of credits. } }
- { match: page, fault: { html: 502 } }
- { match: odd, fault: { status: 503, body: { error: made up, hint: [1, 2] } } }
- { match: text, fault: { status: 500, body: out of order } }
- { match: late, fault: { error: { type: provider_overloaded, message: Try again. } } }
";

/// Status, `retry-after` and body of an answer.
async fn ask(url: &str, user: &str, stream: bool) -> (u16, Option<String>, String) {
    let body = request(&json!([{ "role": "user", "content": user }]), stream);
    let asking = client().post(url).bearer_auth("any").json(&body);
    let response = timeout(PATIENCE, asking.send()).await.unwrap().unwrap();
    let retry_after = response.headers().get("retry-after");
    let retry_after = retry_after.map(|value| value.to_str().unwrap().to_owned());
    let status = response.status().as_u16();
    (status, retry_after, response.text().await.unwrap())
}

/// Records each question with its answer, and has them asked and answered again.
async fn check(path: &str, users: &[&str], stream: bool) -> Value {
    let service = mock(vec![script(SERVICE)]).await;
    let stage = Stage::before(&service.url()).await;
    let mut originals = Vec::new();
    for user in users {
        originals.push(ask(&format!("{}{path}", stage.url), user, stream).await);
    }
    let replaying = mock(read_scripts(&stage.path()).unwrap()).await;
    for (user, (status, retry_after, body)) in users.iter().zip(originals) {
        let replayed = ask(&format!("{}{path}", replaying.url()), user, stream).await;
        let told = stage.script();
        assert_eq!(
            (replayed.0, &replayed.1),
            (status, &retry_after),
            "{user}: {told}"
        );
        // What is well, or began well, has ids.
        if status != 200 {
            assert_eq!(replayed.2, body, "{user}: {told}");
        }
    }
    assert_eq!(replaying.llm().unsaid(), [], "{path}");
    assert_eq!(replaying.unexpected(), [], "{path}");
    let scripts = read_scripts(&stage.path()).unwrap();
    let drifts = check_drift(&stage.exchanges(), scripts).await.unwrap();
    assert_eq!(drifts, [], "{path}");
    let (recorded, folder) = stage.stop().await;
    assert_eq!(recorded.refused, [], "{path}");
    let script = fs_err::read_to_string(folder.path().join("recorded.yaml")).unwrap();
    mock_server::yaml::read("recorded.yaml", &script).unwrap()
}

const USERS: [&str; 7] = ["hi", "hi", "broke", "page", "odd", "text", "late"];

#[tokio::test]
async fn errors_are_recorded_and_replayed_in_every_dialect_of_chat() {
    for path in ["/api/v1", "/openai/v1", "/moonshot/v1", "/coding/v1"] {
        for stream in [false, true] {
            check(&format!("{path}/chat/completions"), &USERS, stream).await;
        }
    }
}

#[tokio::test]
async fn only_what_the_service_says_otherwise_is_written_down() {
    let turns = check("/api/v1/chat/completions", &USERS, true).await;
    let faults: Vec<&Value> = (0..7).map(|place| &turns[place]["fault"]).collect();
    let limited = json!({ "status": 429, "headers": { "retry-after": "7" } });
    assert_eq!(*faults[0], limited);
    assert_eq!(
        (faults[1], &turns[1]["response"]["content"]),
        (&Value::Null, &json!("Hello."))
    );
    assert_eq!(
        *faults[2],
        json!({ "status": 402, "message": "Out of credits." })
    );
    assert_eq!(*faults[3], json!({ "html": 502 }));
    assert_eq!(
        faults[4]["body"],
        json!({ "error": "made up", "hint": [1, 2] })
    );
    assert_eq!(*faults[5], json!({ "status": 500, "body": "out of order" }));
    let late = json!({ "after": 0, "type": "provider_overloaded", "message": "Try again." });
    assert_eq!(faults[6]["error"], late);
}

#[tokio::test]
async fn an_error_with_status_200_is_kept_as_it_was_where_no_word_says_it() {
    let turns = check("/openai/v1/chat/completions", &["late"], false).await;
    assert_eq!(turns[0]["fault"]["error"]["message"], "Try again.");
    let odd = json!({ "error": "busy", "queue": 7 });
    let body = odd.to_string();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let service = Canned::saying(&answer).await;
    let stage = Stage::before(&service.url).await;
    assert_eq!(stage.ask(&asking("hi")).await, (200, body));
    let turns: Value = mock_server::yaml::read("recorded.yaml", &stage.script()).unwrap();
    assert_eq!(turns[0]["fault"], json!({ "status": 200, "body": odd }));
}

#[tokio::test]
async fn a_key_that_an_error_quotes_is_masked() {
    let error =
        json!({ "error": { "message": "no such key: sk-or-v1-0123456789abcdef0123456789abcdef" } });
    let error = error.to_string();
    let answer = format!(
        "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{error}",
        error.len()
    );
    let service = Canned::saying(&answer).await;
    let stage = Stage::before(&service.url).await;
    assert_eq!(stage.ask(&asking("hi")).await.0, 401);
    let script = stage.script();
    assert!(script.contains("status: 401"), "{script}");
    assert!(!script.contains("0123456789abcdef"), "{script}");
}
