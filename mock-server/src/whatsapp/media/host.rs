//! The media host: HTTPS on a port of its own, where clients upload sealed files and fetch
//! them.
//!
//! Paths and answers: WhatsApp Web, as Baileys 7.0.0-rc14 and whatsapp-rust 0.7.0 use them.
//! `POST /mms/<kind>/<token>?auth&token` takes a sealed file, whose hash is the token, and
//! answers `{url, direct_path}`; with `resume=1` it says whether the file is there already.
//! `GET <direct_path>` gives it back, whole or in ranges; or not, if somebody wanted it so.

use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use futures_util::stream;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::library::{MediaLibrary, path_of, token};
use crate::advertised::Beside;
use crate::identity::{Identity, IdentityError};
use crate::journal::Journal;
use crate::listening::{ListenError, Listening};
use crate::whatsapp::controls::FileFault;
use crate::whatsapp::phone::{Seed, sha256};

/// How long a client may take to read its last answer.
const GRACE: Duration = Duration::from_secs(2);
/// In bytes; more than WhatsApp takes as a document is not needed here.
pub(crate) const LARGEST_FILE: usize = 256 << 20;

/// The media host, running.
#[derive(Debug)]
#[must_use = "join the media host, or its failures are lost"]
pub(crate) struct MediaHost {
    listening: Listening,
    library: MediaLibrary,
    authority: String,
}

/// The media host could not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MediaHostError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// What the routes share.
#[derive(Clone)]
struct Desk {
    library: MediaLibrary,
    journal: Journal,
}

impl MediaHost {
    /// Takes a free port beside the others; clients may come as soon as this returns.
    ///
    /// # Errors
    /// No port can be had, or no certificate be made.
    pub(crate) async fn start(
        journal: &Journal,
        seed: &Seed,
        beside: Beside,
    ) -> Result<Self, MediaHostError> {
        let seed_of_host = seed.of("media host");
        let identity = Identity::make(|part| seed_of_host.of(part).bytes(), &beside)?;
        let authority = identity.authority().to_owned();
        let library = MediaLibrary::new(seed);
        let router = routes(Desk {
            library: library.clone(),
            journal: journal.clone(),
        });
        let serve = move |socket, stop| speak(socket, stop, identity.clone(), router.clone());
        let listening = Listening::start(beside.any_port(), serve).await?;
        library.open_at(beside.told(listening.address().port()));
        Ok(Self {
            listening,
            library,
            authority,
        })
    }

    /// The certificate of the authority to be trusted, as PEM.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// The files on the host.
    pub(crate) fn library(&self) -> &MediaLibrary {
        &self.library
    }

    /// Closes the port and waits for open connections.
    ///
    /// # Errors
    /// No further connection could be accepted at some time.
    pub(crate) async fn join(self) -> io::Result<()> {
        self.listening.join().await
    }
}

fn routes(desk: Desk) -> Router {
    Router::new()
        .route("/mms/{kind}/{token}", post(upload))
        .route("/v/{folder}/{file}", get(download))
        .fallback(unserved)
        .method_not_allowed_fallback(unserved)
        .layer(DefaultBodyLimit::max(LARGEST_FILE))
        .with_state(desk)
}

async fn speak(socket: TcpStream, stop: CancellationToken, identity: Identity, router: Router) {
    let Some(stream) = identity.show(socket, &stop).await else {
        return;
    };
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    // A client that hangs up is its own business.
    let _ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            timeout(GRACE, connection).await.unwrap_or(Ok(()))
        }
    };
}

#[derive(Deserialize)]
struct UploadQuery {
    auth: Option<String>,
    resume: Option<String>,
}

async fn upload(
    State(desk): State<Desk>,
    Path((kind, named)): Path<(String, String)>,
    Query(query): Query<UploadQuery>,
    sealed: Bytes,
) -> Response {
    let path = path_of(&named);
    if query.auth.as_deref() != Some(desk.library.auth()) {
        let report = format!("an upload of {kind} shows no auth, or not what media_conn gave out");
        return refuse(&desk, StatusCode::UNAUTHORIZED, &report);
    }
    if let Some(status) = desk.library.refused_upload() {
        return upload_refused(&desk, &kind, status);
    }
    if query.resume.is_some() {
        let there = desk.library.get(&path).is_some();
        return Json(if there {
            stored(&desk, &path, "complete")
        } else {
            json!({ "resume": "0" })
        })
        .into_response();
    }
    let hash = sha256(&sealed);
    if token(&hash) != named {
        let report = format!("an upload of {kind} is not what its token says: the hash differs");
        return refuse(&desk, StatusCode::BAD_REQUEST, &report);
    }
    let bytes = sealed.len();
    let path = desk.library.put(&hash, sealed);
    note(
        &desk,
        "whatsapp.uploaded",
        &[
            ("kind", kind.into()),
            ("path", path.clone().into()),
            ("bytes", bytes.into()),
        ],
    );
    Json(stored(&desk, &path, "complete")).into_response()
}

fn upload_refused(desk: &Desk, kind: &str, status: u16) -> Response {
    note(
        desk,
        "whatsapp.upload_refused",
        &[("kind", kind.into()), ("status", status.into())],
    );
    error(status)
}

/// As the host answers when somebody wanted it to.
fn error(status: u16) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (
        status,
        Json(json!({ "error": "the media host was told to" })),
    )
        .into_response()
}

fn stored(desk: &Desk, path: &str, resume: &str) -> Value {
    json!({ "url": desk.library.url(path), "direct_path": path, "resume": resume })
}

async fn download(State(desk): State<Desk>, headers: HeaderMap, request: Request) -> Response {
    let path = request.uri().path();
    let Some(file) = desk.library.get(path) else {
        return refuse(
            &desk,
            StatusCode::NOT_FOUND,
            &format!("no file lies at {path}"),
        );
    };
    let asked = headers.get(RANGE).map(HeaderValue::as_bytes);
    let asked = asked.map(String::from_utf8_lossy);
    let fault = desk.library.fault(path);
    let told = fault.map_or(Value::Null, |fault| json!(fault));
    let fields = [
        ("path", path.into()),
        ("bytes", file.len().into()),
        ("fault", told),
    ];
    note(&desk, "whatsapp.fetched", &fields);
    match fault {
        None => served(&file, asked.as_deref()),
        Some(FileFault::Status(status)) => error(status),
        Some(FileFault::Cut) => cut(&file),
        Some(FileFault::Corrupt) => served(&changed(&file), asked.as_deref()),
    }
}

fn served(file: &Bytes, asked: Option<&str>) -> Response {
    let size = file.len();
    let Some(asked) = asked else {
        return file.clone().into_response();
    };
    let Some((from, to)) = span(asked, size) else {
        let range = format!("bytes */{size}");
        return (StatusCode::RANGE_NOT_SATISFIABLE, [(CONTENT_RANGE, range)]).into_response();
    };
    let range = format!("bytes {from}-{to}/{size}");
    let part = file.slice(from..=to);
    (StatusCode::PARTIAL_CONTENT, [(CONTENT_RANGE, range)], part).into_response()
}

/// Announces all of it, gives half of it, and hangs up.
fn cut(file: &Bytes) -> Response {
    let half = file.slice(..file.len() / 2);
    let hung_up = io::Error::from(io::ErrorKind::ConnectionReset);
    let body = Body::from_stream(stream::iter([Ok(half), Err(hung_up)]));
    ([(CONTENT_LENGTH, file.len())], body).into_response()
}

/// With another byte in the middle.
fn changed(file: &Bytes) -> Bytes {
    let mut bytes = file.to_vec();
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    bytes.into()
}

/// First and last byte of `bytes=<from>-<to>`, `bytes=<from>-` or `bytes=-<last so many>`.
fn span(asked: &str, size: usize) -> Option<(usize, usize)> {
    let (from, to) = asked.strip_prefix("bytes=")?.split_once('-')?;
    let end = size.checked_sub(1)?;
    let (from, to) = match (from, to) {
        ("", last) => (size.saturating_sub(number(last)?), end),
        (from, "") => (number(from)?, end),
        (from, to) => (number(from)?, number(to)?.min(end)),
    };
    (from <= to).then_some((from, to))
}

fn number(text: &str) -> Option<usize> {
    match text.parse() {
        Ok(number) => Some(number),
        // A range that is none is answered 416, whatever is wrong with it.
        Err(_not_a_number) => None,
    }
}

async fn unserved(State(desk): State<Desk>, request: Request) -> Response {
    let asked = format!("{} {}", request.method(), request.uri().path());
    refuse(
        &desk,
        StatusCode::NOT_FOUND,
        &format!("the media host does not serve {asked}"),
    )
}

fn refuse(desk: &Desk, status: StatusCode, report: &str) -> Response {
    note(desk, "whatsapp.unexpected", &[("report", report.into())]);
    (status, Json(json!({ "error": report }))).into_response()
}

fn note(desk: &Desk, event: &'static str, fields: &[(&str, Value)]) {
    let fields = fields
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| ((*name).to_owned(), value.clone()));
    desk.journal.write(event, fields.collect());
}
