//! What a process writes to its standard streams, kept for the report.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::Notify;

/// Enough for any report; the rest is counted, so that a flood cannot fill us.
const KEPT: usize = 1024 * 1024;

/// One stream of a process, as far as it has been read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Output {
    read: Arc<Mutex<Read>>,
    grown: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Read {
    bytes: Vec<u8>,
    dropped: usize,
}

impl Output {
    /// Reads until the stream ends.
    pub(crate) async fn drain(self, mut stream: impl AsyncRead + Unpin) {
        let mut buffer = vec![0; 8 * 1024];
        // A pipe that breaks has nothing more to say, like one that ends.
        while let Ok(length @ 1..) = stream.read(&mut buffer).await {
            self.push(&buffer[..length]);
        }
    }

    /// More has been read.
    pub(crate) fn push(&self, bytes: &[u8]) {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let room = KEPT.saturating_sub(read.bytes.len()).min(bytes.len());
        read.bytes.extend_from_slice(&bytes[..room]);
        read.dropped += bytes.len() - room;
        drop(read);
        self.grown.notify_one();
    }

    /// Returns when more has been read since the last call. Cancel-safe; for one listener.
    pub(crate) async fn grown(&self) {
        self.grown.notified().await;
    }

    pub(crate) fn text(&self) -> String {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&read.bytes).into_owned();
        match read.dropped {
            0 => text,
            dropped => format!("{text}\n… and {dropped} bytes more"),
        }
    }
}
