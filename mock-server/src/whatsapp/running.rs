//! Starts the tasks behind WhatsApp, and joins them.

use std::io;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, OnceLock};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wacore_libsignal::protocol::CurveError;

use super::certificate::Certificate;
use super::connection::Line;
use super::exchange::{Directory, Exchange, Opening};
use super::media::{MediaHost, MediaHostError};
use super::phone::{PhoneError, Seed};
use super::reception::{QUEUE, receive_all};
use super::{ShownCertificate, WhatsApp};
use crate::advertised::Beside;
use crate::journal::Journal;

/// A full channel slows the connections down, which is what a busy server does.
const TIDINGS: usize = 256;
/// Whoever asks waits for the answer, so there are never many.
const REQUESTS: usize = 64;

/// WhatsApp could not be started.
#[derive(Debug, thiserror::Error)]
pub enum WhatsAppError {
    #[error("WhatsApp's media host cannot be started")]
    MediaHost(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("WhatsApp's keys cannot be made")]
    Keys(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<MediaHostError> for WhatsAppError {
    fn from(fault: MediaHostError) -> Self {
        Self::MediaHost(Box::new(fault))
    }
}

impl From<CurveError> for WhatsAppError {
    fn from(fault: CurveError) -> Self {
        Self::Keys(Box::new(fault))
    }
}

impl From<PhoneError> for WhatsAppError {
    fn from(fault: PhoneError) -> Self {
        Self::Keys(Box::new(fault))
    }
}

/// The tasks behind a [`WhatsApp`].
#[derive(Debug)]
#[must_use = "join WhatsApp, or its failures are lost"]
pub(crate) struct Running {
    media: MediaHost,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl WhatsApp {
    /// Starts everything but the port, which is the mock server's: see [`Self::is_known_at`].
    pub(crate) async fn start(
        journal: &Journal,
        seed: u64,
        beside: Beside,
    ) -> Result<(Self, Running), WhatsAppError> {
        let seed = Seed::of_scenario(seed);
        let media = MediaHost::start(journal, &seed, beside).await?;
        // Clients are told it, in a stanza; the journal need not keep it.
        journal.hide(media.library().auth());
        let certificate = Certificate::issue()?;
        let directory = Arc::new(Mutex::new(Directory::default()));
        let exchange = Exchange::open(Opening {
            journal: journal.clone(),
            seed,
            directory: Arc::clone(&directory),
            media: media.library().clone(),
        })?;
        let (tidings, heard) = mpsc::channel(TIDINGS);
        let (requests, asked) = mpsc::channel(REQUESTS);
        let (callers, calling) = mpsc::channel(QUEUE);
        let handle = Self {
            address: Arc::new(OnceLock::new()),
            authority: media.authority().into(),
            certificate: Arc::new(certificate.shown()),
            directory,
            requests,
            callers,
        };
        let stop = CancellationToken::new();
        let line = Line {
            certificate,
            seed: seed.of("connections"),
            tidings,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(exchange.run(heard, asked, stop.clone()));
        tasks.spawn(receive_all(calling, line, stop.clone()));
        Ok((handle, Running { media, tasks, stop }))
    }

    /// One that does nothing: every control is refused, and no socket is served.
    pub(crate) fn absent() -> Self {
        // Their other ends are gone already.
        let (requests, _) = mpsc::channel(1);
        let (callers, _) = mpsc::channel(1);
        Self {
            address: Arc::new(OnceLock::new()),
            authority: "".into(),
            certificate: Arc::new(ShownCertificate {
                root: [0; 32],
                intermediate: [0; 32],
                leaf: [0; 32],
                valid: 0..0,
            }),
            directory: Arc::new(Mutex::new(Directory::default())),
            requests,
            callers,
        }
    }

    /// Host and port, as clients know them.
    pub(crate) fn is_known_at(&self, authority: &str) {
        self.address.get_or_init(|| authority.to_owned());
    }
}

impl Running {
    /// Ends every connection and waits for all tasks.
    ///
    /// # Errors
    /// The media host could accept no further connection at some time.
    ///
    /// # Panics
    /// As a task did.
    pub(crate) async fn join(mut self) -> io::Result<()> {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap_or_else(|panicked| resume_unwind(panicked.into_panic()));
        }
        self.media.join().await
    }
}
