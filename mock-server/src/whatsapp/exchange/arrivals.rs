//! What clients send, by kind: requests are answered, the rest is passed to where it belongs.

use serde_json::Value;
use wacore_binary::{Jid, Node};

use super::Exchange;
use super::devices::DeviceChange;
use super::mailbox::Class;
use crate::text::chain;
use crate::whatsapp::connection::{ConnectionId, Order};
use crate::whatsapp::controls::Traffic;
use crate::whatsapp::group::{Asking, GroupRequest};
use crate::whatsapp::iq::app_state::CollectionAsk;
use crate::whatsapp::iq::keys::{self, KeyUpload, KeyWish};
use crate::whatsapp::iq::usync::Usync;
use crate::whatsapp::iq::{Ask, app_state};
use crate::whatsapp::phone::PhoneError;
use crate::whatsapp::stanza::{
    Ack, Answer, Iq, PresenceNote, Receipt, ReceiptKind, Stanza, ack_receipt, unlinked, xml,
};

impl Exchange {
    pub(super) async fn arrived(&mut self, id: ConnectionId, stanza: Stanza, node: &Node) {
        if self.guests.contains_key(&id) {
            return self.hear_guest(id, stanza, node);
        }
        let device = self.lines.get(&id).copied();
        let companion = device.and_then(|device| self.companions.get(&device));
        // What a connection sent before it was replaced or cut is lost with it.
        let line = companion.and_then(|companion| companion.line.as_ref());
        if let (Some(device), Some(line)) = (device, line)
            && line.id == id
        {
            self.hear_device(device, stanza, node).await;
        }
    }

    async fn hear_device(&mut self, device: u16, stanza: Stanza, node: &Node) {
        match stanza {
            Stanza::Ask(iq) => {
                let answer = self.answer(device, &iq).await;
                self.reply(device, &iq, answer);
            }
            Stanza::Answer(answer) => self.answered(&answer, node),
            Stanza::Message(sent) => self.take_message(device, sent).await,
            Stanza::Receipt(receipt) => self.take_receipt(device, &receipt).await,
            Stanza::Ack(ack) => self.take_ack(device, &ack),
            Stanza::Presence(presence) => self.take_presence(&presence),
            Stanza::Chatstate(chatstate) => {
                let chat = self.canonical(&chatstate.to).to_string();
                let fields = [
                    ("chat", Value::from(chat)),
                    ("state", chatstate.state.into()),
                ];
                self.write("whatsapp.typing", fields);
            }
            Stanza::Note => {}
        }
    }

    fn reply(&mut self, device: u16, iq: &Iq, answer: Result<Answered, PhoneError>) {
        let answered = answer.unwrap_or_else(|fault| {
            self.unexpected(format!("{}: {}", chain(&fault), xml(&iq.node)));
            Answered::of(iq.refused(500, "internal-server-error"))
        });
        self.send_now(device, answered.node);
        match answered.then {
            Then::Nothing => {}
            Then::Activate => self.activated(device),
            Then::Unlink(number) => self.unlink_by_device(device, number),
        }
    }

    async fn answer(&mut self, device: u16, iq: &Iq) -> Result<Answered, PhoneError> {
        let ask = match Ask::read(iq) {
            Ok(Some(ask)) => ask,
            Ok(None) => {
                self.unexpected(format!("a request that is not served: {}", xml(&iq.node)));
                return Ok(Answered::of(iq.refused(501, "feature-not-implemented")));
            }
            Err(malformed) => {
                self.unexpected(format!("{malformed}: {}", xml(&iq.node)));
                return Ok(Answered::of(iq.refused(400, "bad-request")));
            }
        };
        let content = match ask {
            Ask::CountKeys => vec![keys::count(self.prekeys_left(device))],
            Ask::UploadKeys(upload) => {
                self.take_keys(device, *upload).await?;
                Vec::new()
            }
            Ask::DigestKeys => match self.digest(device) {
                Some(digest) => vec![digest],
                None => return Ok(Answered::of(iq.refused(404, "item-not-found"))),
            },
            Ask::FetchKeys(wishes) => vec![self.fetch_keys(&wishes).await?],
            Ask::RotateKey(signed) => {
                if let Some(companion) = self.companions.get_mut(&device) {
                    companion.signed = signed;
                }
                Vec::new()
            }
            Ask::Activate => return Ok(Answered::then(iq.result(Vec::new()), Then::Activate)),
            Ask::Unlink(jid) => return Ok(self.answer_unlinking(iq, &jid)),
            Ask::LookUp(usync) => vec![self.look_up(&usync)?],
            Ask::AppState(asks) => vec![self.synchronise(device, &asks)],
            Ask::Setting(setting) => setting.answer(),
            Ask::MediaConnection => vec![self.media.media_conn()],
            Ask::Group => return Ok(Answered::of(self.answer_group(iq).await?)),
            Ask::Absent => return Ok(Answered::of(iq.refused(404, "item-not-found"))),
            Ask::Noted => Vec::new(),
            Ask::Ping => return Ok(Answered::of(self.pong(iq))),
            Ask::Link(_) => {
                self.unexpected("a device that is linked asks to be linked");
                return Ok(Answered::of(iq.refused(400, "bad-request")));
            }
        };
        Ok(Answered::of(iq.result(content)))
    }

    /// By the time in it clients set their idea of the server's clock.
    fn pong(&self, iq: &Iq) -> Node {
        let mut node = iq.result(Vec::new());
        node.attrs.insert("t", self.t().to_string());
        node
    }

    fn prekeys_left(&self, device: u16) -> usize {
        self.companions
            .get(&device)
            .map_or(0, |companion| companion.prekeys.len())
    }

    async fn take_keys(&mut self, device: u16, upload: KeyUpload) -> Result<(), PhoneError> {
        let Some(companion) = self.companions.get_mut(&device) else {
            return Ok(());
        };
        companion.registration_id = upload.registration_id;
        companion.identity = upload.identity;
        companion.signed = upload.signed;
        companion.prekeys.extend(upload.one_time);
        if !std::mem::replace(&mut companion.greeted, true) {
            self.greet(device).await?;
        }
        Ok(())
    }

    /// None: the device has left no one-time prekeys, so that it had better begin anew.
    fn digest(&self, device: u16) -> Option<Node> {
        let companion = self.companions.get(&device)?;
        if companion.prekeys.is_empty() {
            return None;
        }
        let ids = companion.prekeys.iter().map(|prekey| prekey.id);
        let (registration_id, identity) = (companion.registration_id, &companion.identity);
        let keys = (ids, companion.digest());
        Some(keys::digest(
            registration_id,
            identity,
            &companion.signed,
            keys,
        ))
    }

    async fn fetch_keys(&mut self, wishes: &[KeyWish]) -> Result<Node, PhoneError> {
        let mut users = Vec::new();
        for wish in wishes {
            let bundle = self.bundle(&wish.jid).await?;
            users.push(keys::user(&wish.jid, bundle.as_ref(), self.t()));
        }
        Ok(keys::users(users))
    }

    fn look_up(&self, usync: &Usync) -> Result<Node, PhoneError> {
        let known = usync.people.iter().map(|jid| self.known(jid));
        let known: Vec<_> = known.collect::<Result<_, _>>()?;
        Ok(usync.answer(&known, self.t()))
    }

    async fn answer_group(&mut self, iq: &Iq) -> Result<Node, PhoneError> {
        let Some(request) = GroupRequest::read(&iq.node) else {
            self.unexpected(format!("a request that is not served: {}", xml(&iq.node)));
            return Ok(iq.refused(501, "feature-not-implemented"));
        };
        let (by, at) = (self.owner.clone(), self.now());
        let directory = std::sync::Arc::clone(&self.directory);
        let person_at = move |jid: &Jid| {
            let directory = directory
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            directory.person_at(jid).cloned()
        };
        let answer = {
            let asking = Asking {
                by: &by,
                at,
                person_at: &person_at,
            };
            self.groups.answer(request, &asking)
        };
        match answer {
            Ok(answer) => {
                for event in answer.events {
                    self.tell_of_change(&event).await?;
                }
                Ok(iq.result(answer.content))
            }
            Err(fault) => {
                let (code, text) = fault.code();
                Ok(iq.refused(code, text))
            }
        }
    }

    /// A client's answer to what the server asked.
    pub(super) fn answered(&self, answer: &Answer, node: &Node) {
        if !answer.accepted {
            self.unexpected(format!("a client refuses a request: {}", xml(node)));
        }
    }

    fn take_ack(&mut self, device: u16, ack: &Ack) {
        if let Some(code) = &ack.error {
            return self.rejected(device, ack, code);
        }
        // Clients acknowledge more than is counted, e.g. calls.
        let Some(class) = Class::read(&ack.class) else {
            return;
        };
        if class == Class::Message && self.weather.holds(Traffic::Deliveries) {
            return;
        }
        let Some(companion) = self.companions.get_mut(&device) else {
            return;
        };
        let mailbox = &mut companion.mailbox;
        let taken = mailbox.acknowledged(class, &ack.id, ack.participant.as_ref());
        // For what the owner wrote elsewhere there is no receipt: a device that has it says so here.
        if taken && class == Class::Message {
            let chat = self.writings.get(&ack.id);
            let chat = chat.and_then(|writing| self.directory().jid(&writing.chat));
            let chat = chat.map(|jid| jid.to_string());
            let ids = std::slice::from_ref(&ack.id);
            self.delivered(device, ids, &Value::from(chat));
        }
    }

    pub(super) fn take_presence(&self, presence: &PresenceNote) {
        let to = presence
            .to
            .as_ref()
            .map(|to| self.canonical(to).to_string());
        let fields = [
            ("state", Value::from(presence.kind.as_str())),
            ("to", Value::from(to)),
            ("name", Value::from(presence.name.clone())),
        ];
        self.write("whatsapp.presence", fields);
    }

    async fn take_receipt(&mut self, device: u16, receipt: &Receipt) {
        let is_delivery = matches!(receipt.kind, ReceiptKind::Delivered);
        if is_delivery && self.weather.holds(Traffic::Deliveries) {
            return;
        }
        if let Some(companion) = self.companions.get_mut(&device) {
            for id in &receipt.ids {
                let participant = receipt.participant.as_ref();
                companion
                    .mailbox
                    .acknowledged(Class::Message, id, participant);
            }
        }
        let chat = Value::from(self.canonical(&receipt.to).to_string());
        match &receipt.kind {
            ReceiptKind::Delivered => self.delivered(device, &receipt.ids, &chat),
            ReceiptKind::Retry => self.take_retry(device, receipt).await,
            ReceiptKind::Read | ReceiptKind::PeerMessage | ReceiptKind::HistorySync => {
                self.note_receipt(receipt, chat);
            }
            ReceiptKind::Unknown(_) => {
                self.unexpected(format!(
                    "a receipt of an unknown type: {}",
                    xml(&receipt.node)
                ));
                self.note_receipt(receipt, chat);
            }
        }
        for id in &receipt.ids {
            self.acknowledge(device, ack_receipt(receipt, id));
        }
    }

    fn note_receipt(&self, receipt: &Receipt, chat: Value) {
        let ids = Value::from(receipt.ids.clone());
        let kind = Value::from(receipt.kind.word());
        let fields = [("chat", chat), ("ids", ids), ("type", kind)];
        self.write("whatsapp.receipt", fields);
    }

    fn delivered(&self, device: u16, ids: &[String], chat: &Value) {
        let to = Value::from(self.owner.pn().with_device(device).to_string());
        for id in ids {
            let fields = [
                ("chat", chat.clone()),
                ("id", id.as_str().into()),
                ("to", to.clone()),
            ];
            self.write("whatsapp.delivered", fields);
        }
    }

    /// Tells a device that the server took what it sent; or not yet, while that is held back.
    pub(super) fn acknowledge(&mut self, device: u16, ack: Node) {
        if !self.weather.holds(Traffic::Acks) {
            return self.send_now(device, ack);
        }
        if let Some(companion) = self.companions.get_mut(&device) {
            companion.held_acks.push(ack);
        }
    }

    pub(super) fn release_acks(&mut self) {
        let devices: Vec<u16> = self.companions.keys().copied().collect();
        for device in devices {
            let companion = self.companions.get_mut(&device);
            let held = companion.map_or_else(Vec::new, |one| std::mem::take(&mut one.held_acks));
            for ack in held {
                self.send_now(device, ack);
            }
        }
    }

    /// The device is none of the owner's any more.
    pub(super) fn unlink_device(&mut self, device: u16, why: &'static str) {
        let Some(companion) = self.companions.remove(&device) else {
            return;
        };
        if let Some(line) = companion.line {
            self.order(&line.orders, Order::Close(why));
        }
        self.tell_of_companion(device, DeviceChange::Removed);
    }

    fn answer_unlinking(&self, iq: &Iq, jid: &Jid) -> Answered {
        if self.owner.is_at(jid) && self.companions.contains_key(&jid.device) {
            return Answered::then(iq.result(Vec::new()), Then::Unlink(jid.device));
        }
        self.unexpected(format!("a client unlinks {jid}, which is not linked"));
        Answered::of(iq.refused(404, "item-not-found"))
    }

    fn unlink_by_device(&mut self, by: u16, number: u16) {
        if by != number {
            self.send_now(number, unlinked());
        }
        let jid = self.owner.pn().with_device(number).to_string();
        let fields = [("by", Value::from("device")), ("jid", Value::from(jid))];
        self.write("whatsapp.unlinked", fields);
        self.unlink_device(number, "a device unlinked it");
    }

    /// Brings a device up to date with what all share; the others are told of what it changes.
    fn synchronise(&mut self, device: u16, asks: &[CollectionAsk]) -> Node {
        let mut collections = Vec::new();
        for ask in asks {
            let synced = self.collections.answer(ask);
            collections.push(synced.node);
            if let Some(fault) = synced.unreadable {
                let (name, why) = (&ask.name, chain(&fault));
                self.unexpected(format!("a patch of `{name}` cannot be read: {why}"));
            }
            if let Some(version) = synced.moved {
                self.tell_of_collection(&ask.name, version, Some(device));
            }
        }
        app_state::sync(collections)
    }
}

/// An answer, and what follows from it.
struct Answered {
    node: Node,
    then: Then,
}

enum Then {
    Nothing,
    Activate,
    /// The device of that number.
    Unlink(u16),
}

impl Answered {
    fn of(node: Node) -> Self {
        Self::then(node, Then::Nothing)
    }

    fn then(node: Node, then: Then) -> Self {
        Self { node, then }
    }
}
