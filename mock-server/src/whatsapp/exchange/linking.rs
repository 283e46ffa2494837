//! Clients that want to be linked to the owner's account, and what the owner's phone does.

use std::panic::resume_unwind;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use wacore_binary::Node;

use super::Exchange;
use super::companion::Companion;
use super::devices::DeviceChange;
use crate::whatsapp::ControlError;
use crate::whatsapp::connection::{ConnectionId, Order};
use crate::whatsapp::controls::Done;
use crate::whatsapp::iq::Ask;
use crate::whatsapp::pairing::{
    self, Finish, InvalidSignature, LinkAsk, LinkCode, LinkFault, Means, NewDevice, QrCode,
    Reference, Vouched,
};
use crate::whatsapp::stanza::{Answer, Iq, Stanza, stream_error, xml};

impl Exchange {
    pub(super) fn next_references(&mut self, now: Instant) -> Vec<Reference> {
        let texts = (0..self.weather.terms.codes).map(|_| {
            self.counters.references += 1;
            let bytes = self.seed.nth("reference", self.counters.references).bytes();
            format!("2@{}", URL_SAFE_NO_PAD.encode(bytes))
        });
        let texts = texts.collect();
        self.weather.terms.references(texts, now)
    }

    /// When the next client that wants to be linked has nothing good left to show.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.guests.values().filter_map(pairing::Guest::ends).min()
    }

    /// Nobody scanned or typed in what they show while it was good.
    pub(super) fn hang_up_on_guests(&mut self) {
        let now = Instant::now();
        let late = |guest: &pairing::Guest| guest.ends().is_some_and(|end| end <= now);
        let late = self.guests.iter().filter(|(_, guest)| late(guest));
        for id in late.map(|(id, _)| *id).collect::<Vec<_>>() {
            if let Some(guest) = self.guests.remove(&id) {
                let why = "nobody scanned its code, or typed it in, in time";
                self.order(&guest.orders, Order::Close(why));
            }
        }
    }

    pub(super) fn hear_guest(&mut self, id: ConnectionId, stanza: Stanza, node: &Node) {
        match stanza {
            Stanza::Ask(iq) => self.answer_guest(id, &iq),
            Stanza::Answer(answer) if answer.accepted => self.guest_answered(id, &answer),
            Stanza::Answer(answer) => self.answered(&answer, node),
            Stanza::Presence(presence) => self.take_presence(&presence),
            Stanza::Ack(_) | Stanza::Note => {}
            Stanza::Message(_) | Stanza::Receipt(_) | Stanza::Chatstate(_) => {
                self.unexpected(format!("a client that is not linked sends {}", xml(node)));
            }
        }
    }

    fn answer_guest(&mut self, id: ConnectionId, iq: &Iq) {
        let answer = match Ask::read(iq) {
            Ok(Some(Ask::Ping)) => iq.result(Vec::new()),
            Ok(Some(Ask::Link(ask))) => return self.link_by_code(id, iq, ask),
            Ok(Some(_) | None) => {
                self.unexpected(format!(
                    "a client that is not linked asks {}",
                    xml(&iq.node)
                ));
                iq.refused(501, "feature-not-implemented")
            }
            Err(malformed) => {
                self.unexpected(format!("{malformed}: {}", xml(&iq.node)));
                iq.refused(400, "bad-request")
            }
        };
        self.send_guest(id, answer);
    }

    fn send_guest(&self, id: ConnectionId, node: Node) {
        if let Some(guest) = self.guests.get(&id).filter(|guest| !guest.frozen) {
            self.send_on(&guest.orders, node);
        }
    }

    fn link_by_code(&mut self, id: ConnectionId, iq: &Iq, ask: LinkAsk) {
        match ask {
            LinkAsk::Hello { jid, .. } if !self.owner.is_at(&jid) => {
                // Of all numbers only the owner's has a phone behind it.
                self.send_guest(id, iq.refused(400, "bad-request"));
            }
            LinkAsk::Hello { wrapped_key, .. } => {
                if let Some((code, text)) = self.weather.refused_code() {
                    return self.send_guest(id, iq.refused(code, text));
                }
                let until = self.weather.terms.typed_until(Instant::now());
                let reference = format!("link-{}", id.0);
                let code = LinkCode::begin(wrapped_key, &reference, &self.seed);
                self.send_guest(id, iq.result(vec![code.reference()]));
                if let Some(guest) = self.guests.get_mut(&id) {
                    guest.code = Some((code, until));
                }
            }
            LinkAsk::Finish(finish) => self.finish_by_code(id, iq, &finish),
        }
    }

    fn finish_by_code(&mut self, id: ConnectionId, iq: &Iq, finish: &Finish) {
        let Some(guest) = self.guests.get(&id) else {
            return;
        };
        let secret = match &guest.code {
            Some((code, _)) => code.secret(&self.owner_keys, &guest.keys.identity, finish),
            None => Err(LinkFault::NoCode),
        };
        match secret {
            Ok(secret) => {
                self.send_guest(id, iq.result(Vec::new()));
                self.vouch(id, &secret, Means::Code);
            }
            Err(fault) => {
                if !fault.is_a_typo() {
                    self.unexpected(fault.to_string());
                }
                self.link_failed(Means::Code, &fault.to_string());
                self.send_guest(id, iq.refused(400, "bad-request"));
            }
        }
    }

    fn link_failed(&self, by: Means, why: &str) {
        let by = serde_json::to_value(by).unwrap_or(Value::Null);
        self.write("whatsapp.link_failed", [("by", by), ("why", why.into())]);
    }

    /// The owner's phone scans a QR code.
    pub(super) fn scan(&mut self, text: &str) -> Result<Done, ControlError> {
        let code = QrCode::read(text);
        let code = code.map_err(|invalid| ControlError::Unfit {
            what: invalid.to_string(),
        })?;
        let now = Instant::now();
        let mut guests = self.guests.iter();
        let shown = guests.find_map(|(id, guest)| {
            let is_good = pairing::is_good(&guest.references, &code.reference, now)?;
            Some((*id, guest, is_good))
        });
        let (id, guest, is_good) = shown.ok_or(ControlError::UnknownCode)?;
        if (guest.keys.identity, guest.noise_key) != (code.identity, code.noise) {
            let what = "a client shows a QR code with keys that are not its own";
            self.unexpected(what);
            self.link_failed(Means::Qr, what);
            return Err(ControlError::UnknownCode);
        }
        if !is_good {
            return Err(ControlError::SpentCode);
        }
        self.vouch(id, &code.secret, Means::Qr);
        Ok(Done::default())
    }

    /// The owner types a code in.
    pub(super) async fn enter(&mut self, typed: &str) -> Result<Done, ControlError> {
        let mut waiting = self.guests.iter().rev();
        let waiting = waiting.find_map(|(id, guest)| {
            let (code, until) = guest.code.as_ref()?;
            Some((*id, *until, code.typing(typed)))
        });
        let (id, until, typing) = waiting.ok_or(ControlError::UnknownCode)?;
        if until <= Instant::now() {
            return Err(ControlError::SpentCode);
        }
        if self.weather.passkey {
            self.demand_passkey(id);
            return Ok(Done::default());
        }
        let unfit = |fault: &dyn std::fmt::Display| ControlError::Unfit {
            what: fault.to_string(),
        };
        let phone = self.owner_keys.public_identity();
        let phone = phone.map_err(|fault| unfit(&fault))?;
        // Meanwhile connections and everybody else go on.
        let typed = spawn_blocking(move || typing.done()).await;
        let typed = typed.unwrap_or_else(|panicked| resume_unwind(panicked.into_panic()));
        let typed = typed.map_err(|fault| unfit(&fault))?;
        let (notification, t) = (self.next_notification_id(), self.t());
        let guest = self.guests.get_mut(&id);
        let code = guest.and_then(|guest| guest.code.as_mut());
        let hello = code.map(|(code, _)| code.hello(&notification, typed, &phone, t));
        if let Some(hello) = hello {
            self.send_guest(id, hello);
        }
        Ok(Done::default())
    }

    fn demand_passkey(&mut self, id: ConnectionId) {
        let notification = self.next_notification_id();
        self.send_guest(id, pairing::passkey_demand(&notification, self.t()));
    }

    /// The phone vouches for a client; it is linked as soon as it has signed too.
    fn vouch(&mut self, id: ConnectionId, secret: &[u8; 32], by: Means) {
        if self.weather.passkey {
            return self.demand_passkey(id);
        }
        let request = self.next_notification_id();
        let device = NewDevice {
            pn: self.owner.pn(),
            lid: self.owner.lid(),
            number: self.counters.next_device,
        };
        let t = self.t();
        let Some(guest) = self.guests.get_mut(&id) else {
            return;
        };
        let keys = (&self.owner_keys, secret);
        match pairing::success(&request, keys, &guest.keys, &device, t) {
            Ok(success) => {
                self.counters.next_device += 1;
                guest.vouched = Some(Vouched {
                    request,
                    device: device.number,
                    by,
                });
                self.send_guest(id, success);
            }
            Err(fault) => self.unexpected(format!("the phone cannot vouch for a client: {fault}")),
        }
    }

    fn guest_answered(&mut self, id: ConnectionId, answer: &Answer) {
        let Some(guest) = self.guests.get(&id) else {
            return;
        };
        let vouched = guest
            .vouched
            .as_ref()
            .filter(|vouched| vouched.request == answer.id);
        // Any other answer is to the offer of QR codes.
        let Some(vouched) = vouched.cloned() else {
            return;
        };
        let signature = match self.signature(guest, &vouched, answer) {
            Ok(signature) => signature,
            Err(invalid) => {
                self.unexpected(invalid.to_string());
                self.link_failed(vouched.by, &invalid.to_string());
                self.order(&guest.orders, Order::Close("it is not linked"));
                self.guests.remove(&id);
                return;
            }
        };
        let mut companion = Companion::paired(vouched.device, guest.noise_key, &guest.keys);
        companion.device_identity = signature;
        let orders = guest.orders.clone();
        self.companions.insert(vouched.device, companion);
        self.tell_of_companion(vouched.device, DeviceChange::Added);
        let jid = self.owner.pn().with_device(vouched.device).to_string();
        let by = serde_json::to_value(vouched.by).unwrap_or(Value::Null);
        self.write("whatsapp.paired", [("jid", Value::from(jid)), ("by", by)]);
        // A client that is linked begins anew, now as a device.
        self.send_on(&orders, stream_error(515));
        self.order(&orders, Order::Close("it is linked, and is to log in"));
        self.guests.remove(&id);
    }

    fn signature(
        &self,
        guest: &pairing::Guest,
        vouched: &Vouched,
        answer: &Answer,
    ) -> Result<Vec<u8>, InvalidSignature> {
        let phone = self.owner_keys.public_identity();
        let phone = phone.map_err(|_fault| InvalidSignature::Wrong)?;
        pairing::signature(answer, vouched.device, &guest.keys.identity, &phone)
    }
}
