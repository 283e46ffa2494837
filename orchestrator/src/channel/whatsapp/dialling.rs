//! Opens the socket as the library does, and remembers why it could not: the library keeps that
//! to itself.

use std::sync::{Arc, Mutex, PoisonError};

use whatsapp_rust::async_trait;
use whatsapp_rust::transport::{
    TokioWebSocketTransportFactory, Transport, TransportEvent, TransportFactory,
};
use whatsapp_rust::{anyhow, async_channel};

/// Dials one server.
pub(super) struct Dialler {
    factory: TokioWebSocketTransportFactory,
    missed: Missed,
}

/// Why the last socket could not be opened; none if it could.
#[derive(Clone, Debug, Default)]
pub(super) struct Missed(Arc<Mutex<Option<String>>>);

impl Missed {
    #[must_use]
    pub(super) fn why(&self) -> Option<String> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        // Nothing panics while it holds the words.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Dialler {
    #[must_use]
    pub(super) fn new(url: &str) -> (Self, Missed) {
        let factory = TokioWebSocketTransportFactory::new().with_url(url);
        let missed = Missed::default();
        let dialler = Self {
            factory,
            missed: missed.clone(),
        };
        (dialler, missed)
    }
}

type Opened = (Arc<dyn Transport>, async_channel::Receiver<TransportEvent>);

#[async_trait]
impl TransportFactory for Dialler {
    async fn create_transport(&self) -> Result<Opened, anyhow::Error> {
        let opened = self.factory.create_transport().await;
        let why = opened.as_ref().err().map(|error| format!("{error:#}"));
        *self.missed.lock() = why;
        opened
    }
}
