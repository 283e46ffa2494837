//! An agent that waits for more after its result.

use serde_json::{Value, json};

use crate::model::{Model, Reply};
use crate::stage::{PATIENCE, Running, Stage, ask};

/// The input of an agent that is to wait.
fn waiting(prompt: &str) -> String {
    let mut input: Value = serde_json::from_str(&ask(prompt, None)).unwrap();
    input["waits"] = true.into();
    input["inputId"] = "r1".into();
    input.to_string()
}

impl Stage {
    /// Leaves a file in `input/`, as the orchestrator does.
    fn hand_in(&self, name: &str, text: &str) {
        let new = self.path("new");
        fs_err::write(&new, text).unwrap();
        fs_err::rename(new, self.path("ipc/input").join(name)).unwrap();
    }
}

async fn code_of(mut running: Running) -> Option<i32> {
    let ended = tokio::time::timeout(PATIENCE, running.child.wait()).await;
    ended.unwrap().unwrap().code()
}

#[tokio::test]
async fn one_process_goes_on_with_a_conversation_until_it_is_told_to_end() {
    let model = Model::start([Reply::says("Noted."), Reply::says("Miso.")]).await;
    let stage = Stage::for_model(&model);
    let mut running = stage.start(&waiting("my cat is Miso")).await;
    let first = running.until("result").await;
    assert_eq!(first["inputId"], "r1");

    let next = json!({"type": "message", "text": "what is my cat's name?", "inputId": "r2"});
    stage.hand_in("2.json", &next.to_string());
    let session = running.until("session").await;
    assert_eq!(session["resumed"], true);
    let second = running.until("result").await;
    assert_eq!(second["inputId"], "r2");
    assert_eq!(second["newSessionId"], first["newSessionId"]);
    let asked = &model.asked()[1]["messages"];
    assert_eq!(asked[2], json!({"role": "assistant", "content": "Noted."}));
    assert_eq!(asked[3]["content"], "what is my cat's name?");

    stage.hand_in("_close", "");
    assert_eq!(running.next().await, None);
    assert_eq!(code_of(running).await, Some(0));
    assert_eq!(stage.list("ipc/input"), Vec::<std::path::PathBuf>::new());
}

#[tokio::test]
async fn a_turn_that_fails_is_the_last_one() {
    let model = Model::start([Reply::says("Noted.")]).await;
    let stage = Stage::for_model(&model);
    let mut running = stage.start(&waiting("my cat is Miso")).await;
    running.until("result").await;
    fs_err::remove_dir_all(stage.path("home/.kimi")).unwrap();
    stage.hand_in("2.json", r#"{"type":"message","text":"and now?"}"#);

    let error = running.until("error").await;
    assert_eq!(error["kind"], "session_not_found");
    assert_eq!(code_of(running).await, Some(1));
}
