//! Streams as they were recorded or feared, and what becomes of them.

use super::*;

/// Reads `body` in one piece, byte by byte and in threes; all must agree.
#[track_caller]
fn read(body: &str) -> Result<Answer, Trouble> {
    let all = [body.len().max(1), 1, 3].map(|size| {
        let mut reader = AnswerReader::default();
        for piece in body.as_bytes().chunks(size) {
            if reader.push(piece)?.is_break() {
                break;
            }
        }
        reader.finish(None)
    });
    let told: Vec<String> = all.iter().map(|one| format!("{one:?}")).collect();
    assert!(told.iter().all(|one| *one == told[0]), "{told:#?}");
    let [first, ..] = all;
    first
}

fn stream(frames: &[&str]) -> String {
    frames
        .iter()
        .map(|frame| format!("data: {frame}\n\n"))
        .collect()
}

#[track_caller]
fn check(body: &str, text: &str) {
    assert_eq!(read(body).unwrap().text, text);
}

#[track_caller]
fn check_trouble(body: &str, kind: AgentErrorKind, message: &str) {
    let trouble = read(body).unwrap_err();
    assert_eq!(trouble.kind, kind, "{}", trouble.message);
    assert!(trouble.message.contains(message), "{}", trouble.message);
}

/// One call per line: `id name arguments`.
#[track_caller]
fn check_calls(frames: &[&str], calls: &str) {
    let mut frames: Vec<String> = frames
        .iter()
        .map(|calls| format!(r#"{{"choices":[{{"delta":{{"tool_calls":[{calls}]}}}}]}}"#))
        .collect();
    frames.push("[DONE]".to_owned());
    let frames: Vec<&str> = frames.iter().map(String::as_str).collect();
    let seen: Vec<String> = read(&stream(&frames))
        .unwrap()
        .calls
        .iter()
        .map(|call| format!("{} {} {}", call.id, call.name, call.arguments))
        .collect();
    assert_eq!(seen.join("\n"), calls);
}

const HALLO: &str = r#"{"choices":[{"delta":{"content":"Hallo, "}}]}"#;
const WELT: &str = r#"{"choices":[{"delta":{"content":"Wöłt 🐈"}}]}"#;
const STOP: &str = r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#;

#[test]
fn fragments_make_a_text() {
    check(&stream(&[HALLO, WELT, STOP, "[DONE]"]), "Hallo, Wöłt 🐈");
}

#[test]
fn either_a_finish_reason_or_done_ends_an_answer() {
    let no_reason_yet = r#"{"choices":[{"delta":{},"finish_reason":""}]}"#;
    check(
        &stream(&[HALLO, no_reason_yet, "", WELT, STOP]),
        "Hallo, Wöłt 🐈",
    );
    check(&stream(&[HALLO, STOP]), "Hallo, ");
    check(&stream(&[HALLO, "[DONE]"]), "Hallo, ");
}

#[test]
fn what_ends_in_the_middle_is_no_answer() {
    check_trouble(&stream(&[HALLO]), AgentErrorKind::Network, "broke off");
    check_trouble(
        "data: {\"choices\":[{\"de",
        AgentErrorKind::Protocol,
        "cannot be read",
    );
    check_trouble("", AgentErrorKind::Network, "is empty");
    check_trouble(": ping\n\n", AgentErrorKind::Network, "is empty");
    check_trouble(&stream(&["[DONE]"]), AgentErrorKind::Network, "is empty");
}

#[test]
fn a_model_may_stop_without_a_word() {
    check(&stream(&[STOP, "[DONE]"]), "");
}

#[test]
fn a_break_after_the_end_does_no_harm() {
    let mut reader = AnswerReader::default();
    let progress = reader.push(stream(&[HALLO, STOP]).as_bytes()).unwrap();
    assert_eq!(progress, ControlFlow::Continue(Progress::Finished));
    let reset = Trouble::passing(AgentErrorKind::Network, "reset");
    assert_eq!(reader.finish(Some(reset)).unwrap().text, "Hallo, ");
}

#[test]
fn a_break_before_the_end_is_the_reason() {
    let mut reader = AnswerReader::default();
    let progress = reader.push(stream(&[HALLO]).as_bytes()).unwrap();
    assert_eq!(progress, ControlFlow::Continue(Progress::Something));
    let reset = Trouble::passing(AgentErrorKind::Stalled, "silence");
    assert_eq!(reader.finish(Some(reset)).unwrap_err().message, "silence");
}

#[test]
fn comments_and_empty_frames_are_no_progress() {
    for piece in [
        ": ping\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"\"}}]}\n\n",
    ] {
        let mut reader = AnswerReader::default();
        let progress = reader.push(piece.as_bytes()).unwrap();
        assert_eq!(
            progress,
            ControlFlow::Continue(Progress::Nothing),
            "{piece}"
        );
    }
}

#[test]
fn calls_are_put_together_by_index() {
    check_calls(
        &[
            r#"{"index":0,"id":"a","function":{"name":"bash","arguments":""}}"#,
            r#"{"index":0,"function":{"arguments":"{\"com"}}"#,
            r#"{"index":1,"id":"b","function":{"name":"read_file","arguments":"{}"}}"#,
            r#"{"index":0,"function":{"arguments":"mand\":1}"}}"#,
        ],
        "a bash {\"command\":1}\nb read_file {}",
    );
}

#[test]
fn calls_without_an_index_follow_the_order() {
    check_calls(
        &[
            r#"{"id":"a","function":{"name":"bash","arguments":"{"}}"#,
            r#"{"function":{"arguments":"}"}}"#,
            r#"{"id":"b","function":{"name":"bash","arguments":"{}"}}"#,
        ],
        "a bash {}\nb bash {}",
    );
}

#[test]
fn a_repeated_id_continues_and_another_one_begins() {
    check_calls(
        &[
            r#"{"index":0,"id":"a","function":{"name":"bash","arguments":"{"}}"#,
            r#"{"index":0,"id":"a","function":{"name":"bash","arguments":"}"}}"#,
            r#"{"index":0,"id":"b","function":{"name":"bash","arguments":"{}"}}"#,
        ],
        "a bash {}\nb bash {}",
    );
}

#[test]
fn every_call_has_an_id_of_its_own() {
    check_calls(
        &[
            r#"{"index":0,"function":{"name":"bash","arguments":"{}"}}"#,
            r#"{"index":1,"id":"","function":{"name":"bash","arguments":"{}"}}"#,
            r#"{"index":2,"id":"x","function":{"name":"bash","arguments":"{}"}}"#,
            r#"{"index":3,"id":"x","function":{"name":"bash","arguments":{"a":1}}}"#,
        ],
        "call_0 bash {}\ncall_1 bash {}\nx bash {}\nx_3 bash {\"a\":1}",
    );
}

#[test]
fn usage_is_found_wherever_it_is_put() {
    let at_the_end = r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":4}}}"#;
    let in_the_choice = r#"{"choices":[{"delta":{},"finish_reason":"stop","usage":{"prompt_tokens":9,"completion_tokens":2,"cached_tokens":4}}]}"#;
    let expected = Some(Usage {
        prompt_tokens: 9,
        completion_tokens: 2,
        cached_tokens: 4,
    });
    for frames in [[HALLO, STOP, at_the_end], [HALLO, WELT, in_the_choice]] {
        assert_eq!(read(&stream(&frames)).unwrap().usage, expected);
    }
}

#[test]
fn reasoning_is_kept_once_under_either_name() {
    let answer = read(&stream(&[
        r#"{"choices":[{"delta":{"reasoning_content":"a","reasoning":"a"}}]}"#,
        r#"{"choices":[{"delta":{"content":null,"reasoning":"b"}}]}"#,
        STOP,
    ]));
    assert_eq!(answer.unwrap().reasoning, "ab");
}

#[test]
fn finish_reasons_have_their_consequence() {
    let ends = |reason: &str| {
        stream(&[
            HALLO,
            &format!(r#"{{"choices":[{{"finish_reason":"{reason}"}}]}}"#),
        ])
    };
    assert!(read(&ends("length")).unwrap().cut_off);
    assert_eq!(read(&ends("STOP")).unwrap(), read(&ends("stop")).unwrap());
    check_trouble(&ends("tool_calls"), AgentErrorKind::Protocol, "holds none");
    check_trouble(
        &ends("content_filter"),
        AgentErrorKind::ContentFilter,
        "withheld",
    );
    check_trouble(
        &ends("error"),
        AgentErrorKind::Upstream,
        "finish reason `error`",
    );
    check_trouble(&ends("boredom"), AgentErrorKind::Protocol, "`boredom`");
}

#[test]
fn an_error_frame_ends_the_answer() {
    let frame = r#"{"error":{"code":502,"message":"gone"},"choices":[{"delta":{"content":""},"finish_reason":"error"}]}"#;
    check_trouble(&stream(&[HALLO, frame]), AgentErrorKind::Upstream, "gone");
}

#[test]
fn an_answer_that_is_not_streamed_is_one_too() {
    let body =
        r#"{"choices":[{"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}"#;
    check(&format!("\n   \n{body}"), "Hi");
    check_trouble(
        r#"{"error":{"code":402,"message":"m"}}"#,
        AgentErrorKind::Quota,
        "402",
    );
    check_trouble(
        r#"{"object":"list"}"#,
        AgentErrorKind::Protocol,
        "no completion",
    );
    check_trouble("{\"choices\":", AgentErrorKind::Protocol, "cannot be read");
    check_trouble("<html>", AgentErrorKind::Protocol, "web page");
}
