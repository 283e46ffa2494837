//! A client of OpenRouter's that wants one document is kept waiting with blanks.

use jiff::Timestamp;
use mock_server::MockServer;
use serde_json::Value;
use tokio::net::TcpStream;

use super::wire::{End, KIMI, OPENROUTER, ask, begin, chunked, read, rest, serve, wait_for, whole};

const BLANKS: &[u8] = b"\n         \n";
const START: Timestamp = Timestamp::UNIX_EPOCH;

fn pass(server: &MockServer, seconds: i64) {
    let now = START + jiff::SignedDuration::from_secs(seconds);
    server.journal().clock_moved(now);
}

/// The head of an answer, of which there is no more yet than the first blanks.
async fn head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(read(socket, 1).await);
    }
    let blanks = chunked([BLANKS]);
    assert_eq!(read(socket, blanks.len()).await, blanks);
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn blanks_come_while_an_answer_is_held_and_then_the_document() {
    let said = "response: { content: hi }";
    let server = serve(&format!("[{{ id: a, {said} }}]")).await;
    pass(&server, 0);
    let plain = ask(&server, whole(OPENROUTER)).await;
    let server = serve(&format!("[{{ id: a, hold: door, {said} }}]")).await;
    pass(&server, 0);
    let mut socket = begin(&server, whole(OPENROUTER)).await;
    let head = head(&mut socket).await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
    wait_for(&server, "llm.held").await;
    pass(&server, 2);
    let two = chunked([BLANKS, BLANKS]);
    assert_eq!(read(&mut socket, two.len()).await, two);
    server.llm().release("door").unwrap();
    let (bytes, end) = rest(socket).await;
    let document = [chunked([&*plain.body]), b"0\r\n\r\n".to_vec()].concat();
    assert_eq!((bytes, end), (document, End::Closed));
    assert!(server.llm().unsaid().is_empty());
}

#[tokio::test]
async fn blanks_come_while_an_answer_takes_its_time() {
    let slow = "[{ response: { content: hi }, stream: { first_token: 3s } }]";
    let server = serve(slow).await;
    pass(&server, 0);
    let mut socket = begin(&server, whole(OPENROUTER)).await;
    head(&mut socket).await;
    for second in 1..=2 {
        pass(&server, second);
        let blanks = chunked([BLANKS]);
        assert_eq!(read(&mut socket, blanks.len()).await, blanks);
    }
    pass(&server, 3);
    let (bytes, _) = rest(socket).await;
    let text = String::from_utf8(bytes).unwrap();
    let (_, json) = text.split_once('{').unwrap();
    let json = format!("{{{}", json.trim_end_matches("\r\n0\r\n\r\n"));
    let answer: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], "hi");
    assert!(server.llm().unsaid().is_empty());
}

#[tokio::test]
async fn a_client_that_tires_of_blanks_gets_the_same_answer_again() {
    let server = serve("[{ hold: door, response: { content: hi } }]").await;
    let mut socket = begin(&server, whole(OPENROUTER)).await;
    head(&mut socket).await;
    wait_for(&server, "llm.held").await;
    drop(socket);
    wait_for(&server, "llm.aborted").await;
    server.llm().release("door").unwrap();
    // It waits no more, so the length is known and nothing comes before the document.
    let heard = ask(&server, whole(OPENROUTER)).await;
    assert!(heard.head.contains("content-length: "), "{heard:?}");
    wait_for(&server, "llm.retry").await;
    assert!(server.llm().unsaid().is_empty());
}

#[tokio::test]
async fn other_services_keep_silent() {
    let server = serve("[{ hold: door, response: { content: hi } }]").await;
    let socket = begin(&server, whole(KIMI)).await;
    wait_for(&server, "llm.held").await;
    server.llm().release("door").unwrap();
    let (bytes, end) = rest(socket).await;
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains("content-length: "), "{text}");
    assert_eq!(end, End::Closed);
}
