//! What goes wrong on the wire: lines that are cut, logins that are refused, stanzas that are
//! held back. The exchange goes on; it is clients that must cope.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::Value;
use wacore_binary::Node;

use super::Exchange;
use super::mailbox::Class;
use super::weather::Weather;
use crate::whatsapp::ControlError;
use crate::whatsapp::connection::Order;
use crate::whatsapp::controls::{CodeRefusal, Done, LinkOffer, Refusal, Traffic, UploadRefusal};
use crate::whatsapp::pairing::{Terms, passkey_demand};
use crate::whatsapp::stanza::{replaced, stream_error, unlinked};

impl Exchange {
    /// Nothing is refused, held back, delayed or away any more. What was cut stays cut.
    pub(super) fn calm(&mut self) {
        self.weather = Weather::default();
        self.media.take_uploads();
        self.order_all(|| Order::Delay(Duration::ZERO));
        self.release_acks();
        self.hand_over_all();
    }

    fn hand_over_all(&mut self) {
        let devices: Vec<u16> = self.companions.keys().copied().collect();
        devices
            .into_iter()
            .for_each(|device| self.hand_over(device));
    }

    pub(super) fn unlink_all(&mut self) -> Result<Done, ControlError> {
        let devices: Vec<u16> = self.companions.keys().copied().collect();
        if devices.is_empty() {
            return Err(ControlError::NotLinked);
        }
        for device in devices {
            self.send_now(device, unlinked());
            self.unlink_device(device, "the owner unlinked it");
        }
        let seq = self.write("whatsapp.unlinked", [("by", Value::from("owner"))]);
        Ok(Done {
            seq,
            ..Done::default()
        })
    }

    pub(super) fn replace(&mut self) -> Result<Done, ControlError> {
        self.end_lines(&replaced(), "somebody else logged in")
    }

    pub(super) fn end_stream(&mut self, code: u16) -> Result<Done, ControlError> {
        self.end_lines(&stream_error(code), "the server ends the stream")
    }

    /// Says goodbye to every client that is connected.
    fn end_lines(&mut self, last: &Node, why: &'static str) -> Result<Done, ControlError> {
        self.need_connection()?;
        let devices: Vec<u16> = self.companions.keys().copied().collect();
        for device in devices {
            self.send_now(device, last.clone());
        }
        self.order_all(|| Order::Close(why));
        self.forget_lines();
        Ok(Done::default())
    }

    pub(super) fn cut(&mut self) -> Result<Done, ControlError> {
        self.need_connection()?;
        self.cut_all("the connection is cut");
        Ok(Done::default())
    }

    fn cut_all(&mut self, why: &'static str) {
        self.order_all(|| Order::Cut(why));
        self.forget_lines();
    }

    /// What a connection that is being ended still says is lost with it.
    fn forget_lines(&mut self) {
        for companion in self.companions.values_mut() {
            companion.forget_line();
        }
    }

    pub(super) fn freeze(&mut self) -> Result<Done, ControlError> {
        self.need_connection()?;
        self.order_all(|| Order::Freeze);
        let lines = self
            .companions
            .values_mut()
            .filter_map(|companion| companion.line.as_mut());
        lines.for_each(|line| line.frozen = true);
        self.guests
            .values_mut()
            .for_each(|guest| guest.frozen = true);
        Ok(Done::default())
    }

    pub(super) fn garble(&mut self) -> Result<Done, ControlError> {
        self.need_connection()?;
        self.order_all(|| Order::Garbage);
        Ok(Done::default())
    }

    fn need_connection(&self) -> Result<(), ControlError> {
        let linked = self
            .companions
            .values()
            .any(|companion| companion.line.is_some());
        if linked || !self.guests.is_empty() {
            return Ok(());
        }
        Err(ControlError::NotConnected)
    }

    pub(super) fn go_offline(&mut self) -> Result<Done, ControlError> {
        self.weather.away = true;
        self.cut_all("the network is away");
        Ok(Done::default())
    }

    pub(super) fn come_back(&mut self) -> Result<Done, ControlError> {
        self.weather.away = false;
        Ok(Done::default())
    }

    pub(super) fn refuse_logins(&mut self, refusal: Refusal) -> Result<Done, ControlError> {
        self.weather.refuse(refusal);
        Ok(Done::default())
    }

    pub(super) fn refuse_uploads(&mut self, refusal: UploadRefusal) -> Result<Done, ControlError> {
        need_error(refusal.status)?;
        self.media.refuse_uploads(refusal);
        Ok(Done::default())
    }

    pub(super) fn refuse_codes(&mut self, refusal: CodeRefusal) -> Result<Done, ControlError> {
        self.weather.refuse_code(refusal);
        Ok(Done::default())
    }

    pub(super) fn offer_codes(&mut self, offer: &LinkOffer) -> Result<Done, ControlError> {
        let terms = Terms::of(offer).map_err(|invalid| ControlError::Unfit {
            what: invalid.to_string(),
        })?;
        self.weather.terms = terms;
        Ok(Done::default())
    }

    pub(super) fn demand_passkeys(&mut self, demanded: bool) -> Result<Done, ControlError> {
        self.weather.passkey = demanded;
        if !demanded {
            return Ok(Done::default());
        }
        let devices: Vec<u16> = self.companions.keys().copied().collect();
        for device in devices {
            let id = self.next_notification_id();
            let demand = passkey_demand(&id, self.t());
            self.post(device, Class::Notification, &id, demand);
        }
        Ok(Done::default())
    }

    pub(super) fn delay(&mut self, by: SignedDuration) -> Result<Done, ControlError> {
        let by = Duration::try_from(by).map_err(|fault| ControlError::Unfit {
            what: format!("a delay of {by:#} is none: {fault}"),
        })?;
        self.weather.delay = by;
        self.order_all(|| Order::Delay(by));
        Ok(Done::default())
    }

    pub(super) fn hold(&mut self, what: Traffic) -> Result<Done, ControlError> {
        self.weather.hold(what);
        Ok(Done::default())
    }

    pub(super) fn let_go(&mut self, what: Traffic) -> Result<Done, ControlError> {
        self.weather.let_go(what);
        match what {
            Traffic::Acks => self.release_acks(),
            // What was lost does not come any more.
            Traffic::Deliveries => {}
            Traffic::Messages | Traffic::Receipts => self.hand_over_all(),
        }
        Ok(Done::default())
    }
}

/// A status by which a host refuses something.
pub(super) fn need_error(status: u16) -> Result<(), ControlError> {
    if (400..600).contains(&status) {
        return Ok(());
    }
    Err(ControlError::Unfit {
        what: format!("{status} is no status of an error: expected 400 to 599"),
    })
}
