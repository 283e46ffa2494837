//! Streams in every shape that a client must bear.

use super::wire::{End, SERVICES, Wire, ask, is_comment, serve, streamed};

const SAID: &str = "response: { content: Grüße ÄÖÜäöüßÄÖÜ aus ÄÖÜäöüßÄÖÜß dem Wald, tool_calls: [{ name: bash, arguments: { a: 12 } }, { name: write_file, arguments: { b: 34 } }] }";

async fn shaped(shape: &str, path: &'static str) -> Wire {
    let server = serve(&format!("[{{ {SAID}, stream: {shape} }}]")).await;
    let wire = ask(&server, streamed(path)).await;
    assert_eq!(wire.end, End::Closed);
    server.join().await.unwrap();
    wire
}

/// Both services with this shape, and without it.
async fn check(shape: &str, expected: fn(plain: Vec<Vec<u8>>) -> Vec<Vec<u8>>) {
    for path in SERVICES {
        let (plain, shaped) = (shaped("{}", path).await, shaped(shape, path).await);
        assert_eq!(shaped.head, plain.head);
        let (shaped, expected) = (shaped.chunks(), expected(plain.chunks()));
        let text = |chunks: &[Vec<u8>]| String::from_utf8_lossy(&chunks.concat()).into_owned();
        assert_eq!(text(&shaped), text(&expected), "{shape} at {path}");
        assert_eq!(shaped, expected, "{shape} at {path}: cut otherwise");
    }
}

#[tokio::test]
async fn bytes_are_written_so_many_at_once_through_letters_and_frames() {
    check("{ bytes: 7 }", |plain| {
        let drops = plain.iter().flat_map(|frame| frame.chunks(7));
        let drops: Vec<_> = drops.map(<[u8]>::to_vec).collect();
        assert!(
            drops.iter().any(|drop| str::from_utf8(drop).is_err()),
            "no letter is split"
        );
        drops
    })
    .await;
}

#[tokio::test]
async fn lines_end_as_the_turn_says() {
    check("{ line_end: crlf }", |plain| {
        let crlf = |frame: &Vec<u8>| String::from_utf8_lossy(frame).replace('\n', "\r\n");
        plain.iter().map(|frame| crlf(frame).into_bytes()).collect()
    })
    .await;
}

#[tokio::test]
async fn comments_come_after_every_so_many_frames() {
    check("{ comments: 2 }", |plain| {
        let is_openrouter = is_comment(&plain[0]);
        let comment: &[u8] = if is_openrouter {
            b": OPENROUTER PROCESSING\n\n"
        } else {
            b": keep-alive\n\n"
        };
        let mut frames = 0;
        let mut expected = Vec::new();
        for frame in plain {
            frames += usize::from(!is_comment(&frame));
            let is_second = !is_comment(&frame) && frames % 2 == 0;
            expected.push(frame);
            expected.extend(is_second.then(|| comment.to_vec()));
        }
        expected
    })
    .await;
}

#[tokio::test]
async fn frames_come_twice_where_the_turn_says_so() {
    check("{ duplicate: 2..3 }", |plain| {
        let first = plain.iter().position(|frame| !is_comment(frame)).unwrap();
        let twice = first + 1..=first + 2;
        let times = |place| if twice.contains(&place) { 2 } else { 1 };
        let frames = plain.into_iter().enumerate();
        frames
            .flat_map(|(place, frame)| vec![frame; times(place)])
            .collect()
    })
    .await;
}

#[tokio::test]
async fn the_end_mark_can_be_missing() {
    check("{ done: false }", |mut plain| {
        assert_eq!(plain.pop().unwrap(), b"data: [DONE]\n\n");
        plain
    })
    .await;
}

#[tokio::test]
async fn parallel_calls_can_take_turns() {
    for path in SERVICES {
        let wire = shaped("{ interleave: true, arguments: 4 }", path).await;
        let calls = wire.chunks().into_iter().filter_map(|frame| {
            let frame = String::from_utf8(frame).unwrap();
            let data = frame.strip_prefix("data: {")?;
            let data: serde_json::Value = serde_json::from_str(&format!("{{{data}")).unwrap();
            let call = data["choices"][0]["delta"]["tool_calls"].get(0)?.clone();
            let arguments = call["function"]["arguments"].as_str().unwrap();
            Some(format!("{} {arguments}", call["index"]))
        });
        let turns = ["0 ", "1 ", r#"0 {"a""#, r#"1 {"b""#, "0 :12}", "1 :34}"];
        assert_eq!(calls.collect::<Vec<_>>(), turns, "{path}");
    }
}

#[tokio::test]
async fn a_slow_answer_comes_drop_by_drop_and_is_said() {
    for path in SERVICES {
        let server = serve(&format!(
            "[{{ fault: {{ slow: {{ bytes: 40, every: 1ms }} }}, {SAID} }}]"
        ))
        .await;
        let slow = ask(&server, streamed(path)).await;
        let plain = shaped("{}", path).await;
        let drops = plain.chunks();
        let drops: Vec<_> = drops.iter().flat_map(|frame| frame.chunks(40)).collect();
        assert_eq!(slow.chunks(), drops);
        assert!(server.llm().unsaid().is_empty());
    }
}
