//! A mock server that is spoken with over its control API, beside the same one in this process.

use std::path::Path;

use mock_server::{MASK, ScriptedServices, yaml};
use serde_json::{Map, json};
use tokio::time::timeout;

use super::*;
use crate::scenario::load;

/// Real time; only a broken test waits for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The server, and our way to it.
async fn both() -> (MockServer, Mock) {
    let server = MockServer::start(MockOptions::default()).await.unwrap();
    let mock = Mock::elsewhere(server.address(), server.url()).await;
    (server, mock.unwrap())
}

fn script(text: &str) -> Script {
    yaml::read("script.yaml", text).unwrap()
}

fn fields(text: &str) -> Map<String, Value> {
    Map::from_iter([("text".to_owned(), text.into())])
}

fn refused<T: std::fmt::Debug>(answer: Result<T, MockError>) -> String {
    match answer {
        Err(MockError::Refused(words)) => words,
        other => panic!("it was not refused: {other:?}"),
    }
}

#[tokio::test]
async fn what_the_server_saw_stands_before_what_we_write() {
    let (server, mock) = both().await;
    let noon = "2026-01-05T12:00:00Z".parse().unwrap();
    mock.clock_moved(noon).await.unwrap();
    for n in 0..100 {
        server
            .journal()
            .write("llm.request", fields(&n.to_string()));
        let chronicle = mock.chronicle().clone();
        chronicle.write("ask.sent", fields("")).await.unwrap();
    }
    let entries = mock.journal().entries();
    let events: Vec<&str> = entries.iter().map(|entry| &*entry.event).collect();
    assert_eq!(events, ["llm.request", "ask.sent"].repeat(100));
    assert!(entries.iter().all(|entry| entry.at == Some(noon)));
    assert!(entries.is_sorted_by_key(|entry| entry.seq));
}

#[tokio::test]
async fn the_words_are_those_of_the_library() {
    let (server, mock) = both().await;
    let gate = server.llm().release("door").unwrap_err().to_string();
    assert_eq!(refused(mock.release("door").await), gate);

    let twice = script("[{ id: a, response: {} }, { id: a, response: {} }]");
    let unfit = server.llm().add(twice.clone()).unwrap_err().to_string();
    assert_eq!(refused(mock.add(&twice).await), unfit);

    let drop = || Control::Drop {};
    let nobody = server.whatsapp().control(drop()).await.unwrap_err();
    assert_eq!(refused(mock.control(drop()).await), nobody.to_string());

    mock.add(&script("[{ id: a, hold: door, response: {} }]"))
        .await
        .unwrap();
    assert_eq!(mock.unsaid().await.unwrap(), server.llm().unsaid());
    mock.release("door").await.unwrap();
    assert_eq!(mock.jid_of("a b/c?").await.unwrap(), None);
    assert_eq!(
        mock.whatsapp_places().await.unwrap().0,
        server.whatsapp().socket_url()
    );
}

#[tokio::test]
async fn what_lies_in_storage_is_the_same_from_here_and_from_afar() {
    let (server, mock) = both().await;
    let staged = "buckets: { attic: { objects: { a/b: Miso, c: { base64: /w== } } } }";
    let staged: StagedStorage = yaml::read("storage.yaml", staged).unwrap();
    mock.stage_storage(&staged).await.unwrap();
    let stored = mock.stored("attic").await.unwrap();
    assert_eq!(stored, server.storage().contents("attic"));
    assert_eq!(
        (&stored[0]["object"], &stored[0]["text"]),
        (&json!("a/b"), &json!("Miso"))
    );
    assert_eq!(mock.stored("cellar").await.unwrap(), Value::Null);

    let unfit: StagedStorage = yaml::read("storage.yaml", "buckets: { '!': {} }").unwrap();
    let words = server.storage().stage(unfit.clone()).unwrap_err();
    assert_eq!(refused(mock.stage_storage(&unfit).await), words.to_string());
}

#[tokio::test]
async fn what_the_server_hides_we_hide_too() {
    let (server, mock) = both().await;
    let oauth = json!({ "oauth": { "tokens": [{ "access": "first", "refresh": "second" }] } });
    let services: ScriptedServices = serde_json::from_value(oauth).unwrap();
    let script = Script {
        services,
        ..Script::default()
    };
    mock.add(&script).await.unwrap();
    mock.hide("third").await.unwrap();
    mock.chronicle()
        .write("log", fields("first second third"))
        .await
        .unwrap();
    let entries = mock.journal().entries();
    let last = entries.last().unwrap();
    assert_eq!(last.text("text"), Some(&*[MASK; 3].join(" ")));
    assert_eq!(server.journal().masked("third"), MASK);
}

#[tokio::test]
async fn a_server_that_ends_is_told_and_never_waited_for() {
    let (server, mock) = both().await;
    server.join().await.unwrap();
    let why = timeout(PATIENCE, mock.lost()).await.unwrap();
    assert!(why.to_string().ends_with("the stream ended"), "{why}");
    let gone = timeout(PATIENCE, mock.caught_up()).await.unwrap();
    assert!(matches!(gone, Err(MockError::Gone(_))), "{gone:?}");
}

#[tokio::test]
async fn nobody_is_at_the_address() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let entered = Mock::elsewhere(address, String::new()).await;
    assert!(matches!(entered, Err(MockError::Gone(_))), "{entered:?}");
}

/// What a script says is the same when it was written down and read again.
#[test]
fn every_script_of_a_scenario_can_be_sent() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = crate::catalogue::scenarios_in(&package.join("../scenarios")).unwrap();
    assert!(!listed.is_empty());
    for file in listed {
        for scenario in load(&file.path).unwrap() {
            for sent in &scenario.scripts {
                let text = serde_json::to_string(sent).unwrap();
                let read: Script = yaml::read(&file.name, &text).unwrap_or_else(|mistakes| {
                    panic!("{mistakes}");
                });
                let sent = Script {
                    name: None,
                    ..sent.clone()
                };
                assert_eq!(read, sent, "{}", file.name);
            }
        }
    }
}
