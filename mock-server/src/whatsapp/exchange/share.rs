//! What the owner's phone tells a new device: the key of the state they share, and the history.

use buffa::{Message as _, MessageField};
use waproto::whatsapp as wa;
use waproto::whatsapp::history_sync::HistorySyncType as Kind;
use waproto::whatsapp::message::protocol_message::Type;
use waproto::whatsapp::message::{
    AppStateSyncKey, AppStateSyncKeyData, AppStateSyncKeyFingerprint, AppStateSyncKeyId,
    AppStateSyncKeyShare, HistorySyncNotification, HistorySyncType as Told,
    PeerDataOperationRequestType, ProtocolMessage,
};

use super::Exchange;
use super::collections::KEY_ID;
use super::directory::Chat;
use super::speak::Spoken;
use super::written::{Author, Writing};
use crate::whatsapp::message::Label;
use crate::whatsapp::phone::PhoneError;

impl Exchange {
    /// The owner's phone gives a new device what it needs: the key of the app state, and the
    /// history, of which there is none.
    pub(super) async fn greet(&mut self, device: u16) -> Result<(), PhoneError> {
        self.share_key(device).await?;
        let parts = [
            (Kind::INITIAL_BOOTSTRAP, Told::INITIAL_BOOTSTRAP),
            (Kind::PUSH_NAME, Told::PUSH_NAME),
            (Kind::RECENT, Told::RECENT),
        ];
        for (order, (kind, told)) in (1..).zip(parts) {
            let history = self.history(order, kind, told);
            self.tell_device(device, history).await?;
        }
        Ok(())
    }

    async fn share_key(&mut self, device: u16) -> Result<(), PhoneError> {
        let fingerprint = AppStateSyncKeyFingerprint {
            raw_id: Some(1),
            current_index: Some(1),
            device_indexes: vec![0, u32::from(device)],
        };
        let data = AppStateSyncKeyData {
            key_data: Some(self.app_state_key().to_vec()),
            fingerprint: MessageField::some(fingerprint),
            timestamp: Some(self.now().as_second()),
        };
        let key = AppStateSyncKey {
            key_id: MessageField::some(AppStateSyncKeyId {
                key_id: Some(KEY_ID.to_vec()),
            }),
            key_data: MessageField::some(data),
        };
        let share = AppStateSyncKeyShare { keys: vec![key] };
        let message = ProtocolMessage {
            r#type: Some(Type::APP_STATE_SYNC_KEY_SHARE),
            app_state_sync_key_share: MessageField::some(share),
            ..ProtocolMessage::default()
        };
        self.tell_device(device, message).await
    }

    /// The owner's, so that it never depends on the scenario: a store that was paired once
    /// knows it.
    pub(super) fn app_state_key(&self) -> [u8; 32] {
        self.owner.seed(&self.seed).of("app state").bytes()
    }

    fn history(&self, order: u32, kind: Kind, told: Told) -> ProtocolMessage {
        let people = self.directory();
        let pushnames = people.people().map(|person| wa::Pushname {
            id: Some(person.pn().to_string()),
            pushname: Some(person.push_name()),
        });
        let history = wa::HistorySync {
            sync_type: kind,
            chunk_order: Some(order),
            progress: Some(100),
            pushnames: pushnames.collect(),
            ..wa::HistorySync::default()
        };
        let payload = stored(&history.encode_to_vec());
        let notification = HistorySyncNotification {
            sync_type: Some(told),
            chunk_order: Some(order),
            progress: Some(100),
            file_length: Some(payload.len() as u64),
            initial_hist_bootstrap_inline_payload: Some(payload),
            ..HistorySyncNotification::default()
        };
        ProtocolMessage {
            r#type: Some(Type::HISTORY_SYNC_NOTIFICATION),
            history_sync_notification: MessageField::some(notification),
            ..ProtocolMessage::default()
        }
    }

    /// From the owner's phone to one linked device.
    async fn tell_device(
        &mut self,
        device: u16,
        message: ProtocolMessage,
    ) -> Result<(), PhoneError> {
        let owner = self.owner.clone();
        let spoken = Spoken {
            id: self.next_notification_id(),
            chat: Chat::Direct(owner.name().to_owned()),
            author: owner.clone(),
            device: 0,
            message: wa::Message {
                protocol_message: MessageField::some(message),
                ..wa::Message::default()
            },
            label: Label::TEXT,
            t: self.t(),
            peer: true,
        };
        self.keep_for_retries(&spoken);
        let sealed = self.seal_for_one(&spoken, device, None).await?;
        let node = self.message_node(&spoken, &[sealed]).await?;
        self.post(device, super::mailbox::Class::Message, &spoken.id, node);
        Ok(())
    }

    fn keep_for_retries(&mut self, spoken: &Spoken) {
        let author = Author::Person(spoken.author.clone(), spoken.device);
        let (chat, message) = (spoken.chat.clone(), spoken.message.clone());
        let mut writing = Writing::new(chat, author, message, spoken.label, spoken.t);
        writing.peer = true;
        self.writings.keep(&spoken.id, writing);
    }

    /// A device asks the owner's phone for something.
    pub(super) async fn take_peer_message(
        &mut self,
        device: u16,
        message: &wa::Message,
    ) -> Result<(), PhoneError> {
        let asked = message
            .protocol_message
            .as_option()
            .and_then(|message| message.r#type);
        match asked {
            Some(Type::APP_STATE_SYNC_KEY_REQUEST) => self.share_key(device).await,
            Some(Type::PEER_DATA_OPERATION_REQUEST_MESSAGE) if is_resend_request(message) => Ok(()),
            Some(_) | None => {
                let told = asked.map_or_else(|| "nothing".to_owned(), |asked| format!("{asked:?}"));
                let what = format!("a device asks the owner's phone for {told}");
                self.unexpected(format!("{what}, which is not served"));
                Ok(())
            }
        }
    }
}

/// Beside the sender of a message that it cannot decrypt, whatsapp-rust asks the owner's phone
/// for it. The phone need not answer: the sender does.
fn is_resend_request(message: &wa::Message) -> bool {
    let protocol = message.protocol_message.as_option();
    let request = protocol.and_then(|it| it.peer_data_operation_request_message.as_option());
    let kind = request.and_then(|request| request.peer_data_operation_request_type);
    kind.is_some_and(|kind| kind == PeerDataOperationRequestType::PLACEHOLDER_MESSAGE_RESEND)
}

/// A zlib container around the bytes as they are: one stored block for every 65,535 of them.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    let blocks = bytes.chunks(usize::from(u16::MAX));
    let last = blocks.len().saturating_sub(1);
    for (at, block) in blocks.enumerate() {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        out.push(u8::from(at == last));
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(block);
    }
    out.extend(adler32(bytes).to_be_bytes());
    out
}

fn adler32(bytes: &[u8]) -> u32 {
    let (low, high) = bytes.iter().fold((1, 0), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % 65_521;
        (low, (high + low) % 65_521)
    });
    (high << 16) | low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_container_opens_again() {
        for length in [1, 1000, 70_000] {
            let bytes: Vec<u8> = (0..length).map(|n: u32| n.to_le_bytes()[0]).collect();
            // The codec's flag 2 says: what follows is compressed.
            let container = [vec![2], stored(&bytes)].concat();
            assert_eq!(*wacore_binary::util::unpack(&container).unwrap(), bytes);
        }
    }
}
