//! Answers that break off, in every manner at every moment.

use serde_json::Value;

use super::wire::{
    End, Form, SERVICES, Wire, ask, begin, chunked, ended, is_comment, read, serve, streamed,
    wait_for, whole,
};

const RESPONSE: &str = r#"
response:
    reasoning: I look around.
    content: Let me see.
    tool_calls:
      - { name: bash, arguments: { command: "ls -la /workspace" } }
      - { name: write_file, arguments: { path: ä.md } }
  stream: { arguments: 5 }
"#;

/// What a healthy answer must be to be taken for the broken one.
type Measure = fn(&Wire) -> Vec<u8>;

/// Asks a turn with this fault twice: first the fault comes, then the whole answer.
async fn broken_then_whole(fault: &str, form: Form) -> (Wire, Wire) {
    let server = serve(&format!("- fault: {fault}\n  {}", RESPONSE.trim_start())).await;
    let broken = ask(&server, form).await;
    let well = ask(&server, form).await;
    assert!(server.llm().unsaid().is_empty(), "{fault}: it was said");
    assert!(server.unexpected().is_empty(), "{:?}", server.unexpected());
    server.join().await.unwrap();
    (broken, well)
}

async fn check(fault: &str, form: Form, end: End, measure: Measure) {
    let (broken, well) = broken_then_whole(fault, form).await;
    assert_eq!(well.end, End::Closed);
    let has_head = !(fault.contains("request"));
    let expected = Wire {
        head: if has_head {
            well.head.clone()
        } else {
            String::new()
        },
        body: measure(&well),
        end,
    };
    assert_eq!(broken, expected, "{fault} in {form:?}");
}

fn nothing(_well: &Wire) -> Vec<u8> {
    Vec::new()
}

fn three_frames(well: &Wire) -> Vec<u8> {
    chunked(well.until(3).iter().map(Vec::as_slice))
}

/// Everything up to the first fragment of the first call.
fn half_arguments(well: &Wire) -> Vec<u8> {
    let chunks = well.chunks();
    let is_fragment = |chunk: &Vec<u8>| chunk.windows(5).any(|five| five == br#"{\"co"#);
    let place = chunks.iter().position(is_fragment).unwrap();
    chunked(chunks[..=place].iter().map(Vec::as_slice))
}

fn bytes_120(well: &Wire) -> Vec<u8> {
    let mut left = 120;
    let chunks = well.chunks();
    let cut = chunks.iter().map(|chunk| {
        let some = chunk.len().min(left);
        left -= some;
        &chunk[..some]
    });
    chunked(cut)
}

const MOMENTS: [(&str, Measure); 5] = [
    ("request", nothing),
    ("headers", nothing),
    ("3", three_frames),
    ("arguments", half_arguments),
    ("{ bytes: 120 }", bytes_120),
];

#[tokio::test]
async fn a_stream_is_reset_at_its_moment_and_what_was_sent_before_arrives() {
    for path in SERVICES {
        for (moment, measure) in MOMENTS {
            let fault = format!("{{ reset: {moment} }}");
            check(&fault, streamed(path), End::Reset, measure).await;
        }
    }
}

#[tokio::test]
async fn a_stream_is_closed_at_its_moment_without_the_end_of_its_body() {
    for path in SERVICES {
        for (moment, measure) in MOMENTS {
            let fault = format!("{{ close: {moment} }}");
            check(&fault, streamed(path), End::Closed, measure).await;
        }
    }
}

#[tokio::test]
async fn a_stream_ends_at_its_moment_as_if_it_were_whole() {
    for path in SERVICES {
        for (moment, measure) in &MOMENTS[1..] {
            let fault = format!("{{ end: {moment} }}");
            let (broken, well) = broken_then_whole(&fault, streamed(path)).await;
            let body = [measure(&well), ended([])].concat();
            assert_eq!(broken, Wire { body, ..well }, "{fault} at {path}");
        }
    }
}

#[tokio::test]
async fn a_stream_stalls_at_its_moment_until_the_server_ends() {
    for path in SERVICES {
        for (moment, measure) in MOMENTS {
            let script = |fault: &str| format!("- {fault}{}", RESPONSE.trim_start());
            let server = serve(&script("")).await;
            let well = ask(&server, streamed(path)).await;
            server.join().await.unwrap();
            let server = serve(&script(&format!("fault: {{ stall: {moment} }}\n  "))).await;
            let mut socket = begin(&server, streamed(path)).await;
            wait_for(&server, "llm.fault").await;
            assert_eq!(server.llm().paced(), 1, "{moment}");

            let body = measure(&well);
            // The server ends, and only then the connection.
            let before = well.head.len() + "date: Mon, 05 Jan 2026 09:00:00 GMT\r\n".len();
            let before = if moment == "request" { 0 } else { before };
            let sent = read(&mut socket, before + body.len()).await;
            assert!(sent.ends_with(&body), "{moment}");
            let nothing_more = socket.try_read(&mut [0; 1]).unwrap_err();
            assert_eq!(nothing_more.kind(), std::io::ErrorKind::WouldBlock);
            server.join().await.unwrap();
            assert_eq!(super::wire::rest(socket).await, (Vec::new(), End::Closed));
        }
    }
}

#[tokio::test]
async fn a_stall_with_a_gate_goes_on_when_it_is_released() {
    let held = format!(
        "- hold: door\n  fault: {{ stall: 3 }}\n  {}",
        RESPONSE.trim_start()
    );
    let server = serve(&held).await;
    let socket = begin(&server, streamed("/api/v1")).await;
    wait_for(&server, "llm.held").await;
    assert_eq!(server.llm().release("door").unwrap(), 1);
    let (bytes, end) = super::wire::rest(socket).await;
    assert!(bytes.ends_with(b"data: [DONE]\n\n\r\n0\r\n\r\n"));
    assert_eq!(end, End::Closed);
    assert!(server.llm().unsaid().is_empty());
    let entries = server.journal().entries();
    let events: Vec<_> = entries.iter().map(|entry| &*entry.event).collect();
    assert_eq!(
        events,
        [
            "llm.request",
            "llm.reply",
            "llm.fault",
            "llm.held",
            "llm.released"
        ]
    );
}

#[tokio::test]
async fn a_client_that_leaves_before_its_fault_comes_is_answered_whole_next_time() {
    let script = "[{ hold: door, fault: { reset: 3 }, response: { content: a b c d } }]";
    let server = serve(script).await;
    drop(begin(&server, streamed("/api/v1")).await);
    wait_for(&server, "llm.aborted").await;
    server.llm().release("door").unwrap();
    let well = ask(&server, streamed("/api/v1")).await;
    assert_eq!(well.chunks().last().unwrap(), b"data: [DONE]\n\n");
    assert!(server.llm().unsaid().is_empty());
    let entries = server.journal().entries();
    assert!(entries.iter().all(|entry| entry.event != "llm.retry"));
}

#[tokio::test]
async fn a_document_breaks_within_the_length_it_promised() {
    let half: Measure = |well| well.body[..well.body.len() / 2].to_vec();
    let some: Measure = |well| well.body[..120].to_vec();
    let moments: [(&str, Measure); 6] = [
        ("request", nothing),
        ("headers", nothing),
        ("3", half),
        ("arguments", half),
        ("said", half),
        ("{ bytes: 120 }", some),
    ];
    for path in SERVICES {
        for (moment, measure) in moments {
            let (reset, close) = (
                format!("{{ reset: {moment} }}"),
                format!("{{ close: {moment} }}"),
            );
            check(&reset, whole(path), End::Reset, measure).await;
            check(&close, whole(path), End::Closed, measure).await;
        }
    }
}

#[tokio::test]
async fn a_document_that_ends_early_promises_no_more() {
    for path in SERVICES {
        for fault in ["{ end: 3 }", "{ invalid: 0 }"] {
            let (broken, well) = broken_then_whole(fault, whole(path)).await;
            let half = well.body.len() / 2;
            let promise = format!("content-length: {half}\r\n");
            assert!(broken.head.contains(&promise), "{broken:?}");
            assert_eq!(broken.body, well.body[..half]);
            assert_eq!(broken.end, End::Closed);
        }
    }
}

#[tokio::test]
async fn a_frame_that_is_no_json_stands_among_whole_ones() {
    for path in SERVICES {
        let (broken, well) = broken_then_whole("{ invalid: 3 }", streamed(path)).await;
        let (broken, well) = (broken.chunks(), well.chunks());
        let spoilt: Vec<_> = (0..well.len())
            .filter(|at| broken[*at] != well[*at])
            .collect();
        assert_eq!(spoilt.len(), 1);
        let before = well[..spoilt[0]].iter().filter(|frame| !is_comment(frame));
        assert_eq!(before.count(), 3);
        let frame = str::from_utf8(&broken[spoilt[0]]).unwrap();
        let data = frame
            .strip_prefix("data: ")
            .unwrap()
            .strip_suffix("\n\n")
            .unwrap();
        assert!(!data.is_empty());
        assert!(serde_json::from_str::<Value>(data).is_err(), "{data}");
    }
}

#[tokio::test]
async fn faults_come_in_the_order_of_the_turns_and_so_often_as_they_say() {
    let server = serve(
        "[{ fault: { status: 500, times: 2 }, response: { content: a } }, { fault: { status: 429 } }, { fault: { html: 502 } }]",
    )
    .await;
    let mut statuses = Vec::new();
    for _ in 0..5 {
        let heard = ask(&server, whole("/api/v1")).await;
        statuses.push(heard.head["HTTP/1.1 ".len()..][..3].to_owned());
    }
    assert_eq!(statuses, ["500", "500", "200", "429", "502"]);
    assert!(server.llm().unsaid().is_empty());
}

#[tokio::test]
async fn a_fault_is_journaled_with_what_was_sent() {
    let server =
        serve("[{ id: a, fault: { reset: 2 }, response: { content: one two three } }]").await;
    let broken = ask(&server, streamed("/coding/v1")).await;
    let journal = server.journal().entries();
    let fault = journal
        .iter()
        .find(|entry| entry.event == "llm.fault")
        .unwrap();
    assert!(journal.iter().all(|entry| entry.event != "llm.reply"));
    let chunks = [broken.body, ended([])].concat();
    let sent: usize = Wire {
        body: chunks,
        ..broken
    }
    .chunks()
    .iter()
    .map(Vec::len)
    .sum();
    assert_eq!(
        Value::Object(fault.fields.clone()),
        serde_json::json!({
            "n": 1, "lane": "main", "turn": "a", "fault": "reset", "at": "after 2 frames",
            "frames": 2, "bytes": sent,
        })
    );
}

#[tokio::test]
async fn a_fault_that_cannot_come_is_unexpected() {
    let server = serve("[{ id: a, fault: { reset: 30 }, response: { content: hi } }]").await;
    let heard = ask(&server, streamed("/coding/v1")).await;
    assert_eq!(heard.end, End::Closed);
    let report = server.unexpected().remove(0).report;
    let told = "turn `a` cannot go wrong as it should: its fault comes after 30 frames, and the answer has ";
    assert!(report.starts_with(told), "{report}");
}

#[tokio::test]
async fn arguments_in_one_piece_are_broken_inside_all_the_same() {
    let server = serve(
        "[{ fault: { close: arguments }, response: { tool_calls: [{ name: bash, arguments: { a: 1 } }] } }]",
    )
    .await;
    let broken = ask(&server, streamed("/coding/v1")).await;
    let body = String::from_utf8(broken.body).unwrap();
    assert!(body.contains(r#""arguments":"{\"a\"""#), "{body}");
    assert!(!body.contains("1}"), "{body}");
}
