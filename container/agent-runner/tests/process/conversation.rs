//! Turns that go well, and what the next one knows of them.

use serde_json::{Value, json};

use crate::model::{Model, Reply, finish_frame, text_frame};
use crate::stage::{KEY, Stage, ask};

#[tokio::test]
async fn an_answer_is_told_after_its_session_and_before_its_result() {
    let model = Model::start([Reply::says("4")]).await;
    let told = Stage::for_model(&model).ask("What is 2+2?").await;

    assert_eq!(told.story(), "session text result");
    assert_eq!(told.answers(), ["4"]);
    assert_eq!(told.code, Some(0));
    assert_eq!(told.events[0]["sessionId"], told.session());
    assert_eq!(told.events[0]["resumed"], false);
}

#[tokio::test]
async fn a_request_is_what_the_endpoint_expects() {
    let model = Model::start([Reply::says("ok")]).await;
    let told = Stage::for_model(&model).ask("hi").await;

    let asked = &model.asked()[0];
    assert_eq!(asked["model"], "kimi-test");
    assert_eq!(asked["stream"], true);
    assert_eq!(asked["stream_options"], json!({"include_usage": true}));
    assert_eq!(asked["prompt_cache_key"], told.session());
    assert_eq!(asked["messages"][0]["role"], "system");
    assert_eq!(
        asked["messages"][1],
        json!({"role": "user", "content": "hi"})
    );
    assert_eq!(asked["tools"][0]["function"]["name"], "bash");
}

#[tokio::test]
async fn a_resumed_session_carries_the_whole_conversation() {
    let thinking = json!({"choices": [{"delta": {"reasoning_content": "look"}}]});
    let call = json!({"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "c0",
        "function": {"name": "bash", "arguments": "{\"command\":\"echo Miso\"}"}}]}}]});
    let model = Model::start([
        Reply::frames(&[thinking, call, finish_frame("tool_calls")]),
        Reply::says("Noted, Miso."),
        Reply::says("Your cat is Miso."),
    ])
    .await;
    let stage = Stage::for_model(&model);
    let first = stage.ask("my cat is Miso").await;
    let second = stage.go_on(&first, "what is my cat's name?").await;

    assert_eq!(second.events[0]["resumed"], true);
    assert_eq!(second.session(), first.session());
    let function = json!({"name": "bash", "arguments": "{\"command\":\"echo Miso\"}"});
    assert_eq!(
        model.asked()[2]["messages"].as_array().unwrap()[1..],
        [
            json!({"role": "user", "content": "my cat is Miso"}),
            json!({"role": "assistant", "reasoning_content": "look",
                "tool_calls": [{"id": "c0", "type": "function", "function": function}]}),
            json!({"role": "tool", "tool_call_id": "c0", "content": "exit code 0\nMiso\n"}),
            json!({"role": "assistant", "content": "Noted, Miso."}),
            json!({"role": "user", "content": "what is my cat's name?"}),
        ]
    );
}

#[tokio::test]
async fn openrouter_gets_a_models_thoughts_back_under_its_own_name() {
    let thinking = json!({"choices": [{"delta": {"reasoning": "hm"}}]});
    let model = Model::start([
        Reply::frames(&[thinking, text_frame("a"), finish_frame("stop")]),
        Reply::says("b"),
    ])
    .await;
    let stage = Stage::for_model(&model);
    fs_err::write(stage.path("env"), "OPENROUTER_API_KEY='sk-or'\n").unwrap();
    let first = stage.ask("one").await;
    stage.go_on(&first, "two").await;

    assert_eq!(
        model.asked()[1]["messages"][2],
        json!({"role": "assistant", "content": "a", "reasoning": "hm"})
    );
}

#[tokio::test]
async fn a_session_that_is_gone_is_told_before_the_model_is_asked() {
    let model = Model::start([]).await;
    let stage = Stage::for_model(&model);
    for id in ["0c1e", "../../group"] {
        let told = stage.turn(&ask("hi", Some(id))).await;
        assert_eq!(told.story(), "error");
        assert_eq!(told.error()["kind"], "session_not_found");
        assert_eq!(told.error()["retryable"], true);
    }
    assert_eq!(model.asked(), Vec::<Value>::new());
}

#[tokio::test]
async fn text_beside_a_tool_call_is_interim_and_an_empty_end_is_silent() {
    let call = json!({"choices": [{"delta": {"content": "Looking…", "tool_calls": [{"index": 0,
        "id": "c0", "function": {"name": "list_tasks", "arguments": ""}}]}}]});
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 1}});
    let model = Model::start([
        Reply::frames(&[call, finish_frame("tool_calls"), usage]),
        Reply::frames(&[finish_frame("stop")]),
    ])
    .await;
    let told = Stage::for_model(&model).ask("hi").await;

    assert_eq!(
        told.story(),
        "session usage text tool_call tool_result result"
    );
    assert_eq!(
        told.events[2],
        json!({"type": "text", "text": "Looking…", "interim": true})
    );
    assert_eq!(told.events[4]["output"], "No scheduled tasks found.");
}

#[tokio::test]
async fn the_system_prompt_holds_the_groups_pages_in_every_turn() {
    let model = Model::start([Reply::says("a"), Reply::says("b")]).await;
    let stage = Stage::for_model(&model);
    fs_err::write(stage.path("group/BOOTSTRAP.md"), "ask for a name").unwrap();
    let first = stage.ask("one").await;
    fs_err::remove_file(stage.path("group/BOOTSTRAP.md")).unwrap();
    fs_err::write(stage.path("group/IDENTITY.md"), "You are Mo.").unwrap();
    stage.go_on(&first, "two").await;

    let system = |turn: usize| model.asked()[turn]["messages"][0]["content"].to_string();
    assert!(system(0).contains("ask for a name"), "{}", system(0));
    assert!(!system(1).contains("ask for a name"), "{}", system(1));
    assert!(system(1).contains("You are Mo."), "{}", system(1));
}

#[tokio::test]
async fn a_scheduled_prompt_says_that_nobody_wrote_it() {
    let model = Model::start([Reply::says("done")]).await;
    let stage = Stage::for_model(&model);
    stage
        .turn(r#"{"prompt":"brief me","isScheduledTask":true}"#)
        .await;

    let prompt = &model.last_messages()[0];
    assert!(prompt.starts_with("[SCHEDULED TASK - ") && prompt.ends_with("\n\nbrief me"));
}

#[tokio::test]
async fn a_turn_that_cannot_begin_says_why() {
    let model = Model::start([]).await;
    let stage = Stage::for_model(&model);
    let told = stage.turn("What is 2+2?").await;
    assert_eq!(told.error()["kind"], "input");

    fs_err::write(stage.path("env"), "").unwrap();
    let told = stage.ask("hi").await;
    assert_eq!(told.error()["kind"], "config");
    let message = told.error()["message"].as_str().unwrap();
    assert!(
        message.contains("put one into the orchestrator's `.env`"),
        "{message}"
    );
}

#[tokio::test]
async fn the_key_reaches_neither_tools_nor_anything_that_is_told() {
    let leak = json!({"command": "env; cat ../env"});
    let quote = json!({"error": {"message": format!("bad key {KEY}")}}).to_string();
    let model = Model::start([
        Reply::calls(&[("bash", leak)]),
        Reply::status("401 Unauthorized", "", &quote),
    ])
    .await;
    let stage = Stage::for_model(&model).with("MOONSHOT_API_KEY", KEY);
    let told = stage.ask("hi").await;

    let output = told.outputs()[0];
    assert!(output.contains("MOONSHOT_API_KEY='[secret]'"), "{output}");
    assert!(
        output.contains("HOME=") && !output.contains("NANOKIMI_"),
        "{output}"
    );
    assert_eq!(told.error()["kind"], "auth");
    let everything = format!("{told:?} {:?}", model.asked());
    assert!(!everything.contains(KEY), "{everything}");
}

#[tokio::test]
async fn a_turn_without_an_end_is_ended() {
    let again = || Reply::calls(&[("list_tasks", json!({}))]);
    let model = Model::start([again(), again(), again()]).await;
    let told = Stage::for_model(&model)
        .with("NANOKIMI_MAX_STEPS", "2")
        .ask("hi")
        .await;

    assert_eq!(told.error()["kind"], "too_many_steps");
    assert_eq!(model.asked().len(), 2);
}
