//! The journal of a mock server that runs elsewhere, entry by entry written into ours.
//!
//! Numbers are ours; the virtual time is the server's, and the real time is set against our
//! own clock.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use hyper::Method;
use mock_server::{Entry, Journal};
use serde::Deserialize;
use tokio::time::timeout;

use super::MockError;
use super::client::Client;
use crate::chain::chain;
use crate::stage::http;
use crate::stage::sse::{SseEvent, SseReader};
use crate::stage::telling::Telling;

/// A server that listens answers at once.
const PATIENCE: Duration = Duration::from_secs(10);

const LAST: &str = "/_mock/journal/last";

/// How far the server's journal is.
#[derive(Debug, Deserialize)]
struct Last {
    real_ms: f64,
    secrets: usize,
}

/// Keeps our journal level with the server's; a handle.
#[derive(Clone, Debug)]
pub(super) struct Afar {
    client: Client,
    journal: Journal,
    /// What the server keeps secret, as far as we know.
    secrets: Arc<Mutex<HashSet<String>>>,
}

/// Begins to write what the server at `address` has seen and will see into `journal`.
pub(super) async fn follow(
    address: SocketAddr,
    journal: &Journal,
) -> Result<(Telling, Afar), MockError> {
    let last: Last = Client::new(address, None).get(LAST).await?;
    let ahead = journal.age().as_secs_f64() - last.real_ms / 1e3;
    let gone = |why: String| MockError::Gone(why);
    let head = (Method::GET, "/_mock/journal/stream");
    let opened = timeout(PATIENCE, http::send(address, "", head, String::new())).await;
    let opened = opened.map_err(|_elapsed| gone("it does not answer".to_owned()))?;
    let stream = opened.map_err(|error| gone(chain(&error)))?;
    if stream.status != 200 {
        return Err(gone(format!("its journal answers with {}", stream.status)));
    }
    let ours = journal.clone();
    let telling = Telling::read(SseReader::new(stream.chunks()), move |event| {
        let written = transcribe(&ours, &event, ahead);
        async move { written }.boxed()
    });
    let afar = Afar {
        client: Client::new(address, Some(telling.reached().clone())),
        journal: journal.clone(),
        secrets: Arc::default(),
    };
    afar.caught_up().await?;
    Ok((telling, afar))
}

/// `ahead` is by how many seconds our journal was opened before the server's.
fn transcribe(journal: &Journal, event: &SseEvent, ahead: f64) -> Result<(), String> {
    let mut entry: Entry = serde_json::from_str(&event.data)
        .map_err(|error| format!("an entry of its journal cannot be read: {error}"))?;
    let real = (entry.real.as_secs_f64() + ahead).max(0.0);
    entry.real = Duration::try_from_secs_f64(real)
        .map_err(|error| format!("an entry of its journal has no time: {error}"))?;
    journal.transcribe(entry);
    Ok(())
}

impl Afar {
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Returns when our journal holds all that the server has seen by now, and hides all that
    /// it hides.
    pub(super) async fn caught_up(&self) -> Result<(), MockError> {
        let last: Last = self.client.get(LAST).await?;
        if last.secrets == self.secrets().len() {
            return Ok(());
        }
        let told: Vec<String> = self.client.get("/_mock/secrets").await?;
        told.iter().for_each(|secret| self.journal.hide(secret));
        self.secrets().extend(told);
        Ok(())
    }

    fn secrets(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        // Nothing panics half-way through a change of it.
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
