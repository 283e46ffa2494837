//! Passing a request on and its answer back, byte for byte as it comes, and listening.
//!
//! What concerns one connection only is not passed on: its framing, how it is kept open,
//! and how bytes are packed (the recorder must be able to read what it hears).

use std::time::Instant;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use futures_util::stream::{BoxStream, unfold};
use futures_util::{StreamExt, TryStreamExt};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use crate::record::exchange::{Exchange, Headers, Received, Sent};
use crate::record::sse::{self, Frame};
use crate::record::unfit::Unfit;
use crate::record::upstream::Upstream;
use crate::server::LARGEST_BODY;
use crate::text::chain;

/// What every request needs.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    pub(crate) upstream: Upstream,
    pub(crate) client: reqwest::Client,
    pub(crate) takes: mpsc::Sender<Take>,
}

/// An exchange that is over, on its way to the tape.
#[derive(Debug)]
pub(crate) struct Take {
    pub(crate) exchange: Exchange,
    /// Whether it came to its end.
    pub(crate) end: Result<(), Unfit>,
    /// Told when it is written down.
    pub(crate) written: oneshot::Sender<()>,
}

const PER_CONNECTION: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::CONTENT_LENGTH,
];

/// Serves every path.
pub(crate) async fn pass_on(State(desk): State<Desk>, request: Request) -> Response {
    // Taken first, so that what was heard can be handed over also when all else is over.
    let Ok(permit) = desk.takes.clone().reserve_owned().await else {
        return failed(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the recorder has stopped",
        );
    };
    let (parts, body) = request.into_parts();
    let url = desk.upstream.below(&parts.uri);
    let mut listener = Listener::new(permit, asked(&parts, &url));
    let body = match to_bytes(body, LARGEST_BODY).await {
        Ok(body) => body,
        Err(fault) => {
            let fault = chain(&fault);
            listener.end(Err(Unfit::RequestCut(fault.clone()))).await;
            return failed(StatusCode::BAD_REQUEST, &fault);
        }
    };
    listener.asks(&body);
    let headers = sent_on(&parts.headers);
    let request = desk.client.request(parts.method, url).headers(headers);
    match request.body(body).send().await {
        Ok(response) => passed_back(response, listener),
        Err(fault) => {
            let fault = chain(&fault.without_url());
            listener.end(Err(Unfit::Unreachable(fault.clone()))).await;
            failed(StatusCode::BAD_GATEWAY, &fault)
        }
    }
}

fn passed_back(response: reqwest::Response, mut listener: Listener) -> Response {
    let (status, headers) = (response.status(), kept(response.headers()));
    if let Some(open) = &mut listener.open {
        open.exchange.response.status = status.as_u16();
        open.exchange.response.headers = readable(&headers);
    }
    let passing = Passing {
        answer: response.bytes_stream().boxed(),
        listener,
    };
    let body = Body::from_stream(unfold(passing, Passing::next));
    (status, headers, body).into_response()
}

/// An answer on its way through.
struct Passing {
    answer: BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    listener: Listener,
}

impl Passing {
    async fn next(mut self) -> Option<(reqwest::Result<bytes::Bytes>, Self)> {
        match self.answer.try_next().await {
            Ok(Some(bytes)) => {
                self.listener.hear(&bytes);
                Some((Ok(bytes), self))
            }
            // The client hears of the end when the answer is written down.
            Ok(None) => {
                self.listener.end(Ok(())).await;
                None
            }
            Err(fault) => {
                let fault = fault.without_url();
                self.listener.end(Err(Unfit::Cut(chain(&fault)))).await;
                Some((Err(fault), self))
            }
        }
    }
}

/// Writes along until the answer is over. If it is dropped before, the client went away.
struct Listener {
    open: Option<Open>,
    heard: Vec<u8>,
    asked: Instant,
}

struct Open {
    permit: mpsc::OwnedPermit<Take>,
    exchange: Exchange,
}

impl Listener {
    fn new(permit: mpsc::OwnedPermit<Take>, exchange: Exchange) -> Self {
        Self {
            open: Some(Open { permit, exchange }),
            heard: Vec::new(),
            asked: Instant::now(),
        }
    }

    fn asks(&mut self, body: &[u8]) {
        self.asked = Instant::now();
        if let Some(open) = &mut self.open {
            open.exchange.request.body = String::from_utf8_lossy(body).into_owned();
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.heard.extend_from_slice(bytes);
        let arrival = (self.heard.len(), self.asked.elapsed());
        if let Some(open) = &mut self.open {
            open.exchange.response.arrivals.push(arrival);
        }
    }

    async fn end(&mut self, end: Result<(), Unfit>) {
        let Some((written, tape)) = self.hand_over(|_| end) else {
            return;
        };
        // If the tape has ended, whoever started it tells why.
        tokio::select! {
            _written = written => {}
            () = tape.closed() => {}
        }
    }

    fn hand_over(
        &mut self,
        end: impl FnOnce(&Received) -> Result<(), Unfit>,
    ) -> Option<(oneshot::Receiver<()>, mpsc::Sender<Take>)> {
        let Open {
            permit,
            mut exchange,
        } = self.open.take()?;
        exchange.response.body = String::from_utf8_lossy(&self.heard).into_owned();
        let (written, told) = oneshot::channel();
        let tape = permit.send(Take {
            end: end(&exchange.response),
            exchange,
            written,
        });
        Some((told, tape))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Many clients hang up as soon as they have read the end mark, or an error.
        self.hand_over(|received| {
            let is_whole = received.is_stream()
                && sse::frames(&received.body)
                    .last()
                    .is_some_and(Frame::is_last);
            let cut = || Unfit::Cut("the client went away".to_owned());
            is_whole.then_some(()).ok_or_else(cut)
        });
    }
}

/// Without a body: that is still on its way.
fn asked(parts: &Parts, url: &reqwest::Url) -> Exchange {
    let query = url.query().map(|query| format!("?{query}"));
    let request = Sent {
        method: parts.method.to_string(),
        path: [url.path(), query.as_deref().unwrap_or("")].concat(),
        headers: readable(&sent_on(&parts.headers)),
        body: String::new(),
    };
    Exchange {
        request,
        response: Received::default(),
    }
}

/// What the service is to see: all that the client said, unpacked answers, and its own name.
fn sent_on(headers: &HeaderMap) -> HeaderMap {
    let mut headers = kept(headers);
    headers.remove(header::HOST);
    let plain = HeaderValue::from_static("identity");
    headers.insert(header::ACCEPT_ENCODING, plain);
    headers
}

fn kept(headers: &HeaderMap) -> HeaderMap {
    let named: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()).to_lowercase())
        .collect();
    let is_named = |name: &HeaderName| {
        let mut named = named.iter().flat_map(|value| value.split(','));
        named.any(|other| other.trim() == name.as_str())
    };
    let is_kept = |name: &HeaderName| !PER_CONNECTION.contains(name) && !is_named(name);
    let kept = headers.iter().filter(|(name, _)| is_kept(name));
    kept.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn readable(headers: &HeaderMap) -> Headers {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect()
}

fn failed(status: StatusCode, report: &str) -> Response {
    let body = json!({ "error": { "message": report, "type": "recorder" } });
    (status, Json(body)).into_response()
}
