//! What people see of the assistant besides its texts: that it is typing.
//!
//! It shows as online only while it types. A linked device that is online for good keeps its
//! owner's phone from ringing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use whatsapp_rust::client::NodeFilter;
use whatsapp_rust::{Client, Jid};

use crate::channel::Typing;
use crate::ids::ChatJid;

/// Nobody waits for a courtesy longer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Something to show.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    chat: ChatJid,
    typing: Typing,
    /// Whether others should begin, or cease, to see us online.
    online: Option<bool>,
}

/// What to show when a chat's state becomes `typing`; `composing` are the chats where we type.
pub(super) fn change(composing: &mut BTreeSet<ChatJid>, chat: ChatJid, typing: Typing) -> Change {
    let before = composing.is_empty();
    match typing {
        Typing::Composing => composing.insert(chat.clone()),
        Typing::Paused => composing.remove(&chat),
    };
    let after = composing.is_empty();
    let online = (before != after).then_some(before);
    Change {
        chat,
        typing,
        online,
    }
}

/// Shows what it is given, in that order, until there is nobody left to give it any.
pub(super) async fn show_all(client: Arc<Client>, mut shown: mpsc::Receiver<Change>) {
    while let Some(change) = shown.recv().await {
        change.show(&client).await;
    }
}

impl Change {
    async fn show(self, client: &Client) {
        let shown = tokio::time::timeout(PATIENCE, self.tell(client)).await;
        match shown {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(chat = %self.chat, error, "typing is not shown"),
            Err(_elapsed) => tracing::debug!(chat = %self.chat, "typing is not shown in time"),
        }
    }

    async fn tell(&self, client: &Client) -> Result<(), String> {
        let chat: Jid = match self.chat.as_str().parse() {
            Ok(chat) => chat,
            Err(error) => return Err(format!("{error}")),
        };
        if self.online == Some(true) {
            let online = client.presence().set_available().await;
            online.map_err(|error| error.to_string())?;
        }
        let state = client.chatstate();
        let told = match self.typing {
            Typing::Composing => state.send_composing(&chat).await,
            Typing::Paused => state.send_paused(&chat).await,
        };
        if self.online == Some(false) {
            leave(client).await;
        }
        told.map_err(|error| error.to_string())
    }
}

/// Shows us as offline.
pub(super) async fn leave(client: &Client) {
    let left = tokio::time::timeout(PATIENCE, client.presence().set_unavailable()).await;
    if !matches!(left, Ok(Ok(()))) {
        tracing::debug!("others may see the assistant online");
    }
}

/// Waits until the library has shown us as online, which it does when it learns its name, and
/// takes that back.
pub(super) async fn leave_again(client: Arc<Client>) {
    let shown = NodeFilter::tag("presence").attr("type", "available");
    let shown = client.wait_for_sent_node(shown);
    // If it was faster than we are, the wait is in vain and nothing else.
    let (Ok(_) | Err(_)) = tokio::time::timeout(PATIENCE, shown).await;
    leave(&client).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_online_from_the_first_chat_it_types_in_to_the_last() {
        let mut composing = BTreeSet::new();
        let mut online = |chat: &str, typing| {
            let chat = format!("{chat}@g.us").parse().unwrap();
            change(&mut composing, chat, typing).online
        };
        assert_eq!(online("1", Typing::Composing), Some(true));
        assert_eq!(online("1", Typing::Composing), None, "again");
        assert_eq!(online("2", Typing::Composing), None);
        assert_eq!(online("1", Typing::Paused), None);
        assert_eq!(online("3", Typing::Paused), None, "never began");
        assert_eq!(online("2", Typing::Paused), Some(false));
    }
}
