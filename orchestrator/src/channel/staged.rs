//! A channel for tests: it does nothing by itself, and asks the test what came of each deed.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::{SendError, Typing};
use crate::ids::ChatJid;
use crate::store::OutboxText;

/// What the house asks a channel to do, and where the test answers.
#[derive(Debug)]
pub(crate) enum Deed {
    Send(OutboxText, Answer),
    Refresh(Answer),
    Type(ChatJid, Typing),
}

pub(crate) type Answer = oneshot::Sender<Result<(), SendError>>;

#[derive(Clone, Debug)]
pub(crate) struct Staged(mpsc::Sender<Deed>);

/// The test's end.
#[derive(Debug)]
pub(crate) struct Deeds(mpsc::Receiver<Deed>);

impl Staged {
    pub(crate) fn new() -> (Self, Deeds) {
        let (deeds, asked) = mpsc::channel(64);
        (Self(deeds), Deeds(asked))
    }

    pub(super) async fn send(&self, text: &OutboxText) -> Result<(), SendError> {
        self.ask(|answer| Deed::Send(text.clone(), answer)).await
    }

    pub(super) async fn refresh_groups(&self) -> Result<(), SendError> {
        self.ask(Deed::Refresh).await
    }

    pub(super) async fn typing(&self, chat: &ChatJid, typing: Typing) {
        self.0.send(Deed::Type(chat.clone(), typing)).await.unwrap();
    }

    async fn ask(&self, deed: impl FnOnce(Answer) -> Deed) -> Result<(), SendError> {
        let (answer, answered) = oneshot::channel();
        self.0.send(deed(answer)).await.unwrap();
        answered.await.unwrap()
    }
}

impl Deeds {
    /// The next deed; it is late if it takes seconds.
    pub(crate) async fn next(&mut self) -> Deed {
        let next = timeout(Duration::from_secs(20), self.0.recv()).await;
        next.expect("nothing was asked of the channel").unwrap()
    }

    /// What was asked so far and not heard yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
