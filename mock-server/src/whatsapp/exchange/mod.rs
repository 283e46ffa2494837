//! The one task that owns all of WhatsApp's state: who is linked and connected, what waits for
//! whom, who is in which group. It answers clients and does what controls say.
//!
//! Everything happens in the order in which it is taken from the inbox. Keys and sessions are
//! the phones'; sockets the connections'.

mod act;
mod arrivals;
mod audience;
mod collections;
mod companion;
mod devices;
mod directory;
mod disturb;
mod facts;
mod groups;
mod heard;
mod journeys;
mod letters;
mod lines;
mod linking;
mod mailbox;
mod nacks;
mod participants;
mod people;
mod requests;
mod retries;
mod share;
mod speak;
#[cfg(test)]
mod tests;
mod weather;
mod written;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::connection::{ConnectionId, Tidings};
use super::group::GroupBook;
use super::media::MediaLibrary;
use super::moment::reached;
use super::pairing::Guest;
use super::phone::{DeviceKeys, OWNER, Person, PhoneError, PhoneHandle, Seed};
use crate::journal::Journal;
use collections::Collections;
use companion::Companion;
use journeys::Journeys;
use weather::Weather;
use written::Writings;

pub(super) use directory::Directory;
pub(super) use requests::Request;

/// What the exchange begins with.
pub(super) struct Opening {
    pub(super) journal: Journal,
    pub(super) seed: Seed,
    pub(super) directory: Arc<Mutex<Directory>>,
    pub(super) media: MediaLibrary,
}

/// A message id of the wire.
type MessageId = String;

pub(super) struct Exchange {
    journal: Journal,
    seed: Seed,
    directory: Arc<Mutex<Directory>>,
    media: MediaLibrary,
    owner: Person,
    owner_keys: DeviceKeys,
    /// Phones that are switched on, by person and device.
    phones: BTreeMap<(String, u16), PhoneHandle>,
    phone_tasks: JoinSet<()>,
    /// The owner's linked devices, by number.
    companions: BTreeMap<u16, Companion>,
    /// Connections that want to be linked.
    guests: BTreeMap<ConnectionId, Guest>,
    /// Whose line each connection is.
    lines: BTreeMap<ConnectionId, u16>,
    groups: GroupBook,
    writings: Writings,
    journeys: Journeys,
    weather: Weather,
    collections: Collections,
    counters: Counters,
    resting: Vec<oneshot::Sender<()>>,
}

/// What is numbered, each kind on its own, so that one does not shift the other's ids.
#[derive(Debug, Default)]
struct Counters {
    messages: u32,
    notifications: u32,
    references: u32,
    next_device: u16,
}

impl Exchange {
    /// # Errors
    /// The curve refuses the owner's keys, which seeded ones do not make it.
    pub(super) fn open(opening: Opening) -> Result<Self, PhoneError> {
        let owner = Person::named(OWNER);
        let owner_keys = DeviceKeys::of(&owner.seed(&opening.seed), 0)?;
        let mut exchange = Self {
            journal: opening.journal,
            seed: opening.seed,
            directory: opening.directory,
            media: opening.media,
            owner,
            owner_keys,
            phones: BTreeMap::new(),
            phone_tasks: JoinSet::new(),
            companions: BTreeMap::new(),
            guests: BTreeMap::new(),
            lines: BTreeMap::new(),
            groups: GroupBook::default(),
            writings: Writings::default(),
            journeys: Journeys::default(),
            weather: Weather::default(),
            collections: Collections::default(),
            counters: Counters {
                next_device: 1,
                ..Counters::default()
            },
            resting: Vec::new(),
        };
        exchange.state_account();
        Ok(exchange)
    }

    /// Serves until it is told to stop, and then switches the phones off.
    ///
    /// # Panics
    /// As a phone did.
    pub(super) async fn run(
        mut self,
        mut tidings: mpsc::Receiver<(ConnectionId, Tidings)>,
        mut requests: mpsc::Receiver<Request>,
        stop: CancellationToken,
    ) {
        loop {
            let next_end = self.next_end();
            tokio::select! {
                // What clients sent comes first: who asks whether all is at rest must not
                // overtake it.
                biased;
                () = stop.cancelled() => break,
                Some((id, tidings)) = tidings.recv() => self.hear(id, tidings).await,
                Some(request) = requests.recv() => self.serve(request).await,
                Some(ended) = self.phone_tasks.join_next() => {
                    ended.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()));
                }
                () = reached(next_end) => self.hang_up_on_guests(),
                else => break,
            }
            self.tell_who_waits();
        }
        self.phones.clear();
        while let Some(ended) = self.phone_tasks.join_next().await {
            ended.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()));
        }
    }

    /// Virtual, where somebody has set it.
    fn now(&self) -> Timestamp {
        self.journal.now().unwrap_or_else(Timestamp::now)
    }

    /// In seconds since 1970, as stanzas carry it.
    fn t(&self) -> u64 {
        // Nobody sends messages before 1970.
        u64::try_from(self.now().as_second()).unwrap_or(0)
    }

    fn next_message_id(&mut self) -> MessageId {
        let id = self.coming_message_id();
        self.counters.messages += 1;
        id
    }

    fn coming_message_id(&self) -> MessageId {
        let number = self.counters.messages + 1;
        let bytes = self.seed.nth("message", number).bytes();
        let hex: String = bytes
            .iter()
            .take(9)
            .map(|byte| format!("{byte:02X}"))
            .collect();
        // As ids of phones begin.
        format!("3A{hex}")
    }

    fn next_notification_id(&mut self) -> String {
        self.counters.notifications += 1;
        format!("mock-{}", self.counters.notifications)
    }

    fn write<const N: usize>(&self, event: &'static str, fields: [(&str, Value); N]) -> u64 {
        let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
        let fields = fields.map(|(name, value)| (name.to_owned(), value));
        self.journal.write(event, fields.collect()).seq
    }

    fn unexpected(&self, report: impl Into<String>) {
        self.write(
            "whatsapp.unexpected",
            [("report", Value::from(report.into()))],
        );
    }
}
