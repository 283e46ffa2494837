//! What the client library tells, sorted: ends of connections for `line.rs`, acknowledgements
//! for whoever waits for one, receipts and names for the store.
//!
//! The library must not be held up, so a receipt that finds no room is dropped and told. What
//! must not be lost has room of its own, or, as messages do, comes through the hook in
//! `inbound.rs` instead.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use wacore::stanza::groups::GroupNotificationAction;
use wacore::types::events::{
    ConnectFailure, ConnectFailureReason, Event, EventHandler, EventInterest, EventKind,
    GroupUpdate, InboundMessage, LoggedOut, Receipt, ServerAck, TemporaryBan,
};
use wacore::types::presence::ReceiptType;
use whatsapp_rust::Jid;

use super::connection::{Ending, Verdict};
use super::people;
use crate::clock::{Busy, Clock, Work};
use crate::ids::ChatJid;
use crate::store::Delivery;

/// Something to act on.
#[derive(Debug)]
pub(super) enum Notice {
    Connected,
    /// The connection is about to end, and why.
    Ending(Ending),
    /// The client has shown its owner as online.
    Online,
    /// Texts of ours have got further.
    Receipt {
        ids: Vec<String>,
        delivery: Delivery,
        at: Timestamp,
    },
    GroupNamed {
        chat: ChatJid,
        name: String,
    },
    /// Somebody came into a group.
    Joined(Vec<Jid>),
    /// Messages that the owner's phone had to help out with. They do not come by the hook.
    Recovered(Arc<[InboundMessage]>),
    /// A message could not be kept and was not acknowledged; a new connection brings it again.
    NotKept,
}

/// Places in the queue that are kept for what must not be lost. A burst of receipts, which may
/// be, fills the others: a large group has read something.
const RESERVED: usize = 128;
const PLACES: usize = 1024 + RESERVED;

/// The way in for notices. Each is work until it has been acted on.
#[derive(Clone, Debug)]
pub(super) struct Notices {
    told: mpsc::Sender<(Notice, Busy)>,
    clock: Clock,
}

impl Notices {
    #[must_use]
    pub(super) fn new(clock: Clock) -> (Self, mpsc::Receiver<(Notice, Busy)>) {
        let (told, notices) = mpsc::channel(PLACES);
        (Self { told, clock }, notices)
    }

    pub(super) fn tell(&self, notice: Notice) {
        let busy = self.clock.busy(Work::Channel);
        let has_room = self.told.capacity() > RESERVED || !notice.may_be_lost();
        let lost = match has_room.then(|| self.told.try_send((notice, busy))) {
            Some(Ok(())) => return,
            // Nobody acts on anything any more.
            Some(Err(mpsc::error::TrySendError::Closed(_))) => return,
            Some(Err(mpsc::error::TrySendError::Full((notice, _)))) => Some(notice),
            None => None,
        };
        tracing::warn!(?lost, "WhatsApp tells more than can be taken in");
    }
}

impl Notice {
    fn may_be_lost(&self) -> bool {
        match self {
            Self::Receipt { .. } | Self::GroupNamed { .. } | Self::Joined(_) => true,
            Self::Connected
            | Self::Ending(_)
            | Self::Online
            | Self::Recovered(_)
            | Self::NotKept => false,
        }
    }
}

/// What a server says to a text of ours: nothing, or the code of a refusal.
pub(super) type Acknowledgement = Result<(), String>;

/// Who waits for an acknowledgement, by message id; none while there is no connection on which
/// one could come.
#[derive(Debug, Default)]
pub(super) struct Acknowledgements(Mutex<Option<Waiting>>);

type Waiting = BTreeMap<String, oneshot::Sender<Acknowledgement>>;

impl Acknowledgements {
    /// There is a connection.
    pub(super) fn open(&self) {
        self.lock().get_or_insert_default();
    }

    /// The connection is gone: nobody is answered any more.
    pub(super) fn close(&self) {
        *self.lock() = None;
    }

    /// Begins to wait; must come before the message leaves. None if there is no connection.
    pub(super) fn expect(&self, id: &str) -> Option<oneshot::Receiver<Acknowledgement>> {
        let (told, waiting) = oneshot::channel();
        self.lock().as_mut()?.insert(id.to_owned(), told);
        Some(waiting)
    }

    pub(super) fn forget(&self, id: &str) {
        self.take(id);
    }

    fn tell(&self, id: &str, acknowledgement: Acknowledgement) {
        if let Some(waiting) = self.take(id) {
            // Whoever waited may have lost patience.
            let (Ok(()) | Err(_)) = waiting.send(acknowledgement);
        }
    }

    fn take(&self, id: &str) -> Option<oneshot::Sender<Acknowledgement>> {
        self.lock().as_mut()?.remove(id)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Waiting>> {
        // Nothing panics while it holds the map.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hears what the library tells.
#[derive(Debug)]
pub(super) struct Listener {
    notices: Notices,
    acknowledgements: Arc<Acknowledgements>,
}

impl Listener {
    #[must_use]
    pub(super) fn new(notices: Notices, acknowledgements: Arc<Acknowledgements>) -> Self {
        Self {
            notices,
            acknowledgements,
        }
    }
}

impl EventHandler for Listener {
    fn handle_event(&self, event: Arc<Event>) {
        if let Event::ServerAck(ack) = &*event {
            acknowledge(&self.acknowledgements, ack);
        }
        if let Event::UndecryptableMessage(told) = &*event {
            // The library asks for it again; that it was needed is worth a line.
            tracing::warn!(
                chat = %told.info.source.chat,
                id = told.info.id,
                "a message could not be decrypted; its sender is asked to send it again"
            );
        }
        if let Some(notice) = notice(&event) {
            self.notices.tell(notice);
        }
    }

    fn interest(&self) -> EventInterest {
        EventInterest::of(&[
            EventKind::Connected,
            EventKind::Disconnected,
            EventKind::LoggedOut,
            EventKind::StreamReplaced,
            EventKind::ClientOutdated,
            EventKind::TemporaryBan,
            EventKind::ConnectFailure,
            EventKind::PairPasskeyRequest,
            EventKind::SelfPushNameUpdated,
            EventKind::Receipt,
            EventKind::ServerAck,
            EventKind::GroupUpdate,
            EventKind::UndecryptableMessage,
            EventKind::Messages,
        ])
    }
}

fn acknowledge(waiting: &Acknowledgements, ack: &ServerAck) {
    // Receipts and notifications of ours are acknowledged too.
    if ack.class.as_deref().is_some_and(|class| class != "message") {
        return;
    }
    let told = ack.error.clone().map_or(Ok(()), Err);
    waiting.tell(&ack.id, told);
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the library tells far more than concerns us"
)]
fn notice(event: &Event) -> Option<Notice> {
    match event {
        Event::Connected(_) => Some(Notice::Connected),
        Event::SelfPushNameUpdated(_) => Some(Notice::Online),
        Event::Receipt(receipt) => receipt_notice(receipt),
        Event::GroupUpdate(update) => group_notice(update),
        Event::Messages(batch) if !batch.hook_committed => {
            Some(Notice::Recovered(Arc::clone(&batch.messages)))
        }
        _ => ending(event).map(Notice::Ending),
    }
}

/// How the library says that a connection ends.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the library tells far more than concerns us"
)]
#[must_use]
pub(super) fn ending(event: &Event) -> Option<Ending> {
    match event {
        Event::Disconnected(told) => Some(Ending::Lost {
            why: told.reason.to_string(),
        }),
        Event::LoggedOut(told) => Some(Ending::Final(logged_out(told))),
        Event::StreamReplaced(_) => Some(Ending::Final(Verdict::Replaced)),
        Event::ClientOutdated(_) => Some(Ending::Final(Verdict::Outdated)),
        Event::PairPasskeyRequest(_) => Some(Ending::Final(Verdict::Passkey)),
        Event::TemporaryBan(told) => Some(ban(told)),
        Event::ConnectFailure(told) => Some(failure(told)),
        _ => None,
    }
}

fn logged_out(told: &LoggedOut) -> Verdict {
    let words = told.logout_message.as_ref().and_then(|message| {
        let parts = [message.header.as_deref(), message.subtext.as_deref()];
        let words: Vec<&str> = parts.into_iter().flatten().collect();
        (!words.is_empty()).then(|| words.join(" "))
    });
    let why = match (words, told.reason, told.on_connect) {
        (Some(words), _, _) => words,
        (None, ConnectFailureReason::AccountLocked, _) => "the account is locked".to_owned(),
        (None, _, true) => "the server does not know it".to_owned(),
        (None, _, false) => "it was unlinked".to_owned(),
    };
    Verdict::LoggedOut { why }
}

fn ban(told: &TemporaryBan) -> Ending {
    let lasts = u64::try_from(told.expire.num_seconds()).unwrap_or(0);
    Ending::Banned {
        lasts: Duration::from_secs(lasts),
        why: told
            .message
            .clone()
            .unwrap_or_else(|| told.code.to_string()),
    }
}

fn failure(told: &ConnectFailure) -> Ending {
    let words = told.message.as_deref().unwrap_or("no reason is given");
    let why = format!("the server refuses: {:?}, {words}", told.reason);
    if told.reason.should_reconnect() {
        Ending::Lost { why }
    } else {
        Ending::Refused { why }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the other kinds are about messages to us"
)]
fn receipt_notice(receipt: &Receipt) -> Option<Notice> {
    let delivery = match &receipt.r#type {
        ReceiptType::Delivered | ReceiptType::Inactive => Delivery::Delivered,
        ReceiptType::Read | ReceiptType::Played => Delivery::Read,
        _ => return None,
    };
    Some(Notice::Receipt {
        ids: receipt.message_ids.clone(),
        delivery,
        at: people::instant(receipt.timestamp),
    })
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of all that happens to a group, its name is kept"
)]
fn group_notice(update: &GroupUpdate) -> Option<Notice> {
    let name = match &update.action {
        GroupNotificationAction::Subject { subject, .. } => subject.clone(),
        GroupNotificationAction::Create { raw } => {
            let group = raw.get_optional_child("group")?;
            group.attrs().optional_string("subject")?.into_owned()
        }
        GroupNotificationAction::Add { participants, .. } => {
            let who = participants.iter().map(|person| person.jid.clone());
            return Some(Notice::Joined(who.collect()));
        }
        _ => return None,
    };
    let chat = people::chat(&update.group_jid)?;
    Some(Notice::GroupNamed { chat, name })
}

#[cfg(test)]
mod tests {
    use whatsapp_rust::chrono::Duration as Span;

    use super::*;

    fn why(event: &Event) -> String {
        format!("{:?}", ending(event))
    }

    #[track_caller]
    fn check(event: &Event, wanted: &str) {
        let why = why(event);
        assert!(why.contains(wanted), "{why}");
    }

    #[test]
    fn every_end_has_its_verdict() {
        let logged_out = |reason, on_connect| {
            let told = LoggedOut::builder().on_connect(on_connect).reason(reason);
            Event::LoggedOut(told.build())
        };
        let reason = ConnectFailureReason::LoggedOut;
        check(
            &logged_out(reason, false),
            "LoggedOut { why: \"it was unlinked\"",
        );
        check(&logged_out(reason, true), "does not know it");
        check(
            &logged_out(ConnectFailureReason::AccountLocked, true),
            "locked",
        );
        let ban = TemporaryBan::builder()
            .code(101.into())
            .expire(Span::try_seconds(90).unwrap());
        check(&Event::TemporaryBan(ban.build()), "Banned { lasts: 90s");
        let failure =
            |reason| Event::ConnectFailure(ConnectFailure::builder().reason(reason).build());
        check(&failure(ConnectFailureReason::ServiceUnavailable), "Lost");
        check(&failure(ConnectFailureReason::Generic), "Refused");
    }

    #[test]
    fn an_acknowledgement_finds_who_waits_for_it_once() {
        let waiting = Acknowledgements::default();
        waiting.open();
        let mut first = waiting.expect("A").unwrap();
        let mut second = waiting.expect("B").unwrap();
        let ack = |id: &str, class: &str, error: Option<&str>| {
            let ack = ServerAck::builder()
                .id(id.to_owned())
                .class(class.to_owned());
            acknowledge(&waiting, &ack.maybe_error(error.map(str::to_owned)).build());
        };

        ack("A", "receipt", None);
        assert!(first.try_recv().is_err(), "a receipt's");
        ack("A", "message", Some("479"));
        ack("A", "message", None);
        assert_eq!(first.try_recv(), Ok(Err("479".to_owned())));

        waiting.close();
        assert!(second.try_recv().is_err());
    }

    #[test]
    fn nobody_waits_for_what_a_lost_connection_cannot_bring() {
        let waiting = Acknowledgements::default();
        assert!(waiting.expect("A").is_none());
        waiting.open();
        assert!(waiting.expect("A").is_some());
        waiting.close();
        assert!(waiting.expect("A").is_none());
    }
}
