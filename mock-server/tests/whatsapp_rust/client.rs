//! The client under test, and everything it says, in order.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use whatsapp_rust::Client;
use whatsapp_rust::bot::{Bot, BotHandle};
use whatsapp_rust::transport::TokioWebSocketTransportFactory;
use whatsapp_rust::types::events::{Event, EventHandler, InboundMessage};
use whatsapp_rust::waproto::whatsapp as wa;

use super::device::LinkedDevice;
use super::https::Https;

/// Real time; only a broken test ever waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
const VERSION: (u32, u32, u32) = (2, 3000, 1_043_857_760);
/// As few as the client takes: they are made in a debug build.
const PREKEYS: usize = 30;

/// Keeps what the client says.
struct Recorder(watch::Sender<Vec<Arc<Event>>>);

impl EventHandler for Recorder {
    fn handle_event(&self, event: Arc<Event>) {
        self.0.send_modify(|said| said.push(event));
    }
}

pub(crate) struct Running {
    bot: BotHandle,
    said: watch::Receiver<Vec<Arc<Event>>>,
}

impl Running {
    /// Starts the client on that device's store; it connects by itself, and again when it is cut
    /// off.
    pub(crate) async fn started(device: &LinkedDevice, url: &str, authority: &str) -> Self {
        let (record, said) = watch::channel(Vec::new());
        let bot = Bot::builder()
            .with_backend_arc(Arc::clone(&device.store) as _)
            .with_transport_factory(TokioWebSocketTransportFactory::new().with_url(url))
            .with_http_client(Https::trusting(authority))
            .with_version(VERSION)
            .with_wanted_pre_key_count(PREKEYS)
            .skip_history_sync()
            .with_event_handler(Recorder(record));
        let bot = bot.build().await.unwrap().spawn();
        Self { bot, said }
    }

    pub(crate) fn client(&self) -> Arc<Client> {
        self.bot.client()
    }

    /// What was found first among all it said so far and will say.
    pub(crate) async fn says<T>(
        &mut self,
        what: &str,
        mut found: impl FnMut(&Event) -> Option<T>,
    ) -> T {
        let mut looked_at = 0;
        let waiting = async {
            loop {
                let fresh = self.said.borrow_and_update()[looked_at..].to_vec();
                looked_at += fresh.len();
                if let Some(found) = fresh.iter().find_map(|event| found(event)) {
                    return found;
                }
                self.said
                    .changed()
                    .await
                    .expect("the client lives as long as its handle");
            }
        };
        match timeout(PATIENCE, waiting).await {
            Ok(found) => found,
            Err(_elapsed) => panic!(
                "waited {PATIENCE:?} for the client to say {what}; {}",
                self.story()
            ),
        }
    }

    pub(crate) fn has_said(&self, found: impl Fn(&Event) -> Option<()>) -> bool {
        let said = self.said.borrow();
        said.iter().any(|event| found(event).is_some())
    }

    /// All messages it has said so far.
    pub(crate) fn messages(&self) -> Vec<InboundMessage> {
        let said = self.said.borrow();
        said.iter().flat_map(|event| messages_of(event)).collect()
    }

    pub(crate) async fn connected(&mut self) {
        self.says("that it is connected", |event| {
            matches!(event, Event::Connected(_)).then_some(())
        })
        .await;
    }

    /// The message with that id.
    pub(crate) async fn message(&mut self, id: &str) -> InboundMessage {
        self.says(&format!("message {id}"), |event| {
            messages_of(event)
                .into_iter()
                .find(|message| message.info.id == id)
        })
        .await
    }

    /// Sends a plain text; returns its id.
    pub(crate) async fn sends(&self, to: &str, text: &str) -> String {
        self.sends_message(to, says(text)).await
    }

    pub(crate) async fn sends_message(&self, to: &str, message: wa::Message) -> String {
        let to: whatsapp_rust::Jid = to.parse().unwrap();
        self.client()
            .send_message(to, message)
            .await
            .unwrap()
            .message_id
    }

    pub(crate) async fn leaves(self) {
        self.bot.shutdown().await;
    }

    pub(crate) fn story(&self) -> String {
        let mut story = "it said:".to_owned();
        for event in self.said.borrow().iter() {
            let line: String = format!("{event:?}").chars().take(300).collect();
            write!(story, "\n  {line}").unwrap();
        }
        story
    }
}

fn messages_of(event: &Event) -> Vec<InboundMessage> {
    if let Event::Messages(batch) = event {
        batch.iter().cloned().collect()
    } else {
        Vec::new()
    }
}

pub(crate) fn says(text: &str) -> wa::Message {
    wa::Message {
        conversation: Some(text.to_owned()),
        ..Default::default()
    }
}
