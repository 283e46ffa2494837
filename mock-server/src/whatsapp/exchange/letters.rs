//! Messages of the assistant: every phone that one is for opens it, and says that it came, or
//! asks for it again.

use std::collections::BTreeMap;

use wacore_binary::Jid;
use wacore_binary::builder::NodeBuilder;
use waproto::whatsapp as wa;

use super::Exchange;
use super::directory::Chat;
use super::journeys::Device;
use super::mailbox::Class;
use super::written::{Author, Writing};
use crate::text::chain;
use crate::whatsapp::message::{HeardKind, Label, read};
use crate::whatsapp::phone::{
    Cipher, DeviceAddress, Envelope, OpenError, Person, PhoneError, Sealed,
};
use crate::whatsapp::stanza::{
    Sent, ack_message, group_receipt, nack_message, receipt, retry_receipt,
};

/// So often a phone asks for a message again, before it gives up.
const PATIENCE: u32 = 5;

/// A message of the assistant, on its way to the phones.
pub(super) struct Delivery {
    pub(super) id: String,
    pub(super) device: u16,
    pub(super) chat: Chat,
    /// As the client addressed it.
    to: Jid,
    group: Option<Jid>,
    /// The phones that could not open it, and have asked for it again.
    refused: Vec<Device>,
    /// What goes to the owner's other linked devices.
    copies: BTreeMap<u16, Vec<Sealed>>,
}

impl Exchange {
    pub(super) async fn take_message(&mut self, device: u16, sent: Sent) {
        let chat = self.chat_at(&sent.to);
        if let Some(code) = self.refusal(&sent, chat.as_ref()) {
            let nack = nack_message(&sent, code, self.t());
            return self.acknowledge(device, nack);
        }
        let missed = chat
            .as_ref()
            .and_then(|chat| self.missed(device, chat, &sent));
        let ack = ack_message(&sent, missed, self.t());
        match chat {
            Some(chat) => {
                if let Err(fault) = self.deliver(device, chat, &sent).await {
                    let why = chain(&fault);
                    self.unexpected(format!("message {} cannot be delivered: {why}", sent.id));
                }
            }
            None => self.unexpected(format!("a message to {}, which is nobody", sent.to)),
        }
        self.acknowledge(device, ack);
    }

    async fn deliver(&mut self, device: u16, chat: Chat, sent: &Sent) -> Result<(), PhoneError> {
        let mut delivery = Delivery {
            id: sent.id.clone(),
            device,
            group: matches!(chat, Chat::Group(_)).then(|| sent.to.clone()),
            chat,
            to: sent.to.clone(),
            refused: Vec::new(),
            copies: BTreeMap::new(),
        };
        if !sent.peer {
            let mut audience = self.audience(&delivery.chat);
            audience.retain(|(name, number)| {
                let person = Person::named(name);
                *number == 0 || !self.is_untold(device, &person.pn().to_string())
            });
            self.journeys.set_out(&sent.id, audience);
        }
        let had_all = self
            .writings
            .get(&sent.id)
            .is_some_and(|writing| writing.complete);
        // A sender key comes beside the message that needs it.
        let (shared, own): (Vec<_>, Vec<_>) = sent
            .letters
            .iter()
            .partition(|one| one.content.cipher == Cipher::SenderKey);
        for letter in own {
            let to = letter
                .to
                .as_ref()
                .or(sent.participant.as_ref())
                .unwrap_or(&sent.to);
            self.pass(&mut delivery, to, &letter.content, sent.peer)
                .await?;
        }
        for letter in shared {
            self.share(&mut delivery, &letter.content, sent.peer)
                .await?;
        }
        self.forward(&delivery, sent);
        if had_all {
            self.write_repeated(&delivery);
        } else {
            self.write_heard(&delivery);
        }
        Ok(())
    }

    /// All devices in a group get what is sent to it, also the owner's.
    async fn share(
        &mut self,
        delivery: &mut Delivery,
        sealed: &Sealed,
        peer: bool,
    ) -> Result<(), PhoneError> {
        let members = self.members(&delivery.chat);
        let phones = members.iter().flat_map(|person| self.phones_of(person));
        for reader in phones.collect::<Vec<_>>() {
            self.open_letter(delivery, &reader, sealed, peer).await?;
        }
        let others = self.companions.keys().copied();
        for other in others.filter(|other| *other != delivery.device) {
            let copy = delivery.copies.entry(other).or_default();
            copy.push(sealed.clone());
        }
        Ok(())
    }

    async fn pass(
        &mut self,
        delivery: &mut Delivery,
        to: &Jid,
        sealed: &Sealed,
        peer: bool,
    ) -> Result<(), PhoneError> {
        let Some(person) = self.person_at(to) else {
            self.unexpected(format!(
                "message {} is for {to}, which is nobody",
                delivery.id
            ));
            return Ok(());
        };
        if !self.is_meant(delivery, &person, to) {
            return Ok(());
        }
        if person.is_owner() && self.companions.contains_key(&to.device) {
            // Some encrypt for themselves too, by their other number.
            if to.device != delivery.device {
                let copy = delivery.copies.entry(to.device).or_default();
                copy.push(sealed.clone());
            }
            return Ok(());
        }
        let reader = (person.name().to_owned(), to.device);
        self.open_letter(delivery, &reader, sealed, peer).await
    }

    /// Whether a letter is for somebody in the chat, or for the owner, and for a device they
    /// have. What a client has not been told yet it need not know.
    fn is_meant(&self, delivery: &Delivery, person: &Person, to: &Jid) -> bool {
        let chat = self.chat_name(&delivery.chat);
        let inside = person.is_owner() || self.members(&delivery.chat).contains(person);
        let fault = if !inside {
            format!("who is not in {chat}")
        } else if !self.devices_of(person).contains(&to.device) {
            "which is no device".to_owned()
        } else {
            return true;
        };
        let pn = person.pn().to_string();
        let client = delivery.device;
        if !self.is_untold(client, &chat) && !self.is_untold(client, &pn) {
            let (id, name) = (&delivery.id, person.name());
            self.unexpected(format!("message {id} is for {to} of `{name}`, {fault}"));
        }
        false
    }

    /// Whether a client has not taken yet what changed in a group, or among a person's devices:
    /// what it sends cannot keep to that.
    fn is_untold(&self, client: u16, whose: &str) -> bool {
        let companion = self.companions.get(&client);
        companion.is_some_and(|companion| companion.mailbox.notifies_of(whose))
    }

    /// What one linked device tells the others.
    fn forward(&mut self, delivery: &Delivery, sent: &Sent) {
        let from = self.owner.pn().with_device(delivery.device);
        for (to, copy) in &delivery.copies {
            let node = NodeBuilder::new("message").attr("id", delivery.id.clone());
            let node = match &delivery.group {
                Some(group) => node
                    .attr("from", group.clone())
                    .attr("participant", from.clone()),
                None => node
                    .attr("from", from.clone())
                    .attr("recipient", delivery.to.clone()),
            };
            let node = node
                .attr("type", sent.class.clone())
                .attr("t", self.t().to_string());
            let node = match &sent.edit {
                Some(edit) => node.attr("edit", edit.clone()),
                None => node,
            };
            let node = node.attr("notify", self.owner.push_name());
            let letters = copy.iter().map(Sealed::node);
            let letters = letters.chain(sent.proof.clone());
            let node = node.children(letters.collect::<Vec<_>>()).build();
            self.post(*to, Class::Message, &delivery.id, node);
        }
    }

    async fn open_letter(
        &mut self,
        delivery: &mut Delivery,
        (name, number): &Device,
        sealed: &Sealed,
        peer: bool,
    ) -> Result<(), PhoneError> {
        let person = Person::named(name);
        if delivery.refused.contains(&(name.clone(), *number)) {
            return Ok(());
        }
        let phone = self.phone(&person, *number)?;
        let envelope = Envelope {
            sender: DeviceAddress::of(&self.owner.pn(), delivery.device),
            group: delivery.group.clone(),
            sealed: sealed.clone(),
        };
        match phone.open(*number, envelope).await {
            Ok(message) if peer => self.take_peer_message(delivery.device, &message).await,
            Ok(message) => {
                self.letter_opened(delivery, (&person, *number), message);
                Ok(())
            }
            Err(OpenError::Phone(fault)) => Err(fault),
            // What was sent again by one who forgot may carry the same keys again.
            Err(OpenError::Undecryptable(_)) if self.has(delivery, name, *number) => Ok(()),
            Err(OpenError::Undecryptable(fault)) => {
                self.write_undecryptable(delivery, &person, &fault);
                delivery.refused.push((name.clone(), *number));
                self.ask_again(delivery, &person, *number).await
            }
        }
    }

    fn has(&self, delivery: &Delivery, name: &str, number: u16) -> bool {
        let writing = self.writings.get(&delivery.id);
        let device = (name.to_owned(), number);
        writing.is_some_and(|writing| writing.heard.contains(&device))
    }

    fn letter_opened(
        &mut self,
        delivery: &Delivery,
        (person, number): (&Person, u16),
        message: wa::Message,
    ) {
        let heard = read(&message);
        if heard.kind == HeardKind::Keys {
            return;
        }
        let copy = heard.destination.is_some();
        if !copy {
            self.note_heard(delivery, person, number, message);
        }
        if person.is_owner() && copy || number != 0 {
            return;
        }
        let node = self.receipt_of(delivery, person);
        self.post(delivery.device, Class::Receipt, &delivery.id, node);
    }

    fn note_heard(
        &mut self,
        delivery: &Delivery,
        person: &Person,
        number: u16,
        message: wa::Message,
    ) {
        if self.writings.get(&delivery.id).is_none() {
            let author = Author::Assistant(delivery.device);
            let label = Label::TEXT;
            let writing = Writing::new(delivery.chat.clone(), author, message, label, self.t());
            self.writings.keep(&delivery.id, writing);
        }
        if let Some(writing) = self.writings.get_mut(&delivery.id) {
            writing.to = Some(delivery.to.clone());
            writing.heard.insert((person.name().to_owned(), number));
        }
    }

    /// The person's phone has it.
    fn receipt_of(&self, delivery: &Delivery, person: &Person) -> wacore_binary::Node {
        let from = self.answers_as(person, &delivery.chat, Some(&delivery.to));
        match &delivery.group {
            Some(group) => group_receipt(group, &from, &delivery.id, self.t(), None),
            None => receipt(&from, &delivery.id, self.t(), None),
        }
    }

    /// The number under which a person's phone answers: in a group, the one by which its members
    /// know each other; elsewhere the one it was written to.
    pub(super) fn answers_as(&self, person: &Person, chat: &Chat, written_to: Option<&Jid>) -> Jid {
        match chat {
            Chat::Group(_) => person.jid(self.addressing(chat)),
            Chat::Direct(_) if written_to.is_some_and(Jid::is_lid) => person.lid(),
            Chat::Direct(_) => person.pn(),
        }
    }

    /// The phone cannot open it and asks for it again, under new keys; but not for ever.
    async fn ask_again(
        &mut self,
        delivery: &Delivery,
        person: &Person,
        number: u16,
    ) -> Result<(), PhoneError> {
        let device = (person.name().to_owned(), number);
        let count = self.journeys.ask(&delivery.id, &device);
        if count > PATIENCE {
            let (id, name) = (&delivery.id, person.name());
            self.unexpected(format!(
                "`{name}` asked {PATIENCE} times for message {id}, and still cannot open it"
            ));
            return Ok(());
        }
        let keys = self.phone(person, number)?.bundle(number).await?;
        let receipt = self.receipt_of(delivery, person);
        let node = retry_receipt(receipt, (&delivery.id, count), &keys);
        self.post(delivery.device, Class::Receipt, &delivery.id, node);
        Ok(())
    }
}
