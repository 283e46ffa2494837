//! Refusals: which messages of a client the server does not take, and which of the server's a
//! client does not.

use serde_json::Value;

use super::Exchange;
use super::directory::Chat;
use super::mailbox::Class;
use crate::whatsapp::ControlError;
use crate::whatsapp::controls::{Done, Nacking};
use crate::whatsapp::stanza::{Ack, Sent};

/// Who writes may not write there.
const FORBIDDEN: u16 = 403;
/// It is no message that the mock knows.
const NOT_SERVED: u16 = 501;

impl Exchange {
    pub(super) fn refuse_messages(&mut self, nacking: Nacking) -> Result<Done, ControlError> {
        self.weather.nack(nacking);
        Ok(Done::default())
    }

    /// The code by which a message is refused; then nobody gets it.
    pub(super) fn refusal(&mut self, sent: &Sent, chat: Option<&Chat>) -> Option<u16> {
        if sent.letters.is_empty() {
            self.unexpected(format!("message {} has no <enc>", sent.id));
            return Some(NOT_SERVED);
        }
        let is_for_others = !sent.peer;
        let code = is_for_others.then(|| self.weather.nacked()).flatten();
        let code = code.or_else(|| self.is_forbidden(chat?).then_some(FORBIDDEN))?;
        let fields = [
            (
                "chat",
                chat.map_or(Value::Null, |chat| self.chat_name(chat).into()),
            ),
            ("id", Value::from(sent.id.as_str())),
            ("code", Value::from(code)),
        ];
        self.write("whatsapp.nacked", fields);
        Some(code)
    }

    /// Only members write in a group, and in some only admins.
    fn is_forbidden(&self, chat: &Chat) -> bool {
        let Chat::Group(jid) = chat else {
            return false;
        };
        let group = self.group(jid);
        group.is_some_and(|group| !group.lets_write(&self.owner))
    }

    /// A client does not take what it was handed. It is gone, and nobody has it.
    pub(super) fn rejected(&mut self, device: u16, ack: &Ack, code: &str) {
        let asked_again = self
            .writings
            .get(&ack.id)
            .is_some_and(|writing| writing.asked_again.contains(&device));
        let fields = [
            ("class", Value::from(ack.class.as_str())),
            ("id", Value::from(ack.id.as_str())),
            ("code", Value::from(code)),
        ];
        self.write("whatsapp.rejected", fields);
        // Baileys says so too of what it asks for again, and means the first attempt.
        if asked_again {
            return;
        }
        let companion = self.companions.get_mut(&device);
        if let (Some(companion), Some(class)) = (companion, Class::read(&ack.class)) {
            let participant = ack.participant.as_ref();
            companion.mailbox.acknowledged(class, &ack.id, participant);
        }
        let (class, id) = (&ack.class, &ack.id);
        self.unexpected(format!("a client rejects {class} {id}: {code}"));
    }
}
