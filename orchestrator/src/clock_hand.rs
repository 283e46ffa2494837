//! The hand that moves the test clock, one move at a time.
//!
//! Files that agents have dropped are handled before and after a move: the kernel may not have
//! told us of them yet, and a settled orchestrator has none lying about.

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Move, Moved};
use crate::ipc::IpcWatch;

/// The way to ask for a move.
#[derive(Clone, Debug)]
pub(crate) struct ClockHand {
    moves: mpsc::Sender<Asked>,
}

/// The hand's own end, to be served by one task.
#[derive(Debug)]
pub(crate) struct Moves(mpsc::Receiver<Asked>);

/// A move, and where to say what it came to.
type Asked = (Way, Move, oneshot::Sender<Moved>);

/// Which way a clock is turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Ahead,
    Back,
}

impl ClockHand {
    #[must_use]
    pub(crate) fn new() -> (Self, Moves) {
        let (moves, asked) = mpsc::channel(1);
        (Self { moves }, Moves(asked))
    }

    /// Moves the clock and returns where it came to rest; none if we are stopping.
    pub(crate) async fn turn(&self, way: Way, to: Move) -> Option<Moved> {
        let (done, moved) = oneshot::channel();
        if self.moves.send((way, to, done)).await.is_err() {
            return None;
        }
        match moved.await {
            Ok(moved) => Some(moved),
            Err(_stopped) => None,
        }
    }
}

/// Serves moves until told to stop.
pub(crate) async fn serve(
    Moves(mut moves): Moves,
    clock: Clock,
    ipc: IpcWatch,
    stop: CancellationToken,
) {
    loop {
        let (way, to, done) = tokio::select! {
            () = stop.cancelled() => return,
            asked = moves.recv() => match asked {
                Some(asked) => asked,
                None => return stop.cancelled().await,
            },
        };
        let moving = async {
            ipc.drain_all().await;
            let moved = match way {
                Way::Ahead => clock.advance(to).await,
                Way::Back => clock.set_back(to).await,
            };
            if !moved.busy.is_empty() {
                return moved;
            }
            ipc.drain_all().await;
            // Where it stands by now.
            clock.advance(to).await
        };
        tokio::select! {
            () = stop.cancelled() => return,
            moved = moving => {
                // Whoever asked may have gone; the clock has moved all the same.
                let (Ok(()) | Err(_)) = done.send(moved);
            }
        }
    }
}
