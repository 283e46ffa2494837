//! Messages of the assistant: every phone that one is for opens it, and says that it came, or
//! asks for it again.

use wacore_binary::Jid;
use wacore_binary::builder::NodeBuilder;
use waproto::whatsapp as wa;

use super::Exchange;
use super::directory::Chat;
use super::mailbox::Class;
use super::written::{Author, Writing};
use crate::whatsapp::message::{HeardKind, Label, read};
use crate::whatsapp::phone::{
    Cipher, DeviceAddress, Envelope, OpenError, Person, PhoneError, Sealed,
};
use crate::whatsapp::stanza::{Sent, ack_message, group_receipt, receipt, retry_receipt};

/// A message of the assistant, on its way to the phones.
pub(super) struct Delivery {
    pub(super) id: String,
    pub(super) device: u16,
    pub(super) chat: Chat,
    /// As the client addressed it.
    to: Jid,
    group: Option<Jid>,
    /// The phones that could not open it, and have asked for it again.
    refused: Vec<(String, u16)>,
}

impl Exchange {
    pub(super) async fn take_message(&mut self, device: u16, sent: Sent) {
        let ack = ack_message(&sent, self.t());
        match self.chat_at(&sent.to) {
            Some(chat) => {
                if let Err(fault) = self.deliver(device, chat, &sent).await {
                    self.unexpected(format!("message {} cannot be delivered: {fault}", sent.id));
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
        };
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
            for (name, phone) in self.audience_and_owner(&delivery.chat) {
                let reader = (name, phone);
                self.open_letter(&mut delivery, &reader, &letter.content, sent.peer)
                    .await?;
            }
        }
        if had_all {
            self.write_repeated(&delivery);
        } else {
            self.write_heard(&delivery);
        }
        Ok(())
    }

    /// All phones in a group get what is sent to it, also the owner's.
    fn audience_and_owner(&self, chat: &Chat) -> Vec<(String, u16)> {
        let members = self.members(chat);
        members
            .iter()
            .flat_map(|person| self.phones_of(person))
            .collect()
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
        if person.is_owner() && self.companions.contains_key(&to.device) {
            // Some encrypt for themselves too, by their other number.
            if to.device != delivery.device {
                self.forward(delivery, to.device, sealed);
            }
            return Ok(());
        }
        let reader = (person.name().to_owned(), to.device);
        self.open_letter(delivery, &reader, sealed, peer).await
    }

    /// What one linked device tells another.
    fn forward(&mut self, delivery: &Delivery, to: u16, sealed: &Sealed) {
        let from = self.owner.pn().with_device(delivery.device);
        let node = NodeBuilder::new("message").attr("id", delivery.id.clone());
        let node = match &delivery.group {
            Some(group) => node.attr("from", group.clone()).attr("participant", from),
            None => node
                .attr("from", from)
                .attr("recipient", delivery.to.clone()),
        };
        let node = node.attr("type", "text").attr("t", self.t().to_string());
        let node = node
            .attr("notify", self.owner.push_name())
            .children([sealed.node()]);
        self.post(to, Class::Message, &delivery.id, node.build());
    }

    async fn open_letter(
        &mut self,
        delivery: &mut Delivery,
        (name, number): &(String, u16),
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
            writing.heard.insert((person.name().to_owned(), number));
        }
    }

    /// The person's phone has it.
    fn receipt_of(&self, delivery: &Delivery, person: &Person) -> wacore_binary::Node {
        match &delivery.group {
            Some(group) => {
                let known = self.group(&group.to_string());
                let jid = known.map_or_else(|| person.pn(), |group| group.jid_of(person));
                group_receipt(group, &jid, &delivery.id, self.t(), None)
            }
            // The phone answers under the number it was written to.
            None if delivery.to.is_lid() => receipt(&person.lid(), &delivery.id, self.t(), None),
            None => receipt(&person.pn(), &delivery.id, self.t(), None),
        }
    }

    /// The phone cannot open it and asks for it again, under new keys.
    async fn ask_again(
        &mut self,
        delivery: &Delivery,
        person: &Person,
        number: u16,
    ) -> Result<(), PhoneError> {
        let keys = self.phone(person, number)?.bundle(number).await?;
        let receipt = self.receipt_of(delivery, person);
        let node = retry_receipt(receipt, &delivery.id, &keys);
        self.post(delivery.device, Class::Receipt, &delivery.id, node);
        Ok(())
    }
}
