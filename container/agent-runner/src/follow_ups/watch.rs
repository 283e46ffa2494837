//! The kernel's word that something was put into a folder.

use std::path::Path;
use std::sync::Arc;

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind, RenameMode};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// One folder that is watched.
#[derive(Debug)]
pub(super) struct Watch {
    _watcher: RecommendedWatcher,
    news: Arc<Notify>,
}

impl Watch {
    pub(super) fn on(folder: &Path) -> notify::Result<Self> {
        let news = Arc::new(Notify::new());
        let tell = Arc::clone(&news);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error is an overflow: something may have been put there.
            if event.as_ref().map_or(true, is_news) {
                tell.notify_one();
            }
        })?;
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
        Ok(Self {
            _watcher: watcher,
            news,
        })
    }

    /// Returns when there was something new since the last time. Cancel-safe.
    pub(super) async fn told(&self) {
        self.news.notified().await;
    }
}

/// Moved in, or written and closed. Our own looks are no news.
fn is_news(event: &Event) -> bool {
    matches!(
        event.kind,
        EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Any))
            | EventKind::Access(AccessKind::Close(AccessMode::Write))
    )
}
