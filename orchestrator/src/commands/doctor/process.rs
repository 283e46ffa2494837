//! Whether an orchestrator runs in the folder, and whether its HTTP API answers.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::super::client::reached_at;
use super::finding::{Check, Finding};
use crate::config::Config;
use crate::http::{Token, TokenError};
use crate::instance::{self, Holder};

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

/// What is seen of it from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) presence: Presence,
    /// Where it says that its HTTP API is.
    listens_at: Option<SocketAddr>,
}

pub(super) fn process(root: &Path) -> (Seen, Finding) {
    let (presence, listens_at, found) = match instance::running(root) {
        Ok(Some(Holder { pid, listens_at })) => {
            let found = format!("nanokimi runs here as process {pid}");
            let found = Finding::ok(Check::Process, found);
            (Presence::Running, listens_at, found)
        }
        Ok(None) => {
            let way_out = "start it with `nanokimi run`, or as a service";
            let found = Finding::warning(Check::Process, "no nanokimi runs here", way_out);
            (Presence::Absent, None, found)
        }
        Err(error) => {
            let cause = format!("whether nanokimi runs here cannot be seen: {error}");
            let way_out = "ask as the user that nanokimi runs as";
            let found = Finding::broken(Check::Process, cause, way_out);
            (Presence::Unknown, None, found)
        }
    };
    let seen = Seen {
        presence,
        listens_at,
    };
    (seen, found)
}

pub(super) async fn api(root: &Path, config: &Config, seen: Seen) -> Vec<Finding> {
    let mut findings = Vec::from_iter(token(root));
    let wanted = config.http_listen;
    match seen.presence {
        Presence::Running => {
            findings.extend(moved(wanted, seen.listens_at));
            findings.extend(answers(seen.listens_at.unwrap_or(wanted)).await);
        }
        Presence::Absent => findings.push(free(wanted).await),
        Presence::Unknown => {}
    }
    findings
}

/// The setting was changed while it ran. Port 0 is whichever it took.
fn moved(wanted: SocketAddr, listens_at: Option<SocketAddr>) -> Option<Finding> {
    let found = listens_at.filter(|found| wanted.port() != 0 && *found != wanted)?;
    let cause = format!("nanokimi listens on {found}, and http_listen says {wanted} by now");
    let way_out = "start it again, so that it heeds the settings";
    Some(Finding::warning(Check::Api, cause, way_out))
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
    let address = reached_at(address);
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
        Ok(answer) if answer.is_empty() => "it hangs up".to_owned(),
        Ok(answer) => {
            let answer = String::from_utf8_lossy(&answer);
            let line = answer.lines().next().unwrap_or("");
            format!("it says `{line}`")
        }
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

async fn free(address: SocketAddr) -> Finding {
    match TcpListener::bind(address).await {
        Ok(_closed_at_once) => Finding::ok(Check::Api, format!("{address} is free to listen on")),
        Err(error) => Finding::broken(
            Check::Api,
            format!("http_listen: {address} cannot be listened on: {error}"),
            "stop who has it, or set http_listen to another address, or to port 0 for any free one",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    /// Time passes as soon as nothing else happens.
    #[tokio::test(start_paused = true)]
    async fn one_that_takes_connections_and_says_nothing_is_not_waited_for_for_ever() {
        let dumb = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let found = answers(dumb.local_addr().unwrap()).await.unwrap();
        assert_eq!(found.state, State::Broken, "{found}");
        assert!(found.cause.ends_with("timed out"), "{found}");
        assert!(found.way_out.unwrap().contains("logs/nanokimi.log"));
    }

    #[test]
    fn a_setting_that_was_changed_while_it_runs_is_told() {
        let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        assert_eq!(moved(at(80), Some(at(80))), None);
        assert_eq!(moved(at(80), None), None);
        assert_eq!(moved(at(0), Some(at(80))), None);
        let found = moved(at(81), Some(at(80))).unwrap();
        assert!(found.cause.contains("127.0.0.1:80, and"), "{found}");
        assert!(found.way_out.unwrap().contains("start it again"));
    }
}
