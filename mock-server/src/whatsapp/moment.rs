//! Moments to be waited for, on real time.

use std::future::pending;

use tokio::time::{Instant, timeout_at};

/// Returns when the moment is there; never, if there is none.
pub(super) async fn reached(moment: Option<Instant>) {
    match moment {
        // A deadline for something that never happens.
        Some(at) => drop(timeout_at(at, pending::<()>()).await),
        None => pending().await,
    }
}
