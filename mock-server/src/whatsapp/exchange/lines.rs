//! Connections: who is let in, what is handed over, and what becomes of it when they end.

use serde_json::Value;
use tokio::time::Instant;
use wacore_binary::Node;

use super::Exchange;
use super::companion::{Companion, Line};
use super::mailbox::{Class, Letter};
use crate::whatsapp::connection::{Closed, ConnectionId, Opened, Order, Tidings};
use crate::whatsapp::introduction::{Introduction, Login, Registration};
use crate::whatsapp::stanza::{
    Stanza, failure, offline_count, offline_preview, replaced, success, xml,
};

impl Exchange {
    pub(super) async fn hear(&mut self, id: ConnectionId, tidings: Tidings) {
        match tidings {
            Tidings::Opened(opened) => self.opened(id, *opened),
            // It was read before the line went dead, and is lost all the same.
            Tidings::Came(_) | Tidings::Garbled(_) if self.is_dead(id) => {}
            Tidings::Came(node) => {
                self.write_stanza("in", &node);
                match Stanza::read(&node) {
                    Ok(stanza) => self.arrived(id, stanza, &node).await,
                    Err(malformed) => self.unexpected(format!("{malformed}: {}", xml(&node))),
                }
            }
            Tidings::Garbled(report) => self.unexpected(report),
            Tidings::Closed(closed) => self.closed(id, &closed),
        }
    }

    /// Nothing comes or goes on it any more.
    fn is_dead(&self, id: ConnectionId) -> bool {
        let device = self.lines.get(&id);
        let companion = device.and_then(|device| self.companions.get(device));
        let line = companion.and_then(|companion| companion.line.as_ref());
        let dead = line.is_some_and(|line| line.id == id && line.frozen);
        dead || self.guests.get(&id).is_some_and(|guest| guest.frozen)
    }

    pub(super) fn write_stanza(&self, way: &'static str, node: &Node) {
        let fields = [("way", Value::from(way)), ("xml", Value::from(xml(node)))];
        self.write("whatsapp.stanza", fields);
    }

    fn opened(&mut self, id: ConnectionId, opened: Opened) {
        let (payload, device) = match &opened.introduction {
            Introduction::Registration(_) => ("registration", None),
            Introduction::Login(login) => ("login", Some(login.device)),
        };
        let fields = [
            ("device", Value::from(device)),
            ("pattern", Value::from(opened.pattern.word())),
            ("payload", Value::from(payload)),
        ];
        self.write("whatsapp.connected", fields);
        self.order(&opened.orders, Order::Delay(self.weather.delay));
        if self.weather.away {
            return self.order(&opened.orders, Order::Cut("the network is away"));
        }
        if let Some((reason, expire)) = self.weather.refused() {
            return self.refuse(&opened, reason, expire);
        }
        match opened.introduction.clone() {
            Introduction::Registration(keys) => self.register(id, opened, keys),
            Introduction::Login(login) => self.log_in(id, &opened, &login),
        }
    }

    fn refuse(&self, opened: &Opened, reason: u16, expire: Option<u64>) {
        self.send_on(&opened.orders, failure(reason, expire));
        self.order(&opened.orders, Order::Close("the login is refused"));
    }

    fn register(&mut self, id: ConnectionId, opened: Opened, keys: Registration) {
        let references = self.next_references(Instant::now());
        let offer = crate::whatsapp::pairing::offer(&self.next_notification_id(), &references);
        self.send_on(&opened.orders, offer);
        let guest = crate::whatsapp::pairing::Guest::new(opened, keys, references);
        self.guests.insert(id, guest);
    }

    fn log_in(&mut self, id: ConnectionId, opened: &Opened, login: &Login) {
        let known = login.user == self.owner.pn().user_base();
        let companion = self.companions.get_mut(&login.device).filter(|_| known);
        let Some(companion) = companion.filter(|known| known.noise_key == opened.client_key) else {
            return self.refuse(opened, 401, None);
        };
        let line = Line {
            id,
            orders: opened.orders.clone(),
            active: false,
            frozen: false,
        };
        let before = companion.line.take();
        companion.forget_line();
        companion.line = Some(line);
        self.lines.insert(id, login.device);
        // Over a line that is dead the client learns nothing.
        if let Some(before) = before.filter(|before| !before.frozen) {
            self.send_on(&before.orders, replaced());
            self.order(
                &before.orders,
                Order::Close("the same device logged in again"),
            );
        }
        let lid = self.owner.lid().with_device(login.device);
        self.send_on(&opened.orders, success(&lid, self.t()));
        let jid = self.owner.pn().with_device(login.device).to_string();
        self.write("whatsapp.logged_in", [("jid", Value::from(jid))]);
    }

    fn closed(&mut self, id: ConnectionId, closed: &Closed) {
        if closed.unexpected {
            self.unexpected(closed.why.clone());
        }
        let by = serde_json::to_value(closed.by).unwrap_or(Value::Null);
        let fields = [("by", by), ("why", Value::from(closed.why.as_str()))];
        self.write("whatsapp.closed", fields);
        self.guests.remove(&id);
        let device = self.lines.remove(&id);
        if let Some(companion) = device.and_then(|device| self.companions.get_mut(&device)) {
            companion.hang_up(id);
        }
    }

    /// The device says that it takes what waits for it.
    pub(super) fn activated(&mut self, device: u16) {
        let Some(companion) = self.companions.get_mut(&device) else {
            return;
        };
        let Some(line) = &mut companion.line else {
            return;
        };
        line.active = true;
        let orders = line.orders.clone();
        let waiting = companion.mailbox.waiting(&self.weather);
        let waited = companion.mailbox.take_due(&self.weather);
        if waiting.all() > 0 {
            self.send_on(
                &orders,
                offline_preview(waiting.messages, waiting.receipts, waiting.notifications),
            );
        }
        for mut node in waited {
            node.attrs.insert("offline", "0");
            self.send_on(&orders, node);
        }
        self.send_on(&orders, offline_count(waiting.all()));
    }

    /// Puts a stanza on its way to a device: now, or when it is there again.
    pub(super) fn post(&mut self, device: u16, class: Class, id: &str, node: Node) {
        if let Some(companion) = self.companions.get_mut(&device) {
            companion.mailbox.put(Letter::new(class, id, node));
            self.hand_over(device);
        }
    }

    /// Hands over what is due.
    pub(super) fn hand_over(&mut self, device: u16) {
        let Some(companion) = self.companions.get_mut(&device) else {
            return;
        };
        let Some(orders) = companion.live().map(|line| line.orders.clone()) else {
            return;
        };
        for node in companion.mailbox.take_due(&self.weather) {
            self.send_on(&orders, node);
        }
    }

    /// Sends at once, or not at all: what is only true now.
    pub(super) fn send_now(&self, device: u16, node: Node) {
        let companion = self.companions.get(&device);
        let line = companion.and_then(|companion| companion.line.as_ref());
        if let Some(line) = line.filter(|line| !line.frozen) {
            self.send_on(&line.orders, node);
        }
    }

    pub(super) fn send_on(&self, orders: &tokio::sync::mpsc::Sender<Order>, node: Node) {
        self.write_stanza("out", &node);
        self.order(orders, Order::Send(node));
    }

    /// A connection that is gone, or reads nothing, is told nothing more: it says itself that
    /// it is closed, and what was not acknowledged comes again.
    pub(super) fn order(&self, orders: &tokio::sync::mpsc::Sender<Order>, order: Order) {
        if let Err(tokio::sync::mpsc::error::TrySendError::Full(_)) = orders.try_send(order) {
            self.unexpected("a client reads nothing, and too much waits for it");
        }
    }

    /// Every connection that is up, of devices and of those that want to become one.
    pub(super) fn order_all(&self, order: impl Fn() -> Order) {
        let linked = self
            .companions
            .values()
            .filter_map(|companion| companion.line.as_ref());
        let linked = linked.map(|line| &line.orders);
        let all = linked.chain(self.guests.values().map(|guest| &guest.orders));
        for orders in all.cloned().collect::<Vec<_>>() {
            self.order(&orders, order());
        }
    }

    /// Answers those who wait for all to be at rest, if it is.
    pub(super) fn tell_who_waits(&mut self) {
        if self.resting.is_empty() || self.on_its_way().next().is_some() {
            return;
        }
        for resting in self.resting.drain(..) {
            // Who waited may have lost patience.
            resting.send(()).unwrap_or(());
        }
    }

    /// What a device that is connected has not acknowledged.
    pub(super) fn on_its_way(&self) -> impl Iterator<Item = String> {
        let connected = self
            .companions
            .values()
            .filter(|companion| companion.line.as_ref().is_some_and(|line| !line.frozen));
        connected.flat_map(|companion| {
            let outstanding = companion.mailbox.outstanding(&self.weather);
            outstanding.map(|letter| xml(&letter.node))
        })
    }
}

impl Companion {
    fn hang_up(&mut self, id: ConnectionId) {
        if self.line.as_ref().is_some_and(|line| line.id == id) {
            self.forget_line();
        }
    }

    /// What was not acknowledged comes again on the next connection.
    pub(super) fn forget_line(&mut self) {
        self.line = None;
        self.held_acks.clear();
        self.mailbox.take_back();
    }
}
