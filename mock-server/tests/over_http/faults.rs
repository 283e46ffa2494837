//! Faults beside the turns: by number and condition, whatever turn answers.

use serde_json::json;

use super::stage::{Stage, asking, script};

const TWO: &str = r"
turns:
  - { id: one, match: first, response: { content: One. } }
  - { id: two, match: second, response: { content: Two. } }
";

async fn stage(faults: &str) -> Stage {
    Stage::with(&format!("faults: {faults}{TWO}")).await
}

#[tokio::test]
async fn a_fault_by_number_eats_no_turn_whichever_it_hits() {
    let stage = stage("[{ id: down, on: model, nth: 2..3, fault: { status: 503 } }]").await;
    let (first, second) = (asking("first"), asking("second"));
    assert_eq!(stage.hear(&first).await, "One.");
    for _ in 0..2 {
        assert_eq!(stage.ask(&second).await.0, 503);
    }
    assert_eq!(stage.server.llm().unfired(), []);
    assert_eq!(stage.hear(&second).await, "Two.");
    assert_eq!(stage.server.llm().unsaid(), []);
    let told = stage.told("llm.fault");
    assert_eq!(told.len(), 2);
    for (fault, n) in told.iter().zip([2, 3]) {
        assert_eq!(fault["n"], n);
        assert_eq!(
            (&fault["rule"], &fault["turn"]),
            (&json!("down"), &json!("two"))
        );
        assert_eq!(
            (&fault["fault"], &fault["status"]),
            (&json!("status"), &json!(503))
        );
    }
}

#[tokio::test]
async fn only_what_is_meant_is_counted() {
    async fn check(condition: &str, expected: [u16; 2]) {
        let rule =
            format!("[{{ on: model, where: {condition}, fault: {{ status: 503 }}, must: false }}]");
        let stage = stage(&rule).await;
        let mut statuses = [0; 2];
        for (status, user) in statuses.iter_mut().zip(["first", "second"]) {
            *status = stage.ask(&asking(user)).await.0;
        }
        assert_eq!(statuses, expected, "{condition}");
    }
    check("second", [200, 503]).await;
    check("{ user: second, model: gpt }", [200, 503]).await;
    check("{ lane: main }", [503, 200]).await;
    check("{ turn: 2 }", [200, 200]).await;
    check("{ user: second, model: kimi }", [200, 200]).await;
}

#[tokio::test]
async fn the_turns_own_fault_waits_for_its_turn() {
    let stage = Stage::with(
        "{ faults: [{ on: model, fault: { html: 502 } }], turns: [{ fault: { status: 429 }, response: { content: At last. } }] }",
    )
    .await;
    let question = asking("hi");
    for status in [502, 429] {
        let response = stage.post("/v1/chat/completions").json(&question);
        assert_eq!(response.send().await.unwrap().status().as_u16(), status);
    }
    assert_eq!(stage.hear(&question).await, "At last.");
    let rules: Vec<_> = stage.told("llm.fault");
    assert_eq!(rules[0]["rule"], "fault-1");
    assert!(rules[1].get("rule").is_none(), "{}", rules[1]);
}

#[tokio::test]
async fn where_the_model_is_down_no_turn_need_answer() {
    let stage = Stage::with("{ faults: [{ on: model, nth: 1.., fault: { status: 503 } }] }").await;
    for _ in 0..3 {
        assert_eq!(stage.ask(&asking("anybody there?")).await.0, 503);
    }
    assert!(stage.server.unexpected().is_empty());
    let count = &stage.server.llm().faults()[0];
    assert_eq!((count.asked, count.came), (3, 3));
}

#[tokio::test]
async fn what_only_comes_late_is_said_and_needs_a_turn() {
    let slow = "[{ on: model, nth: 1..2, fault: { slow: { bytes: 500, every: 1ms } } }]";
    let stage = stage(slow).await;
    assert_eq!(stage.hear(&asking("first")).await, "One.");
    assert_eq!(stage.ask(&asking("third")).await.0, 422);
    let unfired = stage.server.llm().unfired();
    assert_eq!(
        unfired[0].to_string(),
        "fault `fault-1` (slow at request 1..2) came 1 of 2 times; it counted 2 requests"
    );
    let owed: Vec<_> = stage.server.llm().unsaid();
    assert_eq!(owed.len(), 1, "the slow answer was said: {owed:?}");
}

#[tokio::test]
async fn a_fault_is_put_in_while_the_story_goes_on() {
    let stage = Stage::with(TWO).await;
    assert_eq!(stage.hear(&asking("first")).await, "One.");
    let rule = "{ id: late, on: model, fault: { status: 500, message: out of order } }";
    let added = stage.post("/_mock/faults").body(rule);
    assert_eq!(stage.json(added).await, (200, json!({ "added": 1 })));
    let (_, status) = stage.json(stage.get("/_mock/status")).await;
    assert_eq!(status["unfired"][0]["fault"], "late");
    assert_eq!(stage.refused(500, &asking("second")).await, "out of order");
    assert_eq!(stage.hear(&asking("second")).await, "Two.");
    let (_, faults) = stage.json(stage.get("/_mock/faults")).await;
    let late = json!([{
        "fault": "late", "word": "status", "nth": 1, "must": true, "asked": 2, "came": 1,
    }]);
    assert_eq!(faults, late);
    // After a reset nothing goes wrong any more.
    stage.post("/_mock/reset").send().await.unwrap();
    assert_eq!(stage.server.llm().faults(), []);
}

#[tokio::test]
async fn a_fault_that_does_not_fit_is_refused_and_told_why() {
    let stage = stage("[{ id: down, on: model, fault: { status: 503 }, must: false }]").await;
    for (rule, complaint) in [
        (
            "{ id: down, on: model, fault: { html: 502 } }",
            "two faults are called `down`; each id names one fault",
        ),
        (
            "{ on: model, where: { lane: title }, fault: { html: 502 } }",
            "fault `fault-2` is for lane `title`, which nothing declares; lanes: main",
        ),
    ] {
        let added = script(&format!("{{ faults: [{rule}] }}"));
        let refused = stage.server.llm().add(added).unwrap_err();
        assert_eq!(refused.to_string(), complaint);
        assert!(refused.fault().is_some());
        let (status, told) = stage.json(stage.post("/_mock/faults").body(rule)).await;
        assert_eq!(
            (status, &told["error"]["message"]),
            (400, &json!(complaint))
        );
    }
    let (status, told) = stage
        .json(stage.post("/_mock/faults").body("{ on: mode }"))
        .await;
    assert_eq!(status, 400);
    assert!(told.to_string().contains("did you mean `model`?"), "{told}");
}
