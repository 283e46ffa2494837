//! What a client is told, and the journal too, when there is no answer for it.

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::stage::{Stage, asking, following, script};

const SCRIPT: &str = r#"
lanes: { title: { system: generate a title } }
turns:
  - { id: cat, match: my cat is Miso, response: { content: Noted. } }
  - { id: cat-name, match: { user: "cat's nam3", messages: { assistant: noted } }, response: { content: Miso. } }
  - { id: saved, match: { tool_result: { name: write_file, ok: true } }, response: { content: Saved. } }
  - { id: title, lane: title, response: { content: Cats } }
"#;

/// What the orchestrator sends.
const PROMPT: &str = "<context timezone=\"UTC\" now=\"2026-01-05T09:00:00Z\" />\n<messages>\n\
    <message sender=\"Ada\" time=\"2026-01-05T09:00:00Z\">what is my cat's name?</message>\n</messages>";

#[tokio::test]
async fn a_miss_tells_what_was_asked_and_what_came_nearest() {
    let stage = Stage::with(SCRIPT).await;
    stage.hear(&asking("my cat is Miso")).await;

    let report = stage
        .refused(
            422,
            &following(&json!([
                {"role": "system", "content": "You are Kai."},
                {"role": "user", "content": "my cat is Miso"},
                {"role": "assistant", "content": "Noted."},
                {"role": "user", "content": PROMPT},
            ])),
        )
        .await;

    insta::assert_snapshot!(report);
    let unexpected = stage.server.unexpected();
    assert_eq!(unexpected.len(), 1);
    assert_eq!(unexpected[0].report, report);
}

#[tokio::test]
async fn a_turn_that_is_used_up_is_the_nearest() {
    let stage = Stage::with(SCRIPT).await;
    stage.hear(&asking("my cat is Miso")).await;
    insta::assert_snapshot!(stage.refused(422, &asking("my cat is Miso")).await);
}

#[tokio::test]
async fn the_turn_that_is_suggested_answers() {
    let stage = Stage::with("[]").await;
    let requests = [
        asking(PROMPT),
        asking("tell me \"more\": now"),
        asking("<only><tags/>"),
        following(&json!([{"role": "system", "content": "be nice"}])),
        following(&json!([
            {"role": "user", "content": "go"},
            {"role": "assistant", "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "bash", "arguments": "{}"}},
            ]},
            {"role": "tool", "tool_call_id": "c1", "content": "error: no"},
        ])),
    ];
    for request in requests {
        let report = stage.refused(422, &request).await;
        let (_, suggested) = report.split_once("a turn that would answer it:\n").unwrap();
        stage.server.llm().add(script(suggested)).unwrap();
        assert_eq!(stage.hear(&request).await, "…");
    }
}

#[tokio::test]
async fn each_dialect_has_its_errors() {
    let stage = Stage::with("[]").await;
    let mut errors = Vec::new();
    for path in ["/v1", "/api/v1", "/moonshot/v1", "/coding/v1"] {
        let path = format!("{path}/chat/completions");
        let request = stage.post(&path).body(r#"{"messages": []}"#).send();
        let response = request.await.unwrap();
        assert_eq!(response.status(), 400);
        errors.push(response.json::<serde_json::Value>().await.unwrap());
    }
    insta::assert_json_snapshot!(errors);
}

#[tokio::test]
async fn a_request_that_a_real_server_would_refuse_is_refused() {
    let stage = Stage::with("[{ times: any, response: { tool_calls: [{ name: fly }] } }]").await;
    let report = stage.refused(400, &asking("hi")).await;
    assert_eq!(
        report,
        "turn `turn-1` calls `fly`, but the request offers bash, write_file"
    );

    let nonsense = stage
        .post("/v1/chat/completions")
        .body("{oops")
        .send()
        .await
        .unwrap();
    assert_eq!(nonsense.status(), 400);
    assert_eq!(stage.server.unexpected().len(), 2);
}

#[tokio::test]
async fn arguments_that_the_script_itself_broke_may_be_sent_back() {
    let broken = "[{ response: { tool_calls: [{ name: bash, arguments: '{broken' }] } }, { response: { content: ok } }]";
    let stage = Stage::with(broken).await;
    let (_, answer) = stage.ask(&asking("go")).await;
    let call = &answer["choices"][0]["message"]["tool_calls"][0];
    assert_eq!(call["function"]["arguments"], "{broken");

    let history = following(&json!([
        {"role": "user", "content": "go"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": "error: not JSON"},
    ]));
    assert_eq!(stage.hear(&history).await, "ok");
}

#[tokio::test]
async fn a_template_that_cannot_be_filled_is_no_answer() {
    let stage = Stage::with("[{ id: x, response: { content: '{{ tool.bash.command }}' } }]").await;
    let report = stage.refused(422, &asking("hi")).await;
    assert_eq!(
        report,
        r#"turn `x` cannot be said: the template "{{ tool.bash.command }}" cannot be filled: `tool.bash` is undefined"#
    );
    assert_eq!(stage.server.llm().unsaid().len(), 1);
}

#[tokio::test]
async fn what_nobody_serves_is_unexpected() {
    let stage = Stage::with("[]").await;
    let request = stage
        .get("/v1/audio?x=1")
        .bearer_auth("sk-live-1")
        .header("x-api-key", "k");
    let response = request.send().await.unwrap();

    assert_eq!(response.status(), 404);
    let body: serde_json::Value = response.json().await.unwrap();
    assert_eq!(body["error"]["message"], "no mock serves GET /v1/audio?x=1");
    let wrong_method = stage.get("/v1/chat/completions").send().await.unwrap();
    assert_eq!(wrong_method.status(), 404);
    assert_eq!(stage.server.unexpected().len(), 2);

    let headers = &stage.server.journal().entries()[0].fields["headers"];
    assert_eq!(headers["authorization"], "[secret]");
    assert_eq!(headers["x-api-key"], "[secret]");
}

#[tokio::test]
async fn what_is_not_http_is_unexpected() {
    let stage = Stage::with("[]").await;
    let mut socket = TcpStream::connect(stage.server.address()).await.unwrap();
    socket
        .write_all(b"\x16\x03\x01 I speak TLS\r\n\r\n")
        .await
        .unwrap();
    stage.wait_for("http.unexpected").await;
    let report = stage.server.unexpected().remove(0).report;
    assert_eq!(
        report,
        "somebody does not speak HTTP: invalid HTTP method parsed"
    );
}

#[tokio::test]
async fn a_long_conversation_is_read_and_an_endless_one_is_not() {
    let stage = Stage::with("[{ response: { content: read } }]").await;
    let mut long = asking(&"long ".repeat(1 << 20));
    // Moonshot's models take less.
    long["model"] = "gpt-5".into();
    assert_eq!(stage.hear(&long).await, "read");

    let length = (65 << 20).to_string();
    let endless = stage
        .post("/v1/chat/completions")
        .header("content-length", length)
        .body(vec![b' '; 65 << 20]);
    assert_eq!(endless.send().await.unwrap().status(), 413);
    assert_eq!(stage.server.unexpected().len(), 1);
}
