//! Turns that another agent plays: what it tells, as we tell it.

use serde_json::{Value, json};

use crate::double::{Double, heard};
use crate::stage::{KEY, Stage, Told};

async fn play(agent: Double) -> (Stage, Told) {
    let stage = Stage::for_agent(&agent);
    let told = stage.ask("hi").await;
    (stage, told)
}

/// The events without their types, less the first and the last.
#[track_caller]
fn middle(told: &Told) -> &[Value] {
    assert_eq!(told.code, Some(0), "{told:#?}");
    assert_eq!(told.events[0]["sessionId"], "s1", "{told:#?}");
    assert_eq!(told.session(), "s1");
    &told.events[1..told.events.len() - 1]
}

fn tool_call(id: &str, title: &str) -> Value {
    json!({"sessionUpdate": "tool_call", "toolCallId": id, "title": title, "status": "pending"})
}

fn tool_update(id: &str, fields: &Value) -> Value {
    let mut update = json!({"sessionUpdate": "tool_call_update", "toolCallId": id});
    for (name, value) in fields.as_object().unwrap() {
        update[name] = value.clone();
    }
    update
}

#[tokio::test]
async fn pieces_of_text_become_one_answer() {
    let (stage, told) = play(
        Double::asked()
            .writes("Hello ")
            .writes("Ada.")
            .tells(&json!({"sessionUpdate": "usage_update", "used": 2115, "size": 262_144}))
            .ends("end_turn"),
    )
    .await;
    let usage =
        json!({"type": "usage", "promptTokens": 2115, "completionTokens": 0, "cachedTokens": 0});
    let text = json!({"type": "text", "text": "Hello Ada."});
    assert_eq!(middle(&told), [usage, text]);
    let heard = heard(&stage);
    let methods: Vec<&Value> = heard.iter().map(|message| &message["method"]).collect();
    assert_eq!(methods, ["initialize", "session/new", "session/prompt"]);
    assert_eq!(
        heard[1]["params"]["cwd"],
        stage.path("group").display().to_string()
    );
    let server = &heard[1]["params"]["mcpServers"][0];
    assert_eq!(server["name"], "nanokimi");
    assert_eq!(server["args"], json!(["mcp"]));
}

#[tokio::test]
async fn a_text_before_a_tool_call_is_interim_and_calls_are_told_whole() {
    let shown =
        |text: &str| json!([{"type": "content", "content": {"type": "text", "text": text}}]);
    let (_stage, told) = play(
        Double::asked()
            .writes("I will write.")
            .tells(&tool_call("0:Write:0", "Write"))
            .tells(&tool_update(
                "0:Write:0",
                &json!({"status": "in_progress", "content": shown("{\"pa")}),
            ))
            .tells(&tool_update(
                "0:Write:0",
                &json!({"title": "Writing a.md", "rawInput": {"path": "a.md"}}),
            ))
            .tells(&tool_update(
                "0:Write:0",
                &json!({"status": "completed", "rawOutput": "Wrote 2 bytes"}),
            ))
            .tells(&tool_call("0:Bash:1", "Bash"))
            .tells(&tool_update(
                "0:Bash:1",
                &json!({"content": shown("{\"command\": 7}")}),
            ))
            .tells(&tool_update(
                "0:Bash:1",
                &json!({"status": "failed", "content": shown(&format!("no: {KEY}"))}),
            ))
            .writes("Done.")
            .ends("end_turn"),
    )
    .await;
    let expected = [
        json!({"type": "text", "text": "I will write.", "interim": true}),
        json!({"type": "tool_call", "id": "0:Write:0", "name": "Write", "arguments": {"path": "a.md"}}),
        json!({"type": "tool_result", "id": "0:Write:0", "name": "Write", "ok": true, "output": "Wrote 2 bytes"}),
        json!({"type": "tool_call", "id": "0:Bash:1", "name": "Bash", "arguments": {"command": 7}}),
        json!({"type": "tool_result", "id": "0:Bash:1", "name": "Bash", "ok": false, "output": "no: [secret]"}),
        json!({"type": "text", "text": "Done."}),
    ];
    assert_eq!(middle(&told), expected);
}

/// Plays a turn in which the agent asks us something; returns our answer.
async fn answer_to(method: &str, params: Value) -> Value {
    let question = json!({"jsonrpc": "2.0", "id": "q", "method": method, "params": params});
    let (stage, told) = play(
        Double::asked()
            .says(&question)
            .hears_answer()
            .writes("Done.")
            .ends("end_turn"),
    )
    .await;
    assert_eq!(told.answers(), ["Done."], "{told:#?}");
    let answer = heard(&stage).swap_remove(3);
    assert_eq!(answer["id"], "q");
    answer
}

async fn check_permission(options: &[(&str, &str)], chosen: &str) {
    let option = |(id, kind): &(&str, &str)| json!({"optionId": id, "name": id, "kind": kind});
    let options: Vec<Value> = options.iter().map(option).collect();
    let params = json!({"sessionId": "s1", "options": options, "toolCall": {"toolCallId": "t"}});
    let answer = answer_to("session/request_permission", params).await;
    let outcome = json!({"outcome": "selected", "optionId": chosen});
    assert_eq!(answer["result"]["outcome"], outcome);
}

#[tokio::test]
async fn every_permission_is_given_once_and_nothing_is_chosen_for_people() {
    let always = ("always", "allow_always");
    let (once, no) = (("once", "allow_once"), ("no", "reject_once"));
    check_permission(&[no, always, once], "once").await;
    check_permission(&[no, always], "always").await;
    let tea_or_coffee = [("tea", "allow_once"), ("coffee", "allow_once")];
    check_permission(&[tea_or_coffee[0], tea_or_coffee[1], no], "no").await;
}

#[tokio::test]
async fn neither_our_files_nor_our_terminals_are_offered() {
    let params = json!({"sessionId": "s1", "path": "/etc/passwd"});
    let answer = answer_to("fs/read_text_file", params).await;
    assert_eq!(answer["error"]["code"], -32601);
}

#[tokio::test]
async fn what_is_no_message_is_passed_over() {
    let (_stage, told) = play(
        Double::greeted()
            .prints("Welcome to Kimi!")
            .prints(r#"{"jsonrpc":"2.0","method":"session/update","params":{"update":{"sessionUpdate":"new"}}}"#)
            .prints(r#"{"jsonrpc":"2.0","id":77,"result":null}"#)
            // Longer than any line that is kept.
            .runs("head -c 20000000 /dev/zero | tr '\\0' x; echo")
            .hears("session/new")
            .answers(2, &json!({"sessionId": "s1"}))
            .hears("session/prompt")
            .prints("\u{1b}[31mwarning\u{1b}[0m")
            .writes("Fine.")
            .ends("end_turn"),
    )
    .await;
    assert_eq!(told.answers(), ["Fine."], "{told:#?}");
    assert!(told.stderr.contains("a line of the agent is too long"));
    assert!(told.stderr.contains("Welcome to Kimi!"));
}

#[tokio::test]
async fn a_command_may_set_variables_for_the_agent() {
    let agent = Double::asked()
        .runs("echo \"$FOO\" >environment")
        .writes("Hi.")
        .ends("end_turn");
    let stage = Stage::for_agent(&agent);
    let command = format!("FOO='a b' bash {}", stage.path("agent.sh").display());
    let stage = stage.with("NANOKIMI_ACP_COMMAND", &command);
    let told = stage.ask("hi").await;
    assert_eq!(told.answers(), ["Hi."], "{told:#?}");
    assert_eq!(stage.read("environment"), "a b\n");
}

#[tokio::test]
async fn the_agent_gets_the_key_and_nothing_else_of_ours() {
    let agent = Double::asked()
        .runs("env >environment")
        .writes("Hi.")
        .ends("end_turn");
    let stage = Stage::for_agent(&agent)
        .with("GITHUB_TOKEN", "t")
        .with("NANOKIMI_MAX_STEPS", "7");
    let told = stage.ask("hi").await;
    assert_eq!(told.answers(), ["Hi."], "{told:#?}");
    let environment = stage.read("environment");
    for line in [
        &format!("KIMI_MODEL_API_KEY={KEY}"),
        "KIMI_MODEL_NAME=kimi-test",
        "KIMI_MODEL_BASE_URL=http://model.test/v1",
        "KIMI_MODEL_PROVIDER_TYPE=kimi",
        "KIMI_DISABLE_TELEMETRY=1",
        "KIMI_CODE_NO_AUTO_UPDATE=1",
        "KIMI_LOOP_MAX_STEPS_PER_TURN=7",
        &format!("KIMI_CODE_HOME={}", stage.path("home/.kimi-code").display()),
    ] {
        assert!(
            environment.lines().any(|found| found == line),
            "{line} in {environment}"
        );
    }
    assert!(!environment.contains("GITHUB_TOKEN"));
    assert!(!environment.contains("NANOKIMI_"));
}

#[tokio::test]
async fn the_agents_log_tells_what_each_request_has_cost() {
    let usage = |input: u64| json!({"type": "usage.record", "usage": {"inputOther": input, "output": 3, "inputCacheRead": 5, "inputCacheCreation": 0}});
    let (_stage, told) = play(
        Double::asked()
            .logs(&usage(10))
            .logs(&usage(20))
            .logs(&json!({"type": "context.append_loop_event", "event": {"type": "step.end", "finishReason": "max_tokens"}}))
            .writes("Half an ans")
            .ends("end_turn"),
    )
    .await;
    let counts = |prompt: u64| json!({"type": "usage", "promptTokens": prompt, "completionTokens": 3, "cachedTokens": 5});
    assert_eq!(middle(&told)[..2], [counts(15), counts(25)]);
    assert_eq!(
        told.answers(),
        ["Half an ans\n\n[The answer was cut off at the model's output limit.]"]
    );
}

#[tokio::test]
async fn what_an_attempt_that_broke_off_has_said_is_no_part_of_the_answer() {
    let event = |event: Value| json!({"type": "context.append_loop_event", "event": event});
    let part =
        |text: &str| event(json!({"type": "content.part", "part": {"type": "text", "text": text}}));
    let begin = event(json!({"type": "step.begin"}));
    let (_stage, told) = play(
        Double::asked()
            .writes("partial te")
            .logs(&begin)
            .logs(&part("partial te"))
            .writes("recovered fine")
            .logs(&begin)
            .logs(&part("recovered fine"))
            .ends("end_turn"),
    )
    .await;
    assert_eq!(told.answers(), ["recovered fine"], "{told:#?}");
}
