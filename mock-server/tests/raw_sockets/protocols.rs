//! Anthropic's messages, OpenAI's chat and its responses break as scripted, byte for byte.

use super::wire::{
    ANTHROPIC, End, Form, OPENAI, RESPONSES, Wire, ask, chunked, ended, is_comment, serve,
    streamed, whole,
};

const PROTOCOLS: [&str; 3] = [ANTHROPIC, OPENAI, RESPONSES];
const RESPONSE: &str =
    "response: { content: Let me see., tool_calls: [{ name: bash, arguments: { command: ls } }] }";

/// Asks a turn with this fault twice: first the fault comes, then the whole answer.
async fn broken_then_whole(fault: &str, form: Form) -> (Wire, Wire) {
    let server = serve(&format!("[{{ id: a, fault: {fault}, {RESPONSE} }}]")).await;
    let broken = ask(&server, form).await;
    let well = ask(&server, form).await;
    assert_eq!(server.llm().unsaid(), [], "{fault} in {form:?}");
    assert_eq!(server.unexpected(), [], "{fault} in {form:?}");
    (broken, well)
}

/// The first frames of a stream, chunk by chunk.
fn frames(well: &Wire, count: usize) -> Vec<u8> {
    chunked(well.until(count).iter().map(Vec::as_slice))
}

#[tokio::test]
async fn a_stream_is_cut_after_its_frames() {
    for path in PROTOCOLS {
        for (how, end) in [("reset", End::Reset), ("close", End::Closed)] {
            for count in [1, 4] {
                let fault = format!("{{ {how}: {count} }}");
                let (broken, well) = broken_then_whole(&fault, streamed(path)).await;
                assert_eq!(broken.head, well.head, "{fault} at {path}");
                assert_eq!(broken.body, frames(&well, count), "{fault} at {path}");
                assert_eq!(
                    (broken.end, well.end),
                    (end, End::Closed),
                    "{fault} at {path}"
                );
            }
        }
    }
}

/// The frames of a stream up to the last that holds `word`.
fn up_to(well: &Wire, word: &str) -> Vec<Vec<u8>> {
    let frames = well.chunks();
    let holds = |frame: &Vec<u8>| String::from_utf8_lossy(frame).contains(word);
    let last = frames.iter().rposition(holds).unwrap();
    frames[..=last].to_vec()
}

/// Of a call that is under way.
const FRAGMENTS: [(&str, &str); 3] = [
    (ANTHROPIC, "\"partial_json\""),
    (OPENAI, "[{\"index\":0,\"function\":{\"arguments\""),
    (RESPONSES, "function_call_arguments.delta"),
];

/// The beginning of the frame that tells of an error behind so many others.
fn error_frame(path: &str, place: usize) -> String {
    let (event, told) = match path {
        ANTHROPIC => (
            "event: error\n",
            r#"{"type":"error","error":{"type":"rate_limit_exceeded","message":"Slow."},"request_id":"#
                .to_owned(),
        ),
        RESPONSES => (
            "event: error\n",
            format!(
                r#"{{"type":"error","code":"rate_limit_exceeded","message":"Slow.","param":null,"sequence_number":{place}}}"#
            ),
        ),
        _chat => (
            "",
            r#"{"error":{"message":"Slow.","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#
                .to_owned(),
        ),
    };
    format!("{event}data: {told}")
}

#[tokio::test]
async fn an_error_comes_behind_the_last_word_and_before_anything_of_the_end() {
    let fault = "{ error: { after: said, type: rate_limit_exceeded, message: Slow. } }";
    for (path, fragment) in FRAGMENTS {
        let (broken, well) = broken_then_whole(fault, streamed(path)).await;
        let frames = broken.chunks();
        let (last, before) = frames.split_last().unwrap();
        assert_eq!(before, up_to(&well, fragment), "{path}");
        let last = String::from_utf8(last.clone()).unwrap();
        assert!(
            last.starts_with(&error_frame(path, before.len())),
            "{path}: {last}"
        );
        assert_eq!((&broken.head, broken.end), (&well.head, End::Closed));
        let body = ended(frames.iter().map(Vec::as_slice));
        assert_eq!(broken.body, body, "{path}");
    }
}

#[tokio::test]
async fn a_response_fails_in_an_event_of_its_own() {
    let fault =
        "{ error: { after: said, type: server_error, message: Down., event: response.failed } }";
    let (broken, _) = broken_then_whole(fault, streamed(RESPONSES)).await;
    let frames = broken.chunks();
    let (last, before) = frames.split_last().unwrap();
    let last = String::from_utf8(last.clone()).unwrap();
    let data = last.strip_prefix("event: response.failed\ndata: ").unwrap();
    let event: serde_json::Value =
        serde_json::from_str(data.strip_suffix("\n\n").unwrap()).unwrap();
    assert_eq!(event["sequence_number"], before.len());
    let response = &event["response"];
    assert_eq!(response["status"], "failed");
    let error = serde_json::json!({ "code": "server_error", "message": "Down." });
    assert_eq!(response["error"], error);
    let begun = String::from_utf8(before[0].clone()).unwrap();
    assert!(begun.contains(response["id"].as_str().unwrap()), "{begun}");
}

#[tokio::test]
async fn a_stream_is_cut_behind_its_last_word() {
    for (path, fragment) in FRAGMENTS {
        let (broken, well) = broken_then_whole("{ reset: said }", streamed(path)).await;
        let frames = up_to(&well, fragment);
        let frames = chunked(frames.iter().map(Vec::as_slice));
        assert_eq!(broken.body, frames, "{path}");
        assert_eq!(broken.end, End::Reset, "{path}");
    }
}

#[tokio::test]
async fn nothing_comes_where_it_breaks_before_a_byte() {
    for path in PROTOCOLS {
        for form in [streamed(path), whole(path)] {
            let (broken, _) = broken_then_whole("{ reset: request }", form).await;
            let nothing = (broken.head.as_str(), broken.body.len(), broken.end);
            assert_eq!(nothing, ("", 0, End::Reset), "{form:?}");
        }
    }
}

#[tokio::test]
async fn a_stream_ends_early_as_if_it_were_whole() {
    for path in PROTOCOLS {
        let (broken, well) = broken_then_whole("{ end: 3 }", streamed(path)).await;
        let three = well.until(3);
        assert_eq!(
            broken.body,
            ended(three.iter().map(Vec::as_slice)),
            "{path}"
        );
        assert_eq!(broken.end, End::Closed, "{path}");
    }
}

#[tokio::test]
async fn a_frame_is_no_json_among_whole_ones() {
    for path in PROTOCOLS {
        let (broken, well) = broken_then_whole("{ invalid: 2 }", streamed(path)).await;
        let (cut, healthy) = (broken.chunks(), well.chunks());
        let mut counted = (0..healthy.len()).filter(|place| !is_comment(&healthy[*place]));
        let third = counted.nth(2).unwrap();
        assert_eq!(cut[..third], healthy[..third], "{path}");
        assert_eq!(cut[third + 1..], healthy[third + 1..], "{path}");
        let data = |frame: &[u8]| {
            let text = String::from_utf8(frame.to_vec()).unwrap();
            let data = text.lines().find_map(|line| line.strip_prefix("data: "));
            data.map(str::to_owned).unwrap()
        };
        let is_json =
            |frame: &[u8]| serde_json::from_str::<serde_json::Value>(&data(frame)).is_ok();
        assert_eq!(
            (is_json(&cut[third]), is_json(&healthy[third])),
            (false, true),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_document_is_cut_within_the_length_that_it_promised() {
    for path in PROTOCOLS {
        let fault = "{ close: { bytes: 40 } }";
        let (broken, well) = broken_then_whole(fault, whole(path)).await;
        assert_eq!(broken.head, well.head, "{path}");
        assert_eq!(broken.body, well.body[..40], "{path}");
    }
}

#[tokio::test]
async fn a_refusal_has_the_status_and_the_words_of_its_service() {
    let words = [
        (ANTHROPIC, r#""type":"rate_limit_error""#),
        (OPENAI, r#""code":"rate_limit_exceeded""#),
        (RESPONSES, r#""code":"rate_limit_exceeded""#),
    ];
    for (path, word) in words {
        let fault = "{ status: 429, headers: { retry-after: 7 } }";
        for form in [streamed(path), whole(path)] {
            let (broken, well) = broken_then_whole(fault, form).await;
            assert!(broken.head.starts_with("HTTP/1.1 429 "), "{broken:?}");
            assert!(broken.head.contains("retry-after: 7\r\n"), "{broken:?}");
            let body = String::from_utf8_lossy(&broken.body).into_owned();
            assert!(body.contains(word), "{body}");
            assert!(well.head.starts_with("HTTP/1.1 200 "), "{well:?}");
        }
    }
}
