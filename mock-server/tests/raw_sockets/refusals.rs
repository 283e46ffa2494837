//! Answers that are none: statuses, a proxy's page, errors within, and nothing at all.

use serde_json::{Value, json};

use super::wire::{End, Form, SERVICES, Wire, ask, ended, is_comment, serve, streamed, whole};

/// The only answer of a turn whose fault is all that comes.
async fn fault(fault: &str, form: Form) -> Wire {
    let server = serve(&format!("[{{ fault: {fault} }}]")).await;
    let wire = ask(&server, form).await;
    assert!(
        server.llm().unsaid().is_empty(),
        "{fault}: it is still owed"
    );
    assert_eq!(wire.end, End::Closed);
    server.join().await.unwrap();
    wire
}

fn document(wire: &Wire) -> Value {
    serde_json::from_slice(&wire.body).unwrap()
}

/// What a frame says, without its envelope.
fn data(frame: &[u8]) -> Value {
    let text = str::from_utf8(frame).unwrap();
    let data = text.strip_prefix("data: ").unwrap();
    serde_json::from_str(data.strip_suffix("\n\n").unwrap()).unwrap()
}

#[tokio::test]
async fn a_status_is_worded_as_its_service_words_it_streamed_or_not() {
    let asked = "{ status: 429, headers: { retry-after: 7, x-ratelimit-limit-requests: '60' } }";
    let head = |length: usize| {
        format!(
            "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\nretry-after: 7\r\nx-ratelimit-limit-requests: 60\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
        )
    };
    for path in SERVICES {
        let (stream, document) = (
            fault(asked, streamed(path)).await,
            fault(asked, whole(path)).await,
        );
        assert_eq!(stream, document);
        assert_eq!(stream.head, head(stream.body.len()));
    }
    let bodies = [
        document(&fault(asked, whole(SERVICES[0])).await),
        document(&fault(asked, whole(SERVICES[1])).await),
    ];
    insta::assert_json_snapshot!(bodies);
}

#[tokio::test]
async fn message_type_and_body_are_those_of_the_script() {
    let [openrouter, kimi] = SERVICES;
    let said = "{ status: 402, message: Pay first., type: broke }";
    assert_eq!(
        document(&fault(said, whole(kimi)).await),
        json!({ "error": { "message": "Pay first.", "type": "broke" } })
    );
    let map = fault(
        "{ status: 200, body: { error: { code: 1 } } }",
        whole(openrouter),
    )
    .await;
    assert_eq!(map.body, br#"{"error":{"code":1}}"#);
    assert!(map.head.starts_with("HTTP/1.1 200 OK\r\n"));
    let text = fault(
        "{ status: 503, body: gone, headers: { content-type: text/csv } }",
        whole(kimi),
    )
    .await;
    assert_eq!(text.body, b"gone");
    assert!(
        text.head.contains("\r\ncontent-type: text/csv\r\n"),
        "{text:?}"
    );
}

#[tokio::test]
async fn a_proxys_page_is_html() {
    let page = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n";
    let head = format!(
        "HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        page.len()
    );
    for path in SERVICES {
        for form in [streamed(path), whole(path)] {
            let wire = fault("{ html: 502 }", form).await;
            assert_eq!(wire.head, head);
            assert_eq!(wire.body, page.as_bytes());
        }
    }
}

#[tokio::test]
async fn an_error_within_a_stream_comes_after_its_frames_and_ends_it() {
    let script = "[{ fault: { error: { after: 3, type: provider_unavailable, message: gone } }, response: { content: a b c d } }]";
    let mut errors = Vec::new();
    for path in SERVICES {
        let server = serve(script).await;
        let broken = ask(&server, streamed(path)).await;
        let well = ask(&server, streamed(path)).await;
        assert_eq!((&broken.head, broken.end), (&well.head, End::Closed));
        let chunks = broken.chunks();
        let (error, before) = chunks.split_last().unwrap();
        assert_eq!(before, well.until(3));
        errors.push(data(error));
    }
    insta::assert_json_snapshot!(errors);
}

#[tokio::test]
async fn an_error_of_an_answer_that_is_not_streamed_comes_with_status_200() {
    let mut errors = Vec::new();
    for path in SERVICES {
        let wire = fault("{ error: { type: provider_unavailable } }", whole(path)).await;
        assert!(wire.head.starts_with("HTTP/1.1 200 OK\r\n"), "{wire:?}");
        errors.push(document(&wire));
    }
    insta::assert_json_snapshot!(errors);
}

#[tokio::test]
async fn an_empty_stream_has_only_what_it_is_to_have() {
    let [openrouter, kimi] = SERVICES;
    let comment: &[u8] = b": OPENROUTER PROCESSING\n\n";
    let keep_alive: &[u8] = b": keep-alive\n\n";
    let cases: [(&str, &str, &[&[u8]]); 6] = [
        ("nothing", openrouter, &[]),
        ("nothing", kimi, &[]),
        ("done", openrouter, &[b"data: [DONE]\n\n"]),
        ("done", kimi, &[b"data: [DONE]\n\n"]),
        ("comments", openrouter, &[comment; 3]),
        ("comments", kimi, &[keep_alive; 3]),
    ];
    for (empty, path, chunks) in cases {
        let wire = fault(&format!("{{ empty: {empty} }}"), streamed(path)).await;
        assert!(wire.head.starts_with("HTTP/1.1 200 OK\r\n"), "{wire:?}");
        let body = ended(chunks.iter().copied());
        assert_eq!(wire.body, body, "{empty} at {path}: {wire:?}");
    }
}

#[tokio::test]
async fn a_model_that_only_thinks_says_no_word() {
    for path in SERVICES {
        let wire = fault("{ empty: reasoning }", streamed(path)).await;
        let frames = wire.chunks();
        let (done, said) = frames.split_last().unwrap();
        assert_eq!(done, b"data: [DONE]\n\n");
        let said: Vec<_> = said.iter().filter(|frame| !is_comment(frame)).collect();
        let said: Vec<_> = said.iter().map(|frame| data(frame)).collect();
        let deltas: Vec<_> = said
            .iter()
            .map(|frame| &frame["choices"][0]["delta"])
            .collect();
        let spoken = deltas.iter().filter_map(|delta| delta["content"].as_str());
        assert_eq!(spoken.collect::<String>(), "");
        let key = if path == "/api/v1" {
            "reasoning"
        } else {
            "reasoning_content"
        };
        let thought = deltas.iter().filter_map(|delta| delta[key].as_str());
        assert_eq!(thought.collect::<String>(), "Let me think.");
    }
}

#[tokio::test]
async fn an_empty_document_has_no_word_either() {
    for path in SERVICES {
        for empty in ["nothing", "done"] {
            let wire = fault(&format!("{{ empty: {empty} }}"), whole(path)).await;
            assert!(wire.head.contains("\r\ncontent-length: 0\r\n"), "{wire:?}");
            assert_eq!(wire.body, b"");
        }
        let blanks = fault("{ empty: comments }", whole(path)).await;
        assert_eq!(blanks.body.trim_ascii(), b"");
        assert!(!blanks.body.is_empty());
        let thinks = document(&fault("{ empty: reasoning }", whole(path)).await);
        assert_eq!(thinks["choices"][0]["message"]["content"], Value::Null);
    }
}

#[tokio::test]
async fn why_a_model_stopped_and_what_it_garbled_goes_over_the_wire_as_scripted() {
    for path in SERVICES {
        for reason in ["length", "content_filter"] {
            let script = format!("[{{ response: {{ content: hi, finish_reason: {reason} }} }}]");
            let stream = ask(&serve(&script).await, streamed(path)).await;
            let body = String::from_utf8(stream.body).unwrap();
            assert!(
                body.contains(&format!(r#""finish_reason":"{reason}""#)),
                "{body}"
            );
            let answer = document(&ask(&serve(&script).await, whole(path)).await);
            assert_eq!(answer["choices"][0]["finish_reason"], reason);
        }
        let garbled =
            "[{ response: { tool_calls: [{ name: bash, arguments: '{\"command\": ' }] } }]";
        let answer = document(&ask(&serve(garbled).await, whole(path)).await);
        let call = &answer["choices"][0]["message"]["tool_calls"][0];
        assert_eq!(call["function"]["arguments"], "{\"command\": ");
    }
}
