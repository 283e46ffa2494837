//! Where clients come in: `GET /ws/chat` on the mock's one port becomes a WebSocket, and each
//! socket a connection, whose tasks are owned, and joined, here.

use std::panic::resume_unwind;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wacore_libsignal::crypto::CryptographicHash;

use super::WhatsApp;
use super::connection::{ConnectionId, Line, serve};

/// Clients that knock at the same time; the next waits at the door.
pub(super) const QUEUE: usize = 16;
/// What RFC 6455 appends to a client's key.
const WEBSOCKET: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A socket that is about to be one.
pub(super) type Caller = OnUpgrade;

pub(crate) fn routes<S: Clone + Send + Sync + 'static>(whatsapp: &WhatsApp) -> Router<S> {
    Router::new()
        .route("/ws/chat", any(receive))
        .with_state(whatsapp.clone())
}

async fn receive(State(whatsapp): State<WhatsApp>, mut request: Request) -> Response {
    let Some(key) = websocket_key(request.headers()) else {
        return (StatusCode::BAD_REQUEST, "this is WhatsApp's WebSocket").into_response();
    };
    if !whatsapp.network_is_up().await {
        return (StatusCode::SERVICE_UNAVAILABLE, "the network is away").into_response();
    }
    let caller = hyper::upgrade::on(&mut request);
    if whatsapp.callers.send(caller).await.is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the mock has ended").into_response();
    }
    let headers = [
        (header::CONNECTION, "Upgrade".to_owned()),
        (header::UPGRADE, "websocket".to_owned()),
        (header::SEC_WEBSOCKET_ACCEPT, accept(&key)),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

fn websocket_key(headers: &HeaderMap) -> Option<String> {
    let upgrade = headers.get(header::UPGRADE)?.to_str();
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?.to_str();
    match (upgrade, key) {
        (Ok(upgrade), Ok(key)) if upgrade.eq_ignore_ascii_case("websocket") => Some(key.to_owned()),
        (Ok(_) | Err(_), Ok(_) | Err(_)) => None,
    }
}

#[expect(clippy::expect_used, reason = "the algorithm's name is right")]
fn accept(key: &str) -> String {
    let mut hash = CryptographicHash::new("SHA-1").expect("SHA-1 is there");
    hash.update(key.as_bytes());
    hash.update(WEBSOCKET.as_bytes());
    STANDARD.encode(hash.finalize())
}

/// Serves every caller until the mock ends, and waits for the last of them.
///
/// # Panics
/// As a connection did.
pub(super) async fn receive_all(
    mut callers: mpsc::Receiver<Caller>,
    line: Line,
    stop: CancellationToken,
) {
    let mut open = JoinSet::new();
    let mut numbers = (1..).map(ConnectionId);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = open.join_next() => unwound(ended),
            Some(caller) = callers.recv() => {
                let Some(id) = numbers.next() else { break };
                open.spawn(greet(caller, id, line.clone(), stop.clone()));
            }
        }
    }
    while let Some(ended) = open.join_next().await {
        unwound(ended);
    }
}

async fn greet(caller: Caller, id: ConnectionId, line: Line, stop: CancellationToken) {
    let upgraded = tokio::select! {
        upgraded = caller => upgraded,
        () = stop.cancelled() => return,
    };
    // Who hangs up before the switch was never here.
    if let Ok(stream) = upgraded {
        serve(TokioIo::new(stream), id, line, stop).await;
    }
}

fn unwound(ended: Result<(), tokio::task::JoinError>) {
    ended.unwrap_or_else(|panicked| resume_unwind(panicked.into_panic()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_standard_gets_the_answer_of_the_standard() {
        let answer = accept("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(answer, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
