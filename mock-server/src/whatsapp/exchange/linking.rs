//! Clients that want to be linked to the owner's account, and what the owner's phone does.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use wacore_binary::Node;

use super::Exchange;
use super::companion::Companion;
use crate::whatsapp::ControlError;
use crate::whatsapp::connection::{ConnectionId, Order};
use crate::whatsapp::controls::Done;
use crate::whatsapp::iq::Ask;
use crate::whatsapp::pairing::{
    self, LinkAsk, LinkCode, Means, NewDevice, QrCode, REFERENCES, Vouched,
};
use crate::whatsapp::stanza::{Answer, Iq, Stanza, stream_error, xml};

impl Exchange {
    pub(super) fn next_references(&mut self) -> Vec<String> {
        let references = (0..REFERENCES).map(|_| {
            self.counters.references += 1;
            let bytes = self.seed.nth("reference", self.counters.references).bytes();
            format!("2@{}", URL_SAFE_NO_PAD.encode(bytes))
        });
        references.collect()
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
                let reference = format!("link-{}", id.0);
                let code = LinkCode::begin(wrapped_key, &reference, &self.seed);
                self.send_guest(id, iq.result(vec![code.reference()]));
                if let Some(guest) = self.guests.get_mut(&id) {
                    guest.code = Some(code);
                }
            }
            LinkAsk::Finish {
                identity,
                wrapped_bundle,
            } => {
                let code = self.guests.get(&id).and_then(|guest| guest.code.as_ref());
                let secret =
                    code.map(|code| code.secret(&self.owner_keys, &identity, &wrapped_bundle));
                match secret {
                    Some(Ok(secret)) => {
                        self.send_guest(id, iq.result(Vec::new()));
                        self.vouch(id, &secret, Means::Code);
                    }
                    Some(Err(_)) | None => self.send_guest(id, iq.refused(400, "bad-request")),
                }
            }
        }
    }

    /// The owner's phone scans a QR code.
    pub(super) fn scan(&mut self, text: &str) -> Result<Done, ControlError> {
        let code = QrCode::read(text);
        let code = code.map_err(|invalid| ControlError::Unfit {
            what: invalid.to_string(),
        })?;
        let shown = |guest: &pairing::Guest| guest.references.contains(&code.reference);
        let guest = self.guests.iter().find(|(_, guest)| shown(guest));
        let (id, guest) = guest.ok_or(ControlError::UnknownCode)?;
        if guest.keys.identity != code.identity {
            return Err(ControlError::UnknownCode);
        }
        self.vouch(*id, &code.secret, Means::Qr);
        Ok(Done::default())
    }

    /// The owner types a code in.
    pub(super) fn enter(&mut self, typed: &str) -> Result<Done, ControlError> {
        let waiting = self
            .guests
            .iter()
            .rev()
            .find(|(_, guest)| guest.code.is_some());
        let id = waiting
            .map(|(id, _)| *id)
            .ok_or(ControlError::UnknownCode)?;
        if self.weather.passkey {
            self.demand_passkey(id);
            return Ok(Done::default());
        }
        let phone = self.owner_keys.public_identity();
        let phone = phone.map_err(|fault| ControlError::Unfit {
            what: fault.to_string(),
        })?;
        let (notification, t) = (self.next_notification_id(), self.t());
        let guest = self.guests.get_mut(&id);
        let code = guest.and_then(|guest| guest.code.as_mut());
        let hello = code.map(|code| code.hello(&notification, typed, &phone, t));
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
        let signature = match pairing::signature(answer) {
            Ok(signature) => signature,
            Err(malformed) => return self.unexpected(malformed.to_string()),
        };
        let mut companion = Companion::paired(vouched.device, guest.noise_key, &guest.keys);
        companion.device_identity = signature;
        let orders = guest.orders.clone();
        self.companions.insert(vouched.device, companion);
        let jid = self.owner.pn().with_device(vouched.device).to_string();
        let by = serde_json::to_value(vouched.by).unwrap_or(Value::Null);
        self.write("whatsapp.paired", [("jid", Value::from(jid)), ("by", by)]);
        // A client that is linked begins anew, now as a device.
        self.send_on(&orders, stream_error(515));
        self.order(&orders, Order::Close("it is linked, and is to log in"));
        self.guests.remove(&id);
    }
}
