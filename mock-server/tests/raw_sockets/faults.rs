//! Faults beside the turns break what goes over the wire as those of turns do.

use super::wire::{End, KIMI, SERVICES, ask, begin, chunked, serve, streamed, wait_for, whole};

const TURN: &str = "turns: [{ id: a, response: { content: one two three four five } }]";

#[tokio::test]
async fn a_request_is_broken_by_its_number_and_asked_again_it_is_whole() {
    for path in SERVICES {
        let rules = "[{ id: cut, on: model, fault: { reset: 3 } }, { id: down, on: model, nth: 2, fault: { reset: request } }]";
        let server = serve(&format!("{{ faults: {rules}, {TURN} }}")).await;
        let cut = ask(&server, streamed(path)).await;
        let down = ask(&server, whole(path)).await;
        let well = ask(&server, streamed(path)).await;
        let three = well.until(3);
        assert_eq!((&cut.head, cut.end), (&well.head, End::Reset));
        assert_eq!(cut.body, chunked(three.iter().map(Vec::as_slice)));
        assert_eq!(
            (down.head.as_str(), &*down.body, down.end),
            ("", &b""[..], End::Reset)
        );
        assert_eq!(well.end, End::Closed);
        assert!(server.llm().unsaid().is_empty());
        assert!(server.llm().unfired().is_empty());
        assert!(server.unexpected().is_empty(), "{:?}", server.unexpected());
        server.join().await.unwrap();
    }
}

#[tokio::test]
async fn an_answer_that_was_not_heard_is_still_there_behind_a_fault() {
    let rules = "[{ on: model, nth: 2, fault: { status: 503 } }]";
    let server = serve(&format!(
        "{{ faults: {rules}, turns: [{{ hold: door, response: {{ content: hi }} }}] }}"
    ))
    .await;
    let socket = begin(&server, streamed(KIMI)).await;
    wait_for(&server, "llm.held").await;
    drop(socket);
    wait_for(&server, "llm.aborted").await;
    server.llm().release("door").unwrap();
    let down = ask(&server, streamed(KIMI)).await;
    assert!(down.head.starts_with("HTTP/1.1 503 "), "{down:?}");
    let well = ask(&server, streamed(KIMI)).await;
    assert!(well.head.starts_with("HTTP/1.1 200 "), "{well:?}");
    assert!(server.unexpected().is_empty(), "{:?}", server.unexpected());
    assert!(server.llm().unsaid().is_empty());
    assert!(server.llm().unfired().is_empty());
}
