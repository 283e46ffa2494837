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

#[tokio::test]
async fn quotas_refill_on_the_clock_of_the_scenario_and_refusals_eat_no_turn() {
    let server = frozen(
        "{ services: { limits: { requests_per_minute: 2 } }, turns: [{ times: 3, response: { content: hi } }] }",
    )
    .await;
    let left = |left: u32, reset: u32| {
        format!(
            "x-ratelimit-limit-requests: 2\r\nx-ratelimit-remaining-requests: {left}\r\nx-ratelimit-reset-requests: {reset}s\r\n"
        )
    };
    for remaining in [1, 0] {
        let heard = ask(&server, streamed(KIMI)).await;
        assert!(heard.head.starts_with("HTTP/1.1 200"), "{heard:?}");
        assert!(heard.head.contains(&left(remaining, 60)), "{heard:?}");
    }
    advance(&server, 17_500);
    let refused = ask(&server, whole(KIMI)).await;
    assert!(refused.head.starts_with("HTTP/1.1 429"), "{refused:?}");
    assert!(
        refused.head.contains("\r\nretry-after: 43\r\n"),
        "{refused:?}"
    );
    assert!(refused.head.contains(&left(0, 43)), "{refused:?}");
    let body = String::from_utf8(refused.body).unwrap();
    assert!(
        body.contains(r#""type":"rate_limit_reached_error""#),
        "{body}"
    );

    advance(&server, 60_000);
    let heard = ask(&server, streamed(KIMI)).await;
    assert!(heard.head.contains(&left(1, 60)), "{heard:?}");
    assert!(server.llm().unsaid().is_empty());
    assert!(server.unexpected().is_empty());
}

#[tokio::test]
async fn the_end_of_the_server_does_not_wait_for_the_clock() {
    let server = frozen(PACED).await;
    let socket = begin(&server, streamed(KIMI)).await;
    wait_for(&server, "llm.request").await;
    server.join().await.unwrap();
    let (bytes, end) = rest(socket).await;
    assert!(bytes.ends_with(b"data: [DONE]\n\n\r\n0\r\n\r\n"));
    assert_eq!(end, End::Closed);
}

#[tokio::test]
async fn hundreds_of_streams_come_to_their_end_with_one_move_of_the_clock() {
    const STREAMS: usize = 300;
    let said = "response: { content: one two three }, stream: { per_token: 20ms, bytes: 9 }";
    let server = frozen(&format!("[{{ times: {STREAMS}, {said} }}]")).await;
    let mut sockets = Vec::new();
    for _ in 0..STREAMS {
        let mut socket = begin(&server, streamed(KIMI)).await;
        read(&mut socket, 8).await;
        sockets.push(socket);
    }
    assert_eq!(server.llm().paced(), STREAMS);
    advance(&server, 60_000);
    assert_eq!(server.llm().paced(), 0);
    for socket in sockets {
        let (bytes, end) = rest(socket).await;
        assert!(bytes.ends_with(b"\r\n0\r\n\r\n"));
        assert_eq!(end, End::Closed);
    }
    assert!(server.llm().unsaid().is_empty());
}

#[tokio::test]
async fn a_stream_that_stalls_on_the_clock_of_the_scenario_is_still_under_way() {
    let server = frozen("[{ fault: { stall: 2 }, response: { content: one two three } }]").await;
    let _socket = begin(&server, streamed(KIMI)).await;
    wait_for(&server, "llm.fault").await;
    assert_eq!(server.llm().paced(), 1);
}

#[tokio::test]
async fn a_stall_that_was_released_takes_its_time_for_the_rest() {
    let server = frozen(
        "[{ hold: door, fault: { stall: 1 }, response: { content: one two }, stream: { per_token: 20ms } }, { response: { content: hi } }]",
    )
    .await;
    let socket = begin(&server, streamed(KIMI)).await;
    wait_for(&server, "llm.held").await;
    assert_eq!(server.llm().paced(), 1, "it stands at its gate");
    server.llm().release("door").unwrap();
    // Whoever was let on before this question has gone on before its answer.
    ask(&server, streamed(KIMI)).await;
    assert_eq!(server.llm().paced(), 1, "it goes on");
    advance(&server, 60_000);
    assert_eq!(server.llm().paced(), 0);
    let (bytes, end) = rest(socket).await;
    assert!(bytes.ends_with(b"data: [DONE]\n\n\r\n0\r\n\r\n"));
    assert_eq!(end, End::Closed);
}
