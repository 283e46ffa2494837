//! Whether the server still answers: asked now and then, in real time.
//!
//! The library asks as well, but takes anything that arrives for a sign of life, also what it
//! cannot decrypt: after one spoilt frame it would hear nothing for ever. Here only an answer
//! that was understood counts.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use wacore::iq::keepalive::KeepaliveSpec;
use whatsapp_rust::Client;
use whatsapp_rust::request::IqError;

/// Between two questions. A phone's network forgets idle connections after a minute or more.
const BETWEEN: Duration = Duration::from_secs(30);
/// What a slow network may take.
const ANSWER: Duration = Duration::from_secs(20);

/// When to ask. Sockets live in real time, whatever the clock says.
pub(super) fn beat() -> Interval {
    let mut beat = interval_at(Instant::now() + BETWEEN, BETWEEN);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beat
}

/// Whether the server answers. A connection that ends meanwhile is not silent: its end is told.
pub(super) async fn is_silent(client: Arc<Client>) -> bool {
    let asked = client.execute(KeepaliveSpec::with_timeout(ANSWER)).await;
    matches!(asked, Err(IqError::Timeout))
}
