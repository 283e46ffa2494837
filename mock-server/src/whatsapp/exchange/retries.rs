//! Messages that nanokimi could not decrypt, and asks for again.

use serde_json::Value;
use wacore_binary::builder::NodeBuilder;

use super::Exchange;
use super::mailbox::Class;
use super::speak::Spoken;
use super::written::{Author, Writing};
use crate::text::chain;
use crate::whatsapp::phone::{KeyBundle, PhoneError};
use crate::whatsapp::stanza::{Reader, Receipt, xml};

impl Exchange {
    pub(super) async fn take_retry(&mut self, device: u16, receipt: &Receipt) {
        let count = Reader::new(&receipt.node)
            .maybe_child("retry")
            .and_then(|retry| retry.maybe("count"));
        for id in &receipt.ids {
            let chat = self.canonical(&receipt.to).to_string();
            let fields = [
                ("chat", Value::from(chat)),
                ("id", Value::from(id.as_str())),
                ("count", Value::from(count.clone())),
            ];
            self.write("whatsapp.retry", fields);
            if let Some(writing) = self.writings.get_mut(id) {
                writing.asked_again.insert(device);
            }
            if let Err(fault) = self.send_again(device, id, receipt).await {
                let why = chain(&fault);
                self.unexpected(format!("message {id} cannot be sent again: {why}"));
            }
        }
    }

    /// Under the keys that the receipt brings, or else in the session there is.
    async fn send_again(
        &mut self,
        device: u16,
        id: &str,
        receipt: &Receipt,
    ) -> Result<(), PhoneError> {
        if let Some(Author::Assistant(author)) =
            self.writings.get(id).map(|writing| &writing.author)
            && *author != device
        {
            self.pass_on(device, *author, id, receipt);
            return Ok(());
        }
        let keys = match KeyBundle::of_retry(&receipt.node) {
            Ok(keys) => keys,
            Err(invalid) => {
                self.unexpected(format!("{invalid}: {}", xml(&receipt.node)));
                return Ok(());
            }
        };
        let Some(spoken) = self
            .writings
            .get(id)
            .and_then(|writing| spoken(id, writing))
        else {
            self.unexpected(format!("a retry of {id}, which nobody wrote"));
            return Ok(());
        };
        let sealed = self.seal_for_one(&spoken, device, keys).await?;
        let node = self.message_node(&spoken, &[sealed]).await?;
        self.post(device, Class::Message, id, node);
        Ok(())
    }

    /// Another linked device wrote it, and is asked for it.
    fn pass_on(&mut self, device: u16, author: u16, id: &str, receipt: &Receipt) {
        let asking = self.owner.pn().with_device(device);
        let node = NodeBuilder::new("receipt").attr("id", id.to_owned());
        let node = node.attr("type", "retry").attr("t", self.t().to_string());
        let writing = self.writings.get(id);
        let node = match writing.and_then(|writing| writing.to.clone()) {
            Some(chat) if receipt.to == chat => node.attr("from", chat).attr("participant", asking),
            Some(chat) => node.attr("from", asking).attr("recipient", chat),
            None => node.attr("from", asking),
        };
        let children = receipt.node.children().unwrap_or(&[]).to_vec();
        self.post(author, Class::Receipt, id, node.children(children).build());
    }

    /// The server hands a message out once more.
    pub(super) async fn redeliver(&mut self, id: &str) -> Result<bool, PhoneError> {
        let Some(spoken) = self
            .writings
            .get(id)
            .and_then(|writing| spoken(id, writing))
        else {
            return Ok(false);
        };
        self.send_to_all(&spoken, super::speak::Mishap::default())
            .await?;
        Ok(true)
    }
}

/// None: the assistant wrote it.
fn spoken(id: &str, writing: &Writing) -> Option<Spoken> {
    let Author::Person(author, device) = &writing.author else {
        return None;
    };
    Some(Spoken {
        id: id.to_owned(),
        chat: writing.chat.clone(),
        author: author.clone(),
        device: *device,
        message: writing.message.clone(),
        label: writing.label,
        t: writing.t,
        peer: writing.peer,
    })
}
