//! Tools that leave requests for the orchestrator.

use serde_json::{Value, json};

use crate::model::{Model, Reply};
use crate::stage::{Stage, Told};

async fn play(is_main: bool, calls: &[(&str, Value)]) -> (Stage, Told) {
    let model = Model::start([Reply::calls(calls), Reply::says("done")]).await;
    let stage = Stage::for_model(&model);
    let input = json!({
        "prompt": "go", "chatJid": "1@g.us", "groupFolder": "family", "isMain": is_main,
    });
    let told = stage.turn(&input.to_string()).await;
    (stage, told)
}

fn left(stage: &Stage, kind: &str) -> Vec<Value> {
    let read = |path| serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap();
    stage
        .list(&format!("ipc/{kind}"))
        .into_iter()
        .map(read)
        .collect()
}

#[tokio::test]
async fn messages_lie_in_the_order_they_were_said() {
    let say = |text: &str| ("send_message", json!({"text": text}));
    let (stage, told) = play(false, &[say("one"), say("two"), say("three")]).await;

    let texts: Vec<Value> = left(&stage, "messages")
        .iter()
        .map(|message| message["text"].clone())
        .collect();
    assert_eq!(texts, ["one", "two", "three"]);
    assert_eq!(told.outputs()[0], "requested: the message will be sent");
    let name = stage.list("ipc/messages")[0]
        .file_name()
        .unwrap()
        .to_owned();
    let name = name.to_str().unwrap();
    let (stamp, rest) = name.split_once('-').unwrap();
    assert!(
        stamp.len() == 13 && rest.len() == "abc123.json".len(),
        "{name}"
    );
}

#[tokio::test]
async fn every_operation_leaves_its_request() {
    let named = json!({"task_id": "t1"});
    let (stage, _) = play(
        true,
        &[
            (
                "schedule_task",
                json!({"prompt": "p", "schedule_type": "interval", "schedule_value": "5m",
                "context_mode": "isolated", "target_group_jid": "2@g.us"}),
            ),
            ("pause_task", named.clone()),
            ("resume_task", named.clone()),
            ("cancel_task", named),
            ("update_task", json!({"task_id": "t1", "prompt": "q"})),
            (
                "register_group",
                json!({"jid": "3@g.us", "name": "Friends", "folder": "friends", "trigger": "@Kai"}),
            ),
            ("refresh_groups", json!({})),
        ],
    )
    .await;
    let kinds: Vec<Value> = left(&stage, "tasks")
        .iter()
        .map(|task| task["type"].clone())
        .collect();
    assert_eq!(
        kinds,
        [
            "schedule_task",
            "pause_task",
            "resume_task",
            "cancel_task",
            "update_task",
            "register_group",
            "refresh_groups"
        ]
    );
    let first = &left(&stage, "tasks")[0];
    assert_eq!(
        (&first["targetJid"], &first["context_mode"]),
        (&json!("2@g.us"), &json!("isolated"))
    );
}

#[tokio::test]
async fn other_groups_cannot_even_ask_for_what_is_mains() {
    let (stage, told) = play(false, &[("refresh_groups", json!({}))]).await;
    assert!(told.outputs()[0].starts_with("error: there is no tool `refresh_groups`"));
    assert!(!stage.path("ipc/tasks").exists());
}

#[tokio::test]
async fn a_schedule_with_a_mistake_is_explained_and_not_left() {
    let every = json!({"prompt": "p", "schedule_type": "interval", "schedule_value": "5 minutes"});
    let (stage, told) = play(false, &[("schedule_task", every)]).await;
    assert_eq!(
        told.outputs(),
        ["error: `5 minutes` is not a span of time: write a number and a unit, e.g. `5m`"]
    );
    assert!(!stage.path("ipc/tasks").exists());
}
