//! One port for all mocks, and what came to it that nobody serves.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::FORWARDED;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::advertised::Advertised;
use crate::control;
use crate::https::{Front, Https, HttpsError};
use crate::journal::Journal;
use crate::line::{Line, Socket};
use crate::listening::{ListenError, Listening};
use crate::llm::{self, ScriptedLlm};
use crate::storage::{self, Storage};
#[cfg(feature = "whatsapp")]
use crate::whatsapp::{self, WhatsApp, WhatsAppError};

/// How long a client may take to read its last answer.
const GRACE: Duration = Duration::from_secs(2);
/// A model's whole context with pictures in it is far smaller.
pub(crate) const LARGEST_BODY: usize = 64 << 20;
/// How much of an answer is made before what there is of it is written, for each client; and the
/// longest head of a request.
const UNWRITTEN: usize = 16 << 10;
/// Written by whoever begins anew; what was unexpected before is forgotten.
pub(crate) const RESET: &str = "mock.reset";

/// Where to listen, and what to make ids of.
#[derive(Clone, Debug)]
pub struct MockOptions {
    /// Default: a free port of 127.0.0.1.
    pub address: SocketAddr,
    /// How clients know it, where that is not `address`.
    pub advertise: Option<Advertised>,
    /// Where HTTPS is spoken as well. Default: nowhere.
    pub https: Option<SocketAddr>,
    /// Ids of two runs with one seed are the same. Default: 0.
    pub seed: u64,
    /// Whether WhatsApp is among them. Default: yes.
    #[cfg(feature = "whatsapp")]
    pub whatsapp: bool,
}

impl Default for MockOptions {
    fn default() -> Self {
        Self {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            advertise: None,
            https: None,
            seed: 0,
            #[cfg(feature = "whatsapp")]
            whatsapp: true,
        }
    }
}

/// All mocks, running.
#[derive(Debug)]
#[must_use = "join the mocks, or their failures are lost"]
pub struct MockServer {
    listening: Listening,
    /// Host and port, as clients know them.
    authority: String,
    https: Option<Https>,
    journal: Journal,
    llm: ScriptedLlm,
    storage: Storage,
    #[cfg(feature = "whatsapp")]
    whatsapp: (WhatsApp, Option<whatsapp::Running>),
    closing: CancellationToken,
}

/// The mocks could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Https(#[from] HttpsError),
    #[cfg(feature = "whatsapp")]
    #[error(transparent)]
    WhatsApp(#[from] WhatsAppError),
}

/// Something that came to a mock and should not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unexpected {
    /// Where it stands in the journal.
    pub seq: u64,
    /// The name of the entry, e.g. `llm.unexpected`.
    pub event: String,
    /// What was wrong, for people; may have several lines.
    pub report: String,
}

impl MockServer {
    /// Starts all mocks; clients may connect as soon as this returns.
    ///
    /// # Errors
    /// A port cannot be had, or keys not be made.
    pub async fn start(options: MockOptions) -> Result<Self, StartError> {
        let journal = Journal::open();
        let llm = ScriptedLlm::new(journal.clone(), options.seed);
        let closing = CancellationToken::new();
        let storage = Storage::new(&llm, options.seed, &closing);
        #[cfg(feature = "whatsapp")]
        let whatsapp = start_whatsapp(&options, &journal).await?;
        let front = front(&options)?;
        let router = Router::<Counter>::new()
            .merge(llm::routes(&llm))
            .merge(control::routes(control::Desk {
                journal: journal.clone(),
                llm: llm.clone(),
                storage: storage.clone(),
                authority: front.as_ref().map(|front| front.authority().into()),
                #[cfg(feature = "whatsapp")]
                whatsapp: whatsapp.0.clone(),
                closing: closing.clone(),
            }));
        #[cfg(feature = "whatsapp")]
        let router = router.merge(whatsapp::socket_routes(&whatsapp.0));
        let router = router
            .fallback(unserved)
            .method_not_allowed_fallback(unserved)
            .with_state(Counter {
                journal: journal.clone(),
                storage: storage.clone(),
            })
            .merge(storage::routes(&storage));
        let https = open_https(front, (router.clone(), journal.clone())).await?;
        let desk = journal.clone();
        let serve = move |socket, stop| {
            let (router, journal) = (router.clone(), desk.clone());
            async move {
                if let Some(fault) = speak_http(socket, stop, (router, None)).await {
                    not_http(&journal, &fault);
                }
            }
        };
        let listening = Listening::start(options.address, serve).await?;
        let authority = match &options.advertise {
            Some(advertised) => advertised.to_string(),
            None => listening.address().to_string(),
        };
        #[cfg(feature = "whatsapp")]
        whatsapp.0.is_known_at(&authority);
        storage.is_known_at(&authority);
        Ok(Self {
            listening,
            authority,
            https,
            #[cfg(feature = "whatsapp")]
            whatsapp,
            journal,
            llm,
            storage,
            closing,
        })
    }

    /// As clients know it, e.g. `http://127.0.0.1:41325`, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.authority)
    }

    /// The same for HTTPS, if that is spoken.
    #[must_use]
    pub fn https_url(&self) -> Option<String> {
        self.https.as_ref().map(Https::url)
    }

    /// The certificate of the authority behind it, which clients must trust, as PEM.
    #[must_use]
    pub fn https_authority(&self) -> Option<&str> {
        self.https.as_ref().map(Https::authority)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listening.address()
    }

    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    #[must_use]
    pub fn llm(&self) -> &ScriptedLlm {
        &self.llm
    }

    #[must_use]
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    #[cfg(feature = "whatsapp")]
    #[must_use]
    pub fn whatsapp(&self) -> &WhatsApp {
        &self.whatsapp.0
    }

    /// What came since the last reset that no mock expected.
    #[must_use]
    pub fn unexpected(&self) -> Vec<Unexpected> {
        unexpected_in(&self.journal)
    }

    /// Lets held answers go, closes the port and waits for open connections.
    ///
    /// # Errors
    /// No further connection could be accepted at some time.
    ///
    /// # Panics
    /// As a mock did.
    pub async fn join(self) -> io::Result<()> {
        self.llm.release_all();
        self.closing.cancel();
        #[cfg(feature = "whatsapp")]
        if let Some(running) = self.whatsapp.1 {
            running.join().await?;
        }
        if let Some(https) = self.https {
            https.join().await?;
        }
        self.listening.join().await
    }
}

fn front(options: &MockOptions) -> Result<Option<Front>, HttpsError> {
    let Some(address) = options.https else {
        return Ok(None);
    };
    let front = Front::make(address, options.advertise.as_ref(), options.seed)?;
    Ok(Some(front))
}

async fn open_https(
    front: Option<Front>,
    served: (Router, Journal),
) -> Result<Option<Https>, HttpsError> {
    Ok(match front {
        Some(front) => Some(Https::open(front, served).await?),
        None => None,
    })
}

#[cfg(feature = "whatsapp")]
async fn start_whatsapp(
    options: &MockOptions,
    journal: &Journal,
) -> Result<(WhatsApp, Option<whatsapp::Running>), WhatsAppError> {
    if !options.whatsapp {
        return Ok((WhatsApp::absent(), None));
    }
    let beside = crate::advertised::Beside::new(options.address.ip(), options.advertise.as_ref());
    let (whatsapp, running) = WhatsApp::start(journal, options.seed, beside).await?;
    Ok((whatsapp, Some(running)))
}

/// What stands in a journal since the last reset that no mock expected.
#[must_use]
pub fn unexpected_in(journal: &Journal) -> Vec<Unexpected> {
    let entries = journal.entries();
    let reset = entries.iter().rposition(|entry| entry.event == RESET);
    entries[reset.unwrap_or(0)..]
        .iter()
        .filter(|entry| entry.event.ends_with(".unexpected"))
        .map(|entry| Unexpected {
            seq: entry.seq,
            event: entry.event.to_string(),
            report: entry.text("report").unwrap_or(&entry.event).to_owned(),
        })
        .collect()
}

/// Speaks until one side ends it. A client that hangs up is its own business, and what
/// it leaves unread is journaled by the mock that was speaking; but one that does not
/// speak HTTP at all is returned as an error. `forwarded` says how the client reached us, where
/// that is not by the port for plain HTTP.
pub(crate) async fn speak_http(
    socket: impl Socket,
    stop: CancellationToken,
    (router, forwarded): (Router, Option<HeaderValue>),
) -> Option<hyper::Error> {
    let (line, scissors) = Line::new(socket);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(scissors.clone());
        if let Some(forwarded) = &forwarded {
            request.headers_mut().insert(FORWARDED, forwarded.clone());
        }
        // Here, since a layer costs every request a few allocations.
        DefaultBodyLimit::max(LARGEST_BODY).apply(&mut request);
        router.call(request)
    });
    let connection = http1::Builder::new()
        // The frames of a stream are small: one write of many is cheaper than a list of them.
        .writev(false)
        .max_buf_size(UNWRITTEN)
        .serve_connection(TokioIo::new(line), service);
    // A WebSocket is served elsewhere once it is one.
    let connection = connection.with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            // Who does not read by then is cut off.
            timeout(GRACE, connection).await.unwrap_or(Ok(()))
        }
    };
    ended.err().filter(hyper::Error::is_parse)
}

pub(crate) fn not_http(journal: &Journal, fault: &hyper::Error) {
    let report = format!("somebody does not speak HTTP: {fault}");
    let fields = [("report".to_owned(), Value::from(report))];
    journal.write("http.unexpected", fields.into_iter().collect());
}

/// Where requests go for which there is no route.
#[derive(Clone)]
struct Counter {
    journal: Journal,
    storage: Storage,
}

async fn unserved(State(counter): State<Counter>, request: Request) -> Response {
    let Counter { journal, storage } = counter;
    let request = match storage::fallback(&storage, request).await {
        Ok(answer) => return answer,
        Err(request) => request,
    };
    let asked = format!("{} {}", request.method(), request.uri());
    let report = format!("no mock serves {asked}");
    let body = json!({ "error": { "message": report, "type": "not_found" } });
    let fields = [
        ("method", Value::from(request.method().as_str())),
        ("path", Value::from(request.uri().path())),
        ("headers", Value::Object(readable(request.headers()))),
        ("report", Value::from(report)),
    ];
    let fields = fields.map(|(name, value)| (name.to_owned(), value));
    journal.write("http.unexpected", fields.into_iter().collect());
    (StatusCode::NOT_FOUND, Json(body)).into_response()
}

fn readable(headers: &HeaderMap) -> Map<String, Value> {
    let text = |value: &[u8]| Value::from(String::from_utf8_lossy(value));
    headers
        .iter()
        .map(|(name, value)| (name.to_string(), text(value.as_bytes())))
        .collect()
}
