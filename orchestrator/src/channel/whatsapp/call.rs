//! One connection of the client, from the first knock to its end: hung up when it is told to,
//! and when the server lets us wait too long. Whether there is another one is decided in
//! `connection.rs`.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use whatsapp_rust::Client;

use super::version::Versions;

/// From the first knock until we are logged in and have what was waiting for us. The library
/// takes anything that arrives for a sign of life, so it would wait for ever.
const LONGEST_GREETING: Duration = Duration::from_secs(5 * 60);

/// A handle to one connection.
#[derive(Clone, Debug)]
pub(super) struct Call(Arc<Signals>);

#[derive(Debug, Default)]
struct Signals {
    hang_up: CancellationToken,
    greeted: CancellationToken,
}

/// How a connection came to its end, as far as we had a hand in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallEnd {
    /// The library told why, if it knew.
    Over,
    /// We were not let in in time.
    NotGreeted,
    /// The client panicked, and is of no use any more.
    Panicked,
}

impl Call {
    #[must_use]
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    #[must_use]
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Notes that we are let in.
    pub(super) fn greeted(&self) {
        self.0.greeted.cancel();
    }

    /// Ends this connection, and no later one.
    pub(super) fn hang_up(&self) {
        self.0.hang_up.cancel();
    }

    /// Connects, and returns when that connection has ended.
    pub(super) async fn run(self, client: Arc<Client>, versions: Option<Versions>) -> CallEnd {
        let talk = async {
            if let Some(versions) = versions {
                // By the machine's clock, as the library does.
                versions.refresh(Timestamp::now()).await;
            }
            self.talk(&client).await
        };
        match AssertUnwindSafe(talk).catch_unwind().await {
            Ok(end) => end,
            // What it panicked with has been printed where it happened.
            Err(_panic) => CallEnd::Panicked,
        }
    }

    async fn talk(&self, client: &Arc<Client>) -> CallEnd {
        let mut running = Box::pin(client.run());
        let end = tokio::select! {
            () = &mut running => return CallEnd::Over,
            () = self.0.hang_up.cancelled() => CallEnd::Over,
            () = self.too_long() => CallEnd::NotGreeted,
        };
        // Despite its name it only ends the connection: others are ours to make.
        tokio::join!(client.reconnect_immediately(), running);
        end
    }

    async fn too_long(&self) {
        let greeted = self.0.greeted.cancelled();
        if timeout(LONGEST_GREETING, greeted).await.is_ok() {
            std::future::pending::<()>().await;
        }
    }
}
