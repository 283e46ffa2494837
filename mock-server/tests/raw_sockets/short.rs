//! Bodies that are short or empty: their last byte is handed over before anybody asks for
//! what comes behind it, and their fault has come all the same.

use super::wire::{End, Form, SERVICES, Wire, ask, serve, streamed, whole};

const TOLD: [&str; 2] = ["llm.request", "llm.fault"];

/// Asks a turn that is nothing but this fault; it is told, and nothing is owed.
async fn check(fault: &str, form: Form) -> Wire {
    let server = serve(&format!("[{{ fault: {fault} }}]")).await;
    checked(&server, form, fault).await
}

/// The same in drops.
async fn check_in_drops(fault: &str, form: Form) -> Wire {
    let server = serve(&format!("[{{ fault: {fault}, stream: {{ bytes: 7 }} }}]")).await;
    checked(&server, form, fault).await
}

async fn checked(server: &mock_server::MockServer, form: Form, fault: &str) -> Wire {
    let heard = ask(server, form).await;
    let entries = server.journal().entries();
    let events: Vec<_> = entries.iter().map(|entry| &*entry.event).collect();
    assert_eq!(events, TOLD, "{fault} in {form:?}");
    assert!(server.llm().unsaid().is_empty(), "{fault} in {form:?}");
    heard
}

#[tokio::test]
async fn a_document_that_ends_early_tells_of_it_and_is_said() {
    for path in SERVICES {
        for fault in ["{ end: 3 }", "{ end: arguments }", "{ end: { bytes: 20 } }"] {
            for heard in [
                check(fault, whole(path)).await,
                check_in_drops(fault, whole(path)).await,
            ] {
                assert!(!heard.body.is_empty(), "{fault} at {path}");
                assert_eq!(heard.end, End::Closed);
            }
        }
    }
}

#[tokio::test]
async fn an_empty_body_tells_of_it_and_is_said() {
    let faults = [
        "{ end: headers }",
        "{ end: { bytes: 0 } }",
        "{ empty: nothing }",
        "{ empty: done }",
    ];
    for path in SERVICES {
        for fault in faults {
            for heard in [
                check(fault, whole(path)).await,
                check_in_drops(fault, whole(path)).await,
            ] {
                assert!(heard.head.contains("content-length: 0\r\n"), "{heard:?}");
                assert_eq!(heard.body, b"");
            }
            check(fault, streamed(path)).await;
            check_in_drops(fault, streamed(path)).await;
        }
    }
}

#[tokio::test]
async fn a_document_cannot_break_behind_its_last_byte() {
    for path in SERVICES {
        let plain = ask(
            &serve("[{ id: a, response: { content: hi } }]").await,
            whole(path),
        )
        .await;
        let length = plain.body.len();
        for how in ["reset", "close", "end", "stall"] {
            let server = serve(&format!(
                "[{{ id: a, fault: {{ {how}: {{ bytes: {length} }} }}, response: {{ content: hi }} }}]"
            ))
            .await;
            let heard = ask(&server, whole(path)).await;
            assert_eq!((heard.body, heard.end), (plain.body.clone(), End::Closed));
            let reports = server.unexpected();
            assert_eq!(reports.len(), 1, "{how} at {path}");
            let told = format!(
                "turn `a` cannot go wrong as it should: its fault comes after {length} bytes, and the answer has {length} bytes"
            );
            assert_eq!(reports[0].report, told);
        }
    }
}
