//! "Kai is typing…": shown while an agent works, where a channel can. It is best effort: it never
//! fails or delays a turn.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{interval, timeout};

use crate::channel::{Channels, Typing};
use crate::ids::ChatJid;

/// Phones forget it after some 25 s. Real time, as it is for them.
const AGAIN: Duration = Duration::from_secs(10);
/// A channel that is busy with more important things is not waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Does the work, and shows that it is being done.
pub(super) async fn during<T>(
    channels: &Channels,
    chat: &ChatJid,
    work: impl Future<Output = T>,
) -> T {
    if !channels.shows_typing(chat) {
        return work.await;
    }
    let mut work = pin!(work);
    let mut again = interval(AGAIN);
    let shown = async {
        loop {
            again.tick().await;
            channels.typing(chat, Typing::Composing).await;
        }
    };
    tokio::select! {
        done = &mut work => done,
        () = shown => work.await,
    }
}

/// Shows that the work is over.
pub(super) async fn stop(channels: &Channels, chat: &ChatJid) {
    if channels.shows_typing(chat) {
        let (Ok(()) | Err(_)) = timeout(PATIENCE, channels.typing(chat, Typing::Paused)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::{Channel, Deed, Prefix, Staged};

    #[tokio::test(start_paused = true)]
    async fn people_see_that_the_assistant_works_until_it_does_not() {
        let (staged, mut deeds) = Staged::new();
        let channels = Channels::new(vec![Channel::Staged(staged)], Prefix::OwnNumber);
        let chat: ChatJid = "1@g.us".parse().unwrap();
        let work = tokio::time::sleep_until(tokio::time::Instant::now() + AGAIN * 2 + PATIENCE);

        during(&channels, &chat, work).await;
        stop(&channels, &chat).await;

        let mut seen = Vec::new();
        while !deeds.is_empty() {
            match deeds.next().await {
                Deed::Type(of, typing) if of == chat => seen.push(typing),
                other @ (Deed::Type(..) | Deed::Send(..) | Deed::Refresh(_)) => panic!("{other:?}"),
            }
        }
        let composing = Typing::Composing;
        assert_eq!(seen, [composing, composing, composing, Typing::Paused]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_channel_that_is_stuck_delays_no_turn() {
        let (staged, _deaf) = Staged::new();
        let channels = Channels::new(vec![Channel::Staged(staged)], Prefix::OwnNumber);
        let chat: ChatJid = "1@g.us".parse().unwrap();
        for _ in 0..64 {
            channels.typing(&chat, Typing::Composing).await;
        }
        let begun = tokio::time::Instant::now();

        assert_eq!(during(&channels, &chat, std::future::ready(7)).await, 7);
        stop(&channels, &chat).await;

        assert!(begun.elapsed() <= PATIENCE * 2);
    }
}
