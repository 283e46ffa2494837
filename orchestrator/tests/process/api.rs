//! The HTTP API under requests that no good client sends.

use crate::stage::Stage;

const CHAT: &str = "/v1/chat/completions";

#[test]
fn everything_but_health_wants_the_token() {
    let stage = Stage::new();
    let nanokimi = stage.start(&[]);
    assert_eq!(nanokimi.ask_with("GET", "/health", "", "").status, 200);
    for headers in [
        "",
        "Authorization: Bearer wrong\r\n",
        "Authorization: Basic x\r\n",
    ] {
        for path in ["/v1/status", "/v1/events", "/metrics", "/v1/chat/sessions"] {
            let answer = nanokimi.ask_with("GET", path, headers, "");
            assert_eq!(answer.status, 401, "{path}: {answer:?}");
            assert!(answer.body.contains("data/api-token"), "{answer:?}");
        }
    }
}

#[test]
fn bad_requests_are_errors_that_say_what_would_be_good() {
    let stage = Stage::new();
    let nanokimi = stage.start(&[]);
    for (body, says) in [
        ("", "not a chat request"),
        ("{\"messages\": 1}", "not a chat request"),
        (
            "{\"session_id\":\"a\",\"messages\":[]}",
            "`messages` is empty",
        ),
        (
            "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
            "session_id",
        ),
        (
            "{\"session_id\":\"a b\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
            "is not a chat",
        ),
        (
            "{\"session_id\":\"a\",\"messages\":[{\"role\":\"assistant\",\"content\":\"x\"}]}",
            "must be the user's",
        ),
    ] {
        let answer = nanokimi.ask("POST", CHAT, body);
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
        assert!(answer.body.contains(says), "{body}: {answer:?}");
    }
    let giant = format!("{{\"x\":\"{}\"}}", "y".repeat(1 << 20));
    assert_eq!(nanokimi.ask("POST", CHAT, &giant).status, 413);
    assert_eq!(nanokimi.ask("GET", "/v1/nothing", "").status, 404);
    assert_eq!(nanokimi.ask("GET", CHAT, "").status, 405);
    assert_eq!(
        nanokimi
            .ask("GET", "/v1/chat/sessions/none/history", "")
            .status,
        404
    );
}

#[test]
fn nothing_of_a_bad_request_is_stored() {
    let stage = Stage::new();
    let nanokimi = stage.start(&[]);
    nanokimi.ask("POST", CHAT, "{\"session_id\":\"ada\",\"messages\":[]}");
    let sessions = nanokimi.ask("GET", "/v1/chat/sessions", "").body;
    assert!(
        sessions.contains("main") && !sessions.contains("ada"),
        "{sessions}"
    );
}

#[test]
fn time_can_be_moved_only_where_it_was_frozen() {
    let stage = Stage::new();
    let body = "{\"advance\":\"1h\"}";
    assert_eq!(stage.start(&[]).ask("POST", "/v1/clock", body).status, 404);

    let frozen = stage.start(&["--test-clock", "2026-01-05T09:00:00Z"]);
    let moved = frozen.ask("POST", "/v1/clock", body);
    assert_eq!(moved.status, 200);
    assert!(
        moved
            .body
            .contains("\"now\":\"2026-01-05T10:00:00Z\",\"settled\":true"),
        "{moved:?}"
    );
    let back = "{\"advance_to\":\"2026-01-05T09:30:00Z\"}";
    assert_eq!(frozen.ask("POST", "/v1/clock", back).status, 400);
    for no_move in [
        "{}",
        "{\"set_back\":\"-1h\"}",
        "{\"set_back\":\"1h\",\"advance\":\"1h\"}",
    ] {
        let refused = frozen.ask("POST", "/v1/clock", no_move);
        assert_eq!(refused.status, 400, "{no_move}");
    }
    let moved = frozen.ask("POST", "/v1/clock", "{\"set_back\":\"30m\"}");
    assert!(
        moved
            .body
            .contains("\"now\":\"2026-01-05T09:30:00Z\",\"settled\":true"),
        "{moved:?}"
    );
    // It may be reached from other machines, so the token is all that keeps them from it.
    let stranger = frozen.ask_with("POST", "/v1/clock", "", "{\"advance\":\"1h\"}");
    assert_eq!(stranger.status, 401);
}

#[test]
fn events_go_on_where_a_reader_left_off() {
    let stage = Stage::new();
    let nanokimi = stage.start(&[]);
    stage.run(&["groups", "register", "http:ada", "--folder", "ada"]);
    let message = "{\"session_id\":\"ada\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}";
    assert_eq!(nanokimi.ask("POST", CHAT, message).status, 202);

    let whole = nanokimi.read_until("/v1/events", "", "message.received");
    assert!(
        whole.contains("id: 1") && whole.contains("group.registered"),
        "{whole}"
    );
    let rest = nanokimi.read_until("/v1/events", "Last-Event-ID: 1\r\n", "message.received");
    assert!(
        rest.contains("id: 2") && !rest.contains("group.registered"),
        "{rest}"
    );
    let foreign = nanokimi.ask_with("GET", "/v1/events", "Last-Event-ID: x\r\n", "");
    assert_eq!(foreign.status, 401, "the token is asked for first");
}

#[test]
fn metrics_are_what_prometheus_reads() {
    let stage = Stage::new();
    let metrics = stage.start(&[]).ask("GET", "/metrics", "").body;
    assert!(
        metrics.contains("nanokimi_events_total{event=\"group.registered\"} 1"),
        "{metrics}"
    );
    assert!(metrics.trim_end().ends_with("# EOF"), "{metrics}");
}
