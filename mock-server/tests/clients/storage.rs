//! Google's clients of Cloud Storage: each plays its cases on a storage of its own.

use mock_server::{MockOptions, MockServer};

use super::guest::Guest;

/// What every client does.
const OF_ALL: [&str; 9] = [
    "puts_and_gets",
    "uploads_in_chunks",
    "reads_ranges",
    "lists",
    "keeps_versions",
    "heeds_conditions",
    "makes_of_others",
    "unpacks",
    "is_refused",
];

/// What is spoken with a client.
#[derive(Clone, Copy)]
enum Spoken {
    Http,
    Https,
}

fn options(spoken: Spoken) -> MockOptions {
    let https = match spoken {
        Spoken::Http => None,
        Spoken::Https => Some(([127, 0, 0, 1], 0).into()),
    };
    MockOptions {
        https,
        ..MockOptions::default()
    }
}

async fn check(guest: Option<Guest>, spoken: Spoken, cases: &[&str]) {
    let Some(mut guest) = guest else {
        return;
    };
    for case in cases {
        let server = MockServer::start(options(spoken)).await.unwrap();
        let url = match server.https_authority() {
            Some(authority) => {
                guest.trust(authority);
                server.https_url().unwrap()
            }
            None => server.url(),
        };
        let journal = server.journal().clone();
        let story = || {
            let lines = journal
                .entries()
                .iter()
                .map(|entry| entry.to_string())
                .collect::<Vec<_>>();
            format!("the journal holds:\n  {}", lines.join("\n  "))
        };
        guest.plays(case, &url, story).await;
        assert_eq!(server.llm().unfired(), [], "`{case}`\n{}", story());
        assert_eq!(server.unexpected(), [], "`{case}`\n{}", story());
        server.join().await.unwrap();
    }
}

#[tokio::test]
async fn cloud_storage_for_python_gets_on_with_the_mock() {
    let text = include_str!("guests/storage_guest.py");
    let guest = Guest::python("storage_guest.py", text).await;
    let own = [
        "uploads_in_parts",
        "changes_many_at_once",
        "tries_again",
        "logs_in",
    ];
    check(guest, Spoken::Http, &[&OF_ALL[..], &own].concat()).await;
}

#[tokio::test]
async fn cloud_storage_for_node_gets_on_with_the_mock() {
    let text = include_str!("guests/storage_guest.mjs");
    let guest = Guest::node("storage_guest.mjs", text).await;
    check(
        guest,
        Spoken::Http,
        &[&OF_ALL[..], &["downloads_in_parts", "tries_again"]].concat(),
    )
    .await;
}

/// Whoever goes on from a place that was handed out must find it by the way that it came.
const OVER_TLS: [&str; 4] = ["puts_and_gets", "uploads_in_chunks", "lists", "is_refused"];

#[tokio::test]
async fn cloud_storage_for_python_gets_on_with_the_mock_over_https() {
    let text = include_str!("guests/storage_guest.py");
    let guest = Guest::python("storage_guest.py", text).await;
    check(guest, Spoken::Https, &OVER_TLS).await;
}

#[tokio::test]
async fn cloud_storage_for_node_gets_on_with_the_mock_over_https() {
    let text = include_str!("guests/storage_guest.mjs");
    let guest = Guest::node("storage_guest.mjs", text).await;
    check(guest, Spoken::Https, &OVER_TLS).await;
}
