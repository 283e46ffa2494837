//! The nanokimi that runs in a folder, spoken to over its HTTP API by the commands beside it.

use std::io;
use std::iter;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Certificate, Method, RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::CommandError;
use crate::http::Token;
use crate::instance;

/// It is on this machine.
const CONNECT: Duration = Duration::from_secs(5);
/// What is asked for is put into its store first, and that may be locked for a while.
const ANSWER: Duration = Duration::from_secs(30);
/// It says at least every 15 seconds that it is there.
const SILENCE: Duration = Duration::from_secs(60);

/// Why the one that runs could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("{}: no nanokimi runs here; start it with `nanokimi run`, or as a service", .0.display())]
    NotRunning(std::path::PathBuf),
    #[error("whether nanokimi runs here cannot be seen; ask as the user that it runs as")]
    Unseen(#[source] io::Error),
    #[error(
        "process {0} holds this folder and does not listen: wait until nanokimi is ready, or until `nanokimi auth` is done"
    )]
    NotListening(String),
    #[error(
        "nanokimi runs, but http://{address} does not answer as it should; `nanokimi doctor` looks into it"
    )]
    Unanswered {
        address: SocketAddr,
        #[source]
        source: reqwest::Error,
    },
    #[error("nanokimi ended, or was cut off, in the middle of its answer")]
    BrokenOff(#[source] reqwest::Error),
    #[error(
        "whether nanokimi has done it is not known, for its answer did not come: look at `nanokimi events` before you ask again"
    )]
    Unsure(#[source] Box<Self>),
    #[error("nanokimi's answer is not understood; is it of another version than this command?")]
    Foreign(#[source] serde_json::Error),
}

/// Where it listens, and the way in.
pub(super) struct Client {
    address: SocketAddr,
    base: Url,
    token: Token,
    http: reqwest::Client,
}

/// What it says is wrong.
#[derive(Deserialize)]
struct Problem {
    error: Detail,
}

#[derive(Deserialize)]
struct Detail {
    message: String,
}

/// Events, as they come.
pub(super) struct Feed {
    answer: Response,
    unread: Vec<u8>,
}

/// One of them.
#[derive(Debug, PartialEq)]
pub(super) struct Told {
    pub(super) number: u64,
    pub(super) name: String,
    pub(super) fields: Map<String, Value>,
}

impl Client {
    /// Finds the one that runs in a folder.
    pub(super) fn of(root: &Path) -> Result<Self, CommandError> {
        if !root.join("store").is_dir() {
            return Err(CommandError::NoInstallation(root.to_owned()));
        }
        let holder = instance::running(root).map_err(ClientError::Unseen)?;
        let Some(holder) = holder else {
            return Err(ClientError::NotRunning(root.to_owned()).into());
        };
        let Some(listens_at) = holder.listens_at else {
            return Err(ClientError::NotListening(holder.pid).into());
        };
        let address = reached_at(listens_at);
        let base = Url::parse(&format!("http://{address}/"));
        let base = base.map_err(|error| {
            CommandError::Refused(format!("http_listen: {address} cannot be asked: {error}"))
        })?;
        // Refused if somebody installed one before us, which is just as well.
        let (Ok(()) | Err(_)) = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            // Nothing leaves this machine, so no authority is asked for either.
            .no_proxy()
            .tls_certs_only(iter::empty::<Certificate>())
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .build();
        let unanswered = |source| ClientError::Unanswered { address, source };
        Ok(Self {
            address,
            base,
            token: Token::read(root)?,
            http: http.map_err(unanswered)?,
        })
    }

    /// Posts to a path below the root, and reads the answer.
    pub(super) async fn post<B: Serialize, A: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<A, CommandError> {
        let body = serde_json::to_vec(body)?;
        let asked = self
            .ask(Method::POST, self.url(path))
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .timeout(ANSWER)
            .body(body);
        let answer = self.answered(asked).await.map_err(unsure)?;
        let text = answer.bytes().await.map_err(ClientError::BrokenOff);
        let text = text.map_err(|error| unsure(error.into()))?;
        let answer = serde_json::from_slice(&text).map_err(ClientError::Foreign)?;
        Ok(answer)
    }

    /// The events behind a number, as far as the query wants them.
    pub(super) async fn events(
        &self,
        after: u64,
        query: &[(&str, String)],
    ) -> Result<Feed, CommandError> {
        let mut url = self.url("v1/events");
        url.query_pairs_mut().extend_pairs(query);
        let asked = self
            .ask(Method::GET, url)
            .header("last-event-id", after.to_string());
        Ok(Feed {
            answer: self.answered(asked).await?,
            unread: Vec::new(),
        })
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url
    }

    fn ask(&self, method: Method, url: Url) -> RequestBuilder {
        self.http
            .request(method, url)
            .bearer_auth(self.token.expose())
    }

    /// An answer that is none of a problem.
    async fn answered(&self, asked: RequestBuilder) -> Result<Response, CommandError> {
        let address = self.address;
        let unanswered = |source| ClientError::Unanswered { address, source };
        let answer = asked.send().await.map_err(unanswered)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let text = answer.bytes().await.map_err(ClientError::BrokenOff)?;
        Err(CommandError::Refused(refusal(status, &text)))
    }
}

/// What was asked for may have been done although no answer came; not if nobody was reached.
fn unsure(error: CommandError) -> CommandError {
    let CommandError::Client(cause) = error else {
        return error;
    };
    let is_unsure = match &cause {
        ClientError::Unanswered { source, .. } => !source.is_connect(),
        ClientError::BrokenOff(_) => true,
        ClientError::NotRunning(_)
        | ClientError::Unseen(_)
        | ClientError::NotListening(_)
        | ClientError::Unsure(_)
        | ClientError::Foreign(_) => false,
    };
    match is_unsure {
        true => ClientError::Unsure(Box::new(cause)).into(),
        false => cause.into(),
    }
}

/// Whoever listens on all addresses is reached on this machine's own.
pub(super) fn reached_at(listens_at: SocketAddr) -> SocketAddr {
    let ip = match listens_at.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, listens_at.port())
}

fn refusal(status: StatusCode, text: &[u8]) -> String {
    match serde_json::from_slice::<Problem>(text) {
        Ok(problem) => problem.error.message,
        Err(_not_ours) => format!("nanokimi answers with status {status}"),
    }
}

impl Feed {
    /// The next event; none at the end of the stream.
    pub(super) async fn next(&mut self) -> Result<Option<Told>, CommandError> {
        loop {
            if let Some(told) = self.take().map_err(ClientError::Foreign)? {
                return Ok(Some(told));
            }
            match self.answer.chunk().await.map_err(ClientError::BrokenOff)? {
                Some(chunk) => self.unread.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
    }

    fn take(&mut self) -> Result<Option<Told>, serde_json::Error> {
        while let Some(end) = self.unread.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = self.unread.drain(..end + 2).collect();
            let told = read(&String::from_utf8_lossy(&block))?;
            if told.is_some() {
                return Ok(told);
            }
        }
        Ok(None)
    }
}

/// An event from its lines; none of a comment, which only shows that somebody is there.
fn read(block: &str) -> Result<Option<Told>, serde_json::Error> {
    let field = |name: &str| {
        let mut lines = block.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    };
    let (Some(number), Some(name), Some(data)) = (field("id"), field("event"), field("data"))
    else {
        return Ok(None);
    };
    Ok(Some(Told {
        number: serde_json::from_str(number)?,
        name: name.to_owned(),
        fields: serde_json::from_str(data)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_read_and_a_comment_is_none() {
        let told = read("id: 7\nevent: chat.named\ndata: {\"name\":\"a: b\"}\n\n").unwrap();
        let name = ("name".to_owned(), "a: b".into());
        let expected = Told {
            number: 7,
            name: "chat.named".to_owned(),
            fields: Map::from_iter([name]),
        };
        assert_eq!(told, Some(expected));
        assert_eq!(read(":\n\n").unwrap(), None);
        assert!(read("id: 7\nevent: chat.named\ndata: [\n\n").is_err());
    }

    #[test]
    fn who_listens_everywhere_is_reached_here() {
        let reached = |at: &str| reached_at(at.parse().unwrap()).to_string();
        assert_eq!(reached("0.0.0.0:80"), "127.0.0.1:80");
        assert_eq!(reached("[::]:80"), "[::1]:80");
        assert_eq!(reached("10.1.2.3:80"), "10.1.2.3:80");
    }

    #[test]
    fn a_refusal_says_what_the_problem_says() {
        let status = StatusCode::NOT_FOUND;
        let problem = br#"{"error":{"message":"there is no group","code":"x"}}"#;
        assert_eq!(refusal(status, problem), "there is no group");
        assert!(refusal(status, b"<html>").ends_with("status 404 Not Found"));
    }
}
