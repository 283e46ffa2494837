//! Streams that take their time, on the clock of the scenario.

use jiff::{SignedDuration, Timestamp};
use mock_server::MockServer;

use super::wire::{End, ask, begin, ended, read, rest, serve, streamed, wait_for, whole};

const PACED: &str =
    "[{ response: { content: one two three }, stream: { first_token: 400ms, per_token: 20ms } }]";
const KIMI: &str = "/coding/v1";
/// Hyper's, which is none of ours.
const DATE: &str = "date: Mon, 05 Jan 2026 09:00:00 GMT\r\n";

async fn frozen(script: &str) -> MockServer {
    let server = serve(script).await;
    server.journal().clock_moved(Timestamp::UNIX_EPOCH);
    server
}

fn advance(server: &MockServer, milliseconds: i64) {
    let to = Timestamp::UNIX_EPOCH + SignedDuration::from_millis(milliseconds);
    server.journal().clock_moved(to);
}

#[tokio::test]
async fn a_stream_comes_as_the_clock_of_the_scenario_moves() {
    let plain = frozen("[{ response: { content: one two three } }]").await;
    let plain = ask(&plain, streamed(KIMI)).await;
    let frames = plain.chunks();
    let server = frozen(PACED).await;
    let mut socket = begin(&server, streamed(KIMI)).await;
    // Headers come at once.
    read(&mut socket, plain.head.len() + DATE.len()).await;
    assert_eq!(server.llm().paced(), 1);

    advance(&server, 400);
    let first = super::wire::chunked([frames[0].as_slice()]);
    assert_eq!(read(&mut socket, first.len()).await, first);
    assert_eq!(server.llm().paced(), 1);
    let nothing_more = socket.try_read(&mut [0; 1]).unwrap_err();
    assert_eq!(nothing_more.kind(), std::io::ErrorKind::WouldBlock);

    advance(&server, 420);
    let second = super::wire::chunked([frames[1].as_slice()]);
    assert_eq!(read(&mut socket, second.len()).await, second);

    advance(&server, 400 + 20 * frames.len() as i64);
    assert_eq!(server.llm().paced(), 0);
    let others = ended(frames[2..].iter().map(Vec::as_slice));
    assert_eq!(rest(socket).await, (others, End::Closed));
    assert!(server.llm().unsaid().is_empty());
}

#[tokio::test]
async fn what_is_not_streamed_comes_when_its_stream_would_end() {
    let one = "[{ response: { content: one }, stream: { first_token: 400ms, per_token: 20ms } }]";
    // Role, content, finish and the end mark.
    let server = serve("[{ response: { content: one } }]").await;
    assert_eq!(ask(&server, streamed(KIMI)).await.chunks().len(), 4);
    let server = frozen(one).await;
    let mut socket = begin(&server, whole(KIMI)).await;
    wait_for(&server, "llm.request").await;
    advance(&server, 459);
    assert_eq!(server.llm().paced(), 1);
    advance(&server, 460);
    assert_eq!(server.llm().paced(), 0);
    assert_eq!(read(&mut socket, 8).await, b"HTTP/1.1");
}
