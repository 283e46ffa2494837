//! Conversations that go on beside each other do not take each other's turns.

use serde_json::{Value, json};

use super::stage::{Stage, asking, following, script};

const SCRIPT: &str = "
lanes:
  title: { system: generate a title }
  small: { model: mini, header: aside }
turns:
  - { response: { content: chat } }
  - { lane: title, response: { content: title } }
  - { match: { lane: small }, response: { content: aside } }
";

#[tokio::test]
async fn a_request_is_answered_in_the_lane_that_claims_it() {
    let stage = Stage::with(SCRIPT).await;
    let titled = following(&json!([
        {"role": "system", "content": "Generate a TITLE for this."},
        {"role": "user", "content": "hi"},
    ]));
    assert_eq!(stage.hear(&titled).await, "title");

    let mut small = asking("hi");
    small["model"] = "kimi-mini".into();
    assert_eq!(
        heard_with(&stage, &[("x-lane", "aside")], &small).await,
        "aside"
    );

    // Without the header the rule does not hold.
    assert_eq!(stage.hear(&small).await, "chat");
}

/// What is said to a request with these headers.
async fn heard_with(stage: &Stage, headers: &[(&str, &str)], body: &Value) -> String {
    let request = stage.post("/v1/chat/completions").json(body);
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    let content = answer["choices"][0]["message"]["content"].as_str();
    content.unwrap_or_else(|| panic!("{answer:#}")).to_owned()
}

/// In the lane with this rule; and not without what makes the difference.
async fn check(rule: &str, headers: &[(&str, &str)], claimed: &Value, other: &Value) {
    let script = format!(
        "{{ lanes: {{ side: {rule} }}, turns: [{{ lane: side, response: {{ content: side }} }}, {{ times: any, response: {{ content: main }} }}] }}"
    );
    let stage = Stage::with(&script).await;
    assert_eq!(stage.hear(other).await, "main", "{rule}");
    assert_eq!(heard_with(&stage, headers, claimed).await, "side", "{rule}");
}

#[tokio::test]
async fn a_lane_is_known_by_headers_and_by_the_key() {
    let hi = asking("hi");
    let agent = ("user-agent", "kimi-code-cli/2.1.0");
    check("{ header: { User-Agent: KIMI-code } }", &[agent], &hi, &hi).await;
    check(
        "{ header: { x-run: /^run-9$/ } }",
        &[("x-run", "run-9")],
        &hi,
        &hi,
    )
    .await;
    let bearer = ("authorization", "Bearer sk-title");
    check("{ key: sk-title }", &[bearer], &hi, &hi).await;
    check("{ key: sk-t…le }", &[bearer], &hi, &hi).await;
    let header = [("authorization", ""), ("x-api-key", "sk-title")];
    check("{ key: sk-title }", &header, &hi, &hi).await;
}

#[tokio::test]
async fn a_lane_is_known_by_what_is_and_is_not_offered() {
    let all = asking("hi");
    let mut fewer = asking("hi");
    fewer["tools"] = json!([all["tools"][0]]);
    check("{ tools: { lacks: [write_file] } }", &[], &fewer, &all).await;
    check("{ tools: { has: [bash, write_file] } }", &[], &all, &fewer).await;
}

#[tokio::test]
async fn a_lane_is_known_by_its_first_and_last_user_text() {
    let both = following(&json!([
        {"role": "user", "content": "<system-reminder>It is Monday.</system-reminder>"},
        {"role": "user", "content": "research cats"},
        {"role": "assistant", "content": "done"},
        {"role": "user", "content": "Create a handoff summary"},
    ]));
    check("{ first_user: /^research/ }", &[], &both, &asking("hi")).await;
    check(
        "{ user: handoff summary }",
        &[],
        &both,
        &asking("research cats"),
    )
    .await;
}

#[tokio::test]
async fn a_lane_is_known_by_the_conversation() {
    let named = |key: &str| {
        let mut body = asking("hi");
        body[key] = "session-7".into();
        body
    };
    for key in ["prompt_cache_key", "session_id", "user"] {
        check(
            "{ conversation: session-7 }",
            &[],
            &named(key),
            &asking("hi"),
        )
        .await;
    }
    let header = [("x-session-id", "session-7")];
    check(
        "{ conversation: session-7 }",
        &header,
        &asking("hi"),
        &asking("hi"),
    )
    .await;
}

#[tokio::test]
async fn the_key_of_a_lane_is_never_written_down() {
    let stage = Stage::with(
        "{ lanes: { side: { key: sk-title } }, turns: [{ response: { content: hi } }] }",
    )
    .await;
    stage.hear(&asking("I have sk-title here")).await;
    let entries = stage.server.journal().entries();
    let shown = serde_json::to_string(&*entries[0]).unwrap();
    assert!(shown.contains("I have [secret] here"), "{shown}");
    assert!(!shown.contains("sk-title"), "{shown}");
}

const EACH: &str = "
lanes: { main: { per: conversation } }
turns:
  - { response: { content: one, tool_calls: [{ name: bash }] } }
  - { id: two, match: { turn: 1 }, response: { content: two } }
";

fn of(conversation: &str) -> Value {
    let mut body = asking("hi");
    body["prompt_cache_key"] = conversation.into();
    body
}

/// What is owed now, a line each.
fn owed(stage: &Stage) -> Vec<String> {
    let unsaid = stage.server.llm().unsaid();
    unsaid.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn each_conversation_can_have_the_turns_for_itself() {
    let stage = Stage::with(EACH).await;
    // Owed already, though nobody came.
    assert_eq!(owed(&stage).len(), 2);
    for (conversation, heard) in [("a", "one"), ("b", "one"), ("a", "two")] {
        assert_eq!(stage.hear(&of(conversation)).await, heard, "{conversation}");
    }
    assert_eq!(
        owed(&stage),
        ["turn `two` (lane main, conversation `b`) was said 0 of 1 times"]
    );
    let told = stage.refused(422, &of("a")).await;
    assert!(
        told.contains("two: would answer, but was said once already"),
        "{told}"
    );

    // A script that comes later is for those who are there already too.
    let llm = stage.server.llm();
    llm.add(script("[{ response: { content: three } }]"))
        .unwrap();
    assert_eq!(stage.hear(&of("a")).await, "three");
    assert_eq!(stage.hear(&of("b")).await, "two");
    assert_eq!(stage.hear(&of("b")).await, "three");
    assert!(owed(&stage).is_empty());
}

#[tokio::test]
async fn answers_to_different_conversations_have_ids_of_their_own() {
    let stage = Stage::with(EACH).await;
    let (_, a) = stage.ask(&of("a")).await;
    let (_, b) = stage.ask(&of("b")).await;
    assert_ne!(a["id"], b["id"]);
}

#[tokio::test]
async fn who_does_not_name_its_conversation_is_told_how() {
    let stage = Stage::with(EACH).await;
    let told = stage.refused(422, &asking("hi")).await;
    assert_eq!(
        told,
        "lane `main` is per conversation, and this request does not say which it is of; send `prompt_cache_key`, `session_id`, `user` or the header `x-session-id`"
    );
}

#[tokio::test]
async fn a_lane_says_something_otherwise_and_eats_no_turn() {
    let stage = Stage::with(
        "
lanes:
  title: { system: generate a title, otherwise: { content: A chat } }
turns:
  - { response: { content: chat } }
  - { lane: title, match: cats, response: { content: Cats } }
",
    )
    .await;
    let titled = |text: &str| {
        following(&json!([
            {"role": "system", "content": "Generate a title."},
            {"role": "user", "content": text},
        ]))
    };
    for (text, title) in [("hi", "A chat"), ("cats", "Cats"), ("cats", "A chat")] {
        assert_eq!(stage.hear(&titled(text)).await, title);
    }
    // Behind the turns that come later, too.
    let later = "{ lanes: { title: { system: generate a title, otherwise: { content: A chat } } }, turns: [{ lane: title, response: { content: Later } }] }";
    stage.server.llm().add(script(later)).unwrap();
    assert_eq!(stage.hear(&titled("hi")).await, "Later");
    assert_eq!(stage.hear(&titled("hi")).await, "A chat");
    assert_eq!(stage.hear(&asking("hi")).await, "chat");
    assert!(owed(&stage).is_empty());
}

#[tokio::test]
async fn the_turns_of_a_lane_start_over_when_all_were_said() {
    let turns = "turns: [{ response: { content: one } }, { times: 2, response: { content: two } }, { optional: true, match: aside, response: { content: aside } }]";
    let round = ["one", "two", "two"];

    let stage = Stage::with(&format!(
        "{{ lanes: {{ main: {{ repeat: 2 }} }}, {turns} }}"
    ))
    .await;
    for heard in round.iter().chain(&round[..1]) {
        assert_eq!(stage.hear(&asking("hi")).await, *heard);
    }
    assert_eq!(
        owed(&stage),
        ["turn `turn-2` (lane main) was said 2 of 4 times"]
    );
    for heard in &round[1..] {
        assert_eq!(stage.hear(&asking("hi")).await, *heard);
    }
    assert!(owed(&stage).is_empty());
    stage.refused(422, &asking("hi")).await;
}

#[tokio::test]
async fn any_number_of_rounds_may_be_none_but_one_that_was_begun_is_owed() {
    let stage = Stage::with(
        "{ lanes: { main: { repeat: any } }, turns: [{ response: { content: one } }, { response: { content: two } }] }",
    )
    .await;
    assert!(owed(&stage).is_empty());
    for _ in 0..3 {
        assert_eq!(stage.hear(&asking("hi")).await, "one");
        assert_eq!(owed(&stage).len(), 1);
        assert_eq!(stage.hear(&asking("hi")).await, "two");
        assert!(owed(&stage).is_empty());
    }
}
