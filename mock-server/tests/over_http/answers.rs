//! Who is answered with what.

use serde_json::{Value, json};

use super::stage::{Stage, asking, following, script};

const REPORT: &str = r##"
- id: upload
  match: "report the outage"
  response:
    content: I will save it.
    tool_calls: [{ name: write_file, arguments: { path: report.md, content: "# outage" } }]
- match: { tool_result: { name: write_file, ok: true } }
  response: { content: "Saved {{ tool.write_file.path }}." }
"##;

fn tool_called(id: &str, result: &str) -> Value {
    let arguments = json!({"path": "report.md"}).to_string();
    following(&json!([
        {"role": "user", "content": "report the outage"},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": id, "type": "function", "function": {"name": "write_file", "arguments": arguments}},
        ]},
        {"role": "tool", "tool_call_id": id, "content": result},
    ]))
}

#[tokio::test]
async fn a_tool_is_called_and_its_result_answered() {
    let stage = Stage::with(REPORT).await;

    let (status, answer) = stage.ask(&asking("please REPORT the outage")).await;
    assert_eq!(status, 200);
    insta::assert_json_snapshot!(answer);
    let id = answer["choices"][0]["message"]["tool_calls"][0]["id"]
        .as_str()
        .unwrap();

    assert_eq!(
        stage.hear(&tool_called(id, "wrote 8 bytes")).await,
        "Saved report.md."
    );
    assert!(stage.server.llm().unsaid().is_empty());
    assert!(stage.server.unexpected().is_empty());
}

#[tokio::test]
async fn a_failed_tool_is_not_one_that_went_well() {
    let stage = Stage::with(REPORT).await;
    stage.ask(&asking("report the outage")).await;
    let report = stage
        .refused(422, &tool_called("c1", "Error: disk full"))
        .await;
    assert!(
        report.contains("turn-2: tool_result of `write_file` failed"),
        "{report}"
    );
}

#[tokio::test]
async fn a_turn_is_said_once_and_the_next_that_matches_follows() {
    let stage = Stage::with(
        "[{ match: hi, response: { content: one } }, { match: hi, times: 2, response: { content: two } }]",
    )
    .await;
    let hi = asking("hi");
    let heard = [
        stage.hear(&hi).await,
        stage.hear(&hi).await,
        stage.hear(&hi).await,
    ];
    assert_eq!(heard, ["one", "two", "two"]);
    stage.refused(422, &hi).await;
}

#[tokio::test]
async fn a_turn_for_any_time_is_never_used_up_and_never_owed() {
    let stage = Stage::with("[{ times: any, response: { content: always } }]").await;
    assert!(stage.server.llm().unsaid().is_empty());
    for _ in 0..3 {
        assert_eq!(stage.hear(&asking("hi")).await, "always");
    }
}

#[tokio::test]
async fn what_was_not_said_is_owed_unless_it_is_optional() {
    let stage = Stage::with(
        "[{ id: owed, times: 2, response: { content: x } }, { optional: true, match: later, response: {} }]",
    )
    .await;
    stage.hear(&asking("hi")).await;
    let unsaid: Vec<_> = stage
        .server
        .llm()
        .unsaid()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(unsaid, ["turn `owed` (lane main) was said 1 of 2 times"]);
}

#[tokio::test]
async fn the_conversation_before_the_question_counts_too() {
    let stage = Stage::with(
        r#"
- match: { user: cat's name, system: /^You are Kai/, turn: 2, messages: { assistant: noted, user: miso } }
  response: { content: Your cat is Miso. }
"#,
    )
    .await;
    let question = following(&json!([
        {"role": "system", "content": "You are Kai."},
        {"role": "user", "content": "my cat is Miso"},
        {"role": "assistant", "content": "Noted, Miso."},
        {"role": "user", "content": "what is my cat's name?"},
        {"role": "user", "content": "<system-reminder>It is Monday.</system-reminder>"},
    ]));
    assert_eq!(stage.hear(&question).await, "Your cat is Miso.");
}

#[tokio::test]
async fn the_same_questions_get_the_same_bytes_in_every_run() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let stage = Stage::with(REPORT).await;
        let request = stage
            .post("/api/v1/chat/completions")
            .json(&asking("report the outage"));
        runs.push(request.send().await.unwrap().text().await.unwrap());
    }
    assert_eq!(runs[0], runs[1]);
}

#[tokio::test]
async fn each_dialect_has_its_models() {
    let stage = Stage::with("[]").await;
    for (path, id) in [
        ("/v1", "scripted"),
        ("/api/v1", "moonshotai/kimi-k2"),
        ("/coding/v1", "kimi-for-coding"),
    ] {
        let models = stage.get(&format!("{path}/models")).send().await.unwrap();
        assert_eq!(models.json::<Value>().await.unwrap()["data"][0]["id"], id);
    }
}

#[test]
fn turns_that_do_not_fit_together_are_refused() {
    #[track_caller]
    fn check(text: &str, expected: &str) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let stage = runtime.block_on(Stage::with("[{ id: a, optional: true, response: {} }]"));
        let fault = stage.server.llm().add(script(text)).unwrap_err();
        assert_eq!(fault.to_string(), expected);
        runtime.block_on(stage.server.join()).unwrap();
    }
    check(
        "[{ id: a, response: {} }]",
        "two turns are called `a`; each id names one turn",
    );
    check(
        "[{ lane: titel, response: {} }]",
        "turn `turn-2` is for lane `titel`, which nothing declares; lanes: main",
    );
    check(
        "{ lanes: { main: { model: x } }, turns: [] }",
        "lane `main` takes what no other lane claims and has no conditions of its own; call the lane something else",
    );
    check(
        "{ lanes: { title: {} }, turns: [] }",
        "lane `title` claims every request; give it a condition, e.g. `system`, `model`, `header` or `tools`",
    );
    check(
        "[{ lane: main, match: { lane: title }, response: {} }]",
        "turn `turn-2` names two lanes, `main` beside its match and `title` in it; keep one",
    );
}

#[tokio::test]
async fn answers_are_made_at_the_virtual_time() {
    let stage = Stage::with("[{ response: { content: hi } }]").await;
    stage
        .server
        .journal()
        .clock_moved("2026-03-01T00:00:00Z".parse().unwrap());
    let (_, answer) = stage.ask(&asking("hi")).await;
    assert_eq!(answer["created"], 1_772_323_200);
}

#[tokio::test]
async fn tools_without_a_function_and_empty_wishes_are_taken() {
    let stage = Stage::with("[{ response: { content: hi } }]").await;
    let mut body = asking("hi");
    body["tools"] = serde_json::json!([
        {"type": "custom", "custom": {"name": "patch"}},
        {"type": "web_search"},
        {"type": "function", "function": {"name": "bash"}},
    ]);
    body["models"] = Value::Null;
    body["provider"] = serde_json::json!({"order": null, "only": null, "ignore": null});
    let request = stage.post("/api/v1/chat/completions").json(&body);
    let (status, answer) = stage.json(request).await;
    assert_eq!(status, 200, "{answer}");
}
