//! Whether an orchestrator runs in the folder, and whether its HTTP API answers.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::finding::{Check, Finding};
use crate::config::Config;
use crate::http::{Token, TokenError};
use crate::instance;

/// A healthy one answers in milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

const HEALTH: &[u8] = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// Whether an orchestrator runs in the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Running,
    Absent,
    Unknown,
}

pub(super) fn process(root: &Path) -> (Presence, Finding) {
    match instance::running(root) {
        Ok(Some(pid)) => {
            let found = format!("nanokimi runs here as process {pid}");
            (Presence::Running, Finding::ok(Check::Process, found))
        }
        Ok(None) => {
            let way_out = "start it with `nanokimi run`, or as a service";
            let found = Finding::warning(Check::Process, "no nanokimi runs here", way_out);
            (Presence::Absent, found)
        }
        Err(error) => {
            let cause = format!("whether nanokimi runs here cannot be seen: {error}");
            let way_out = "ask as the user that nanokimi runs as";
            let found = Finding::broken(Check::Process, cause, way_out);
            (Presence::Unknown, found)
        }
    }
}

pub(super) async fn api(root: &Path, config: &Config, presence: Presence) -> Vec<Finding> {
    let mut findings = Vec::from_iter(token(root));
    findings.extend(match presence {
        Presence::Running => answers(config.http_listen).await,
        Presence::Absent => free(config.http_listen).await,
        Presence::Unknown => None,
    });
    findings
}

/// A token that cannot be used; one that is not there is made at the next start.
fn token(root: &Path) -> Option<Finding> {
    match Token::read(root) {
        Ok(_) => None,
        Err(TokenError::File(error)) if error.kind() == io::ErrorKind::NotFound => None,
        Err(TokenError::File(error)) => Some(Finding::broken(
            Check::Api,
            error.to_string(),
            "ask as the user that nanokimi runs as",
        )),
        Err(TokenError::Unfit) => Some(Finding::broken(
            Check::Api,
            "data/api-token holds no token of at least 16 characters",
            "delete it and start nanokimi again to get a new one",
        )),
    }
}

/// None where only the orchestrator itself knows which port it took.
async fn answers(address: SocketAddr) -> Option<Finding> {
    if address.port() == 0 {
        return None;
    }
    let asked = match timeout(PATIENCE, ask(address)).await {
        Ok(asked) => asked,
        Err(_elapsed) => Err(io::ErrorKind::TimedOut.into()),
    };
    let trouble = match asked {
        Ok(answer) if answer.starts_with(b"HTTP/1.1 200 ") => {
            return Some(Finding::ok(
                Check::Api,
                format!("http://{address}/health answers"),
            ));
        }
        Ok(_) => "it answers, but not that it is well".to_owned(),
        Err(error) => error.to_string(),
    };
    Some(Finding::broken(
        Check::Api,
        format!(
            "nanokimi runs, but http://{address}/health does not answer as it should: {trouble}"
        ),
        "see logs/nanokimi.log; if http_listen has been changed since it was started, start it again",
    ))
}

/// The first bytes of the answer, 32 at most.
async fn ask(address: SocketAddr) -> io::Result<Vec<u8>> {
    let mut connection = TcpStream::connect(address).await?;
    connection.write_all(HEALTH).await?;
    let mut answer = Vec::new();
    connection.take(32).read_to_end(&mut answer).await?;
    Ok(answer)
}

async fn free(address: SocketAddr) -> Option<Finding> {
    Some(match TcpListener::bind(address).await {
        Ok(_closed_at_once) => Finding::ok(Check::Api, format!("{address} is free to listen on")),
        Err(error) => Finding::broken(
            Check::Api,
            format!("http_listen: {address} cannot be listened on: {error}"),
            "stop who has it, or set http_listen to another address, or to port 0 for any free one",
        ),
    })
}
