//! The state that the owner's devices share: what another of them changes, it learns.

use mock_server::whatsapp::{Control, Mutation};
use whatsapp_rust::types::events::Event;

use super::stage::Stage;

#[tokio::test]
async fn it_asks_for_the_key_of_the_shared_state_and_follows_its_changes() {
    let (stage, mut client) = Stage::connected().await;
    let name = "Captain".to_owned();
    stage
        .does(Control::Mutate(Mutation::PushName { name }))
        .await;
    client
        .says("that the owner goes by another name", |event| {
            let Event::SelfPushNameUpdated(update) = event else {
                return None;
            };
            (update.new_name == "Captain").then_some(())
        })
        .await;

    stage.whatsapp().stage_direct("ada", "ada").await.unwrap();
    let chat = "ada".to_owned();
    let archived = true;
    stage
        .does(Control::Mutate(Mutation::Archive { chat, archived }))
        .await;
    client
        .says("that the chat is archived", |event| {
            matches!(event, Event::ArchiveUpdate(_)).then_some(())
        })
        .await;
    stage.ends(client).await;
}
