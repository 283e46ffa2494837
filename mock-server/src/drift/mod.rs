//! Holding recorded exchanges against what the mock answers, to see where services moved on.
//!
//! Only structure counts: which fields there are and of what kind, in which order a stream
//! says what, and how it is framed. Texts, ids and numbers are values, and no drift; who goes
//! on from an answer by its id asks the mock by the mock's.

mod compare;
mod ids;
mod order;
mod shape;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use axum::http::{HeaderName, HeaderValue, Uri, header};
use fs_err as fs;
use indexmap::IndexMap;

use crate::llm::{Script, ScriptError};
use crate::record::{Exchange, InvalidUpstream, Received, Sent, Upstream};
use crate::server::{MockOptions, MockServer, StartError};
pub use compare::Difference;

use compare::differences;
use ids::Ids;

/// One way in which a mock answers otherwise than the service did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// The first exchange that shows it, from 1, and its request.
    pub first: String,
    /// How many exchanges show it.
    pub exchanges: usize,
    pub difference: Difference,
}

/// The comparison could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DriftError {
    #[error("{}:{line}: this is no exchange: {fault}", path.display())]
    NoExchange {
        path: PathBuf,
        line: usize,
        fault: serde_json::Error,
    },
    #[error("{}: there is no exchange in it", .0.display())]
    Empty(PathBuf),
    #[error("{}:{line}: `{asked}` is no path of a service", path.display())]
    NoPath {
        path: PathBuf,
        line: usize,
        asked: String,
    },
    #[error("cannot read the exchanges")]
    Unreadable(#[from] io::Error),
    #[error("the scripts do not fit: {0}")]
    Script(#[from] ScriptError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the mock cannot be asked")]
    Client(#[from] reqwest::Error),
    #[error(transparent)]
    Address(#[from] InvalidUpstream),
    #[error("the mock ended badly: {0}")]
    Mock(io::Error),
}

impl DriftError {
    /// Whether a file is wrong, and not the machine.
    #[must_use]
    pub fn is_of_a_file(&self) -> bool {
        match self {
            Self::NoExchange { .. }
            | Self::Empty(_)
            | Self::NoPath { .. }
            | Self::Unreadable(_)
            | Self::Script(_) => true,
            Self::Start(_) | Self::Client(_) | Self::Address(_) | Self::Mock(_) => false,
        }
    }
}

/// Asks a mock with these scripts what was asked when `exchanges` was recorded, in the same
/// order, and compares the answers.
///
/// # Errors
/// A file that is none of exchanges, or scripts that do not fit together.
pub async fn check_drift(exchanges: &Path, scripts: Vec<Script>) -> Result<Vec<Drift>, DriftError> {
    let recorded = read(exchanges)?;
    let server = MockServer::start(MockOptions {
        #[cfg(feature = "whatsapp")]
        whatsapp: false,
        ..MockOptions::default()
    })
    .await?;
    let compared = compare_all(&server, scripts, exchanges, &recorded).await;
    server.join().await.map_err(DriftError::Mock)?;
    compared
}

async fn compare_all(
    server: &MockServer,
    scripts: Vec<Script>,
    path: &Path,
    recorded: &[Exchange],
) -> Result<Vec<Drift>, DriftError> {
    for script in scripts {
        server.llm().add(script)?;
    }
    // Nobody is here to open a gate.
    server.llm().release_all();
    let mock: Upstream = server.url().parse()?;
    let client = mock.client()?;
    let mut found: IndexMap<Difference, (String, usize)> = IndexMap::new();
    let mut ids = Ids::default();
    for (place, exchange) in recorded.iter().enumerate() {
        let request = ids.translated(&exchange.request);
        let asked: Uri = request.path.parse().map_err(|_no_uri| DriftError::NoPath {
            path: path.to_owned(),
            line: place + 1,
            asked: request.path.clone(),
        })?;
        let url = mock.below(&asked);
        let answer = ask(client.request(method(&request), url), &request).await?;
        ids.learn(exchange, &answer);
        let first = || (format!("{} {}", place + 1, exchange.request.line()), 0);
        for difference in differences(&exchange.response, &answer) {
            found.entry(difference).or_insert_with(first).1 += 1;
        }
    }
    let drift = |(difference, (first, exchanges))| Drift {
        first,
        exchanges,
        difference,
    };
    Ok(found.into_iter().map(drift).collect())
}

fn read(path: &Path) -> Result<Vec<Exchange>, DriftError> {
    let text = fs::read_to_string(path)?;
    let exchanges = text
        .lines()
        .enumerate()
        .map(|(place, line)| {
            serde_json::from_str(line).map_err(|fault| DriftError::NoExchange {
                path: path.to_owned(),
                line: place + 1,
                fault,
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    if exchanges.is_empty() {
        return Err(DriftError::Empty(path.to_owned()));
    }
    Ok(exchanges)
}

fn method(request: &Sent) -> reqwest::Method {
    // What was recorded came over HTTP, and what was edited since gets its answer.
    reqwest::Method::from_bytes(request.method.as_bytes()).unwrap_or(reqwest::Method::POST)
}

async fn ask(
    mut asking: reqwest::RequestBuilder,
    request: &Sent,
) -> Result<Received, reqwest::Error> {
    for (name, value) in &request.headers {
        let header = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_str(value),
        );
        if let (Ok(name), Ok(value)) = header
            && name != header::AUTHORIZATION
        {
            asking = asking.header(name, value);
        }
    }
    // The key itself was masked; the mock takes any.
    let asking = asking.bearer_auth("any").body(request.body.clone());
    let answer = asking.send().await?;
    let headers = answer.headers().iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.to_string(), value)
    });
    Ok(Received {
        status: answer.status().as_u16(),
        headers: headers.collect(),
        body: answer.text().await?,
        ..Received::default()
    })
}

impl fmt::Display for Drift {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({}", self.difference, self.first)?;
        match self.exchanges {
            1 => out.write_str(")"),
            more => write!(out, ", and {} more)", more - 1),
        }
    }
}
