//! The one task that looks after the engine: whether it answers, and whether containers of ours
//! are left over. It removes what no run of this process owns, at boot and ever after.
//!
//! On real time: neither an engine nor what it has left behind looks at our clock.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::boxes::{Boxes, EngineState, Facts};
use super::engine::EngineError;

/// Between two looks at an engine that works, and at one that does not.
const IN_PEACE: Duration = Duration::from_secs(10);
const IN_NEED: Duration = Duration::from_secs(1);

/// Looks after the engine until told to stop.
pub(crate) async fn serve(boxes: Boxes, stop: CancellationToken) {
    loop {
        let looked = tokio::select! {
            looked = look(&boxes) => looked,
            () = stop.cancelled() => return,
        };
        let pause = match looked {
            Ok(facts) => {
                if let EngineState::Down(_) = boxes.stands(EngineState::Up(facts)) {
                    tracing::info!("the container engine answers again");
                }
                IN_PEACE
            }
            Err(error) => {
                let error = crate::chain(&error);
                if !matches!(
                    boxes.stands(EngineState::Down(error.clone())),
                    EngineState::Down(_)
                ) {
                    tracing::warn!(error, "waiting for the container engine");
                }
                IN_NEED
            }
        };
        let next = Instant::now() + pause;
        tokio::select! {
            () = sleep_until(next) => {}
            () = boxes.look_wanted() => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn look(boxes: &Boxes) -> Result<Facts, EngineError> {
    let info = boxes.engine().info().await?;
    match boxes.sweep_all().await {
        // The engine is there, though a container of ours will not go.
        Ok(()) | Err(EngineError::Refused(..) | EngineError::StillThere(..)) => {}
        Err(error) => return Err(error),
    }
    Ok(Facts::of(&info))
}
