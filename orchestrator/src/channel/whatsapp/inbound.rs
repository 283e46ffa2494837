//! A message on its way in: read, put in the names of the house, its file fetched, and handed
//! to the intake. It is acknowledged to WhatsApp when all that is done, and not before.
//!
//! A message that cannot be understood is told and let go: it would be as bad the next time. A
//! message that cannot be stored is neither: it comes again.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{FutureExt, StreamExt};
use wacore::types::message::{EditAttribute, MessageCategory, MessageInfo};
use whatsapp_rust::anyhow::{self, anyhow};
use whatsapp_rust::types::events::InboundMessage;
use whatsapp_rust::{Client, InboundDurabilityHook, Jid, async_trait};

use super::attachment::Attachment;
use super::media::{self, Batch, Together};
use super::notices::{Notice, Notices};
use super::people::{self, Names};
use super::wording::{self, Quote, Said, Wording};
use crate::channel::Prefix;
use crate::clock::Work;
use crate::events::Event;
use crate::house::House;
use crate::ids::ChatJid;
use crate::intake::{Intake, Received};
use crate::store::{Edit, Group, NewMessage, Quoted, Revocation, Revoker, StoreError};

/// Files fetched at once while a backlog comes in.
const FETCHES: usize = 4;

/// The way in, until it is closed: then nothing is acknowledged any more.
#[derive(Debug)]
pub(super) struct Admission(Mutex<Option<Intake>>);

impl Admission {
    #[must_use]
    pub(super) fn open(intake: Intake) -> Self {
        Self(Mutex::new(Some(intake)))
    }

    pub(super) fn close(&self) {
        *self.lock() = None;
    }

    #[must_use]
    pub(super) fn intake(&self) -> Option<Intake> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Intake>> {
        // Nothing panics while it holds the intake.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes what the library has decrypted; it acknowledges what we have kept.
#[derive(Debug)]
pub(super) struct Ears {
    pub house: House,
    pub admission: Arc<Admission>,
    pub names: Names,
    pub prefix: Prefix,
    pub notices: Notices,
}

#[async_trait]
impl InboundDurabilityHook for Ears {
    async fn on_messages(
        &self,
        client: Arc<Client>,
        messages: &[InboundMessage],
    ) -> anyhow::Result<()> {
        let _busy = self.house.clock.busy(Work::Channel);
        let Some(intake) = self.admission.intake() else {
            return Err(anyhow!("nanokimi is stopping; the message comes again"));
        };
        // Understood side by side, since files take long; kept in the order they came.
        let batch = Batch {
            client: &client,
            together: &Together::default(),
        };
        let read = futures_util::stream::iter(messages.to_vec())
            .map(|message| self.understand_or_tell(batch, message))
            .buffered(FETCHES);
        let mut read = Box::pin(read);
        while let Some(understood) = read.next().await {
            let kept = match understood {
                Ok(Some(understood)) => keep(&self.house, &intake, understood).await,
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = kept {
                if let Missed::Store(error) = &error {
                    tracing::error!(error = crate::chain(error), "a message cannot be kept");
                    self.notices.tell(Notice::NotKept);
                }
                return Err(anyhow!(error));
            }
        }
        Ok(())
    }
}

/// What a message comes to.
#[derive(Debug)]
enum Understood {
    New(Group, NewMessage),
    Edited(Group, Edit),
    Revoked(Group, Revocation),
    /// Somebody said something in a chat that is none of our groups, or has a new name.
    HeardOf {
        chat: ChatJid,
        name: Option<String>,
        at: jiff::Timestamp,
    },
}

/// Why a message is not acknowledged; it comes again.
#[derive(Debug, thiserror::Error)]
enum Missed {
    #[error("the store does not take it")]
    Store(#[from] StoreError),
    #[error("the connection ended while its file was fetched")]
    Disconnected,
}

async fn keep(house: &House, intake: &Intake, understood: Understood) -> Result<(), Missed> {
    match understood {
        Understood::New(group, new) => {
            let (chat, id, media) = (new.chat.clone(), new.id.clone(), new.media.clone());
            let received = intake.receive(&group, new).await?;
            if let Some(path) = media
                && received != Received::Duplicate
            {
                house.events.tell(Event::MediaStored { chat, id, path });
            }
        }
        Understood::Edited(group, edit) => {
            intake.edited(&group, edit).await?;
        }
        Understood::Revoked(group, revocation) => {
            if let Some(path) = intake.revoked(revocation).await?.media {
                media::forget(house, &group.folder, path).await;
            }
        }
        Understood::HeardOf { chat, name, at } => intake.heard_of(chat, name, at).await?,
    }
    Ok(())
}

impl Ears {
    /// A message that brings the reader down is let go.
    async fn understand_or_tell(
        &self,
        batch: Batch<'_>,
        message: InboundMessage,
    ) -> Result<Option<Understood>, Missed> {
        let info = &message.info;
        let read = AssertUnwindSafe(self.understand(batch, &message));
        match Box::pin(read).catch_unwind().await {
            Ok(understood) => understood,
            Err(_panic) => {
                tracing::error!(
                    chat = %info.source.chat,
                    id = info.id,
                    "a message could not be read, and is lost: this is a fault of nanokimi's"
                );
                Ok(None)
            }
        }
    }

    async fn understand(
        &self,
        batch: Batch<'_>,
        message: &InboundMessage,
    ) -> Result<Option<Understood>, Missed> {
        let client = batch.client;
        let info = &message.info;
        // Peer messages are what the owner's devices tell each other.
        if info.category == MessageCategory::Peer {
            return Ok(None);
        }
        let chats = people::names_of_chat(client, &info.source).await;
        let Some(chat) = chats.first().cloned() else {
            return Ok(None);
        };
        let said = wording::read(&message.message);
        if matches!(said, Said::Nothing) {
            return Ok(None);
        }
        let at = people::instant(info.timestamp);
        let senders = people::names_of_sender(client, &info.source).await;
        let sender = senders.first().unwrap_or(&info.source.sender);
        self.names.note(sender, &info.push_name);
        let Some(group) = self.group_of(&chats).await? else {
            let name = name_of_chat(&chat, info);
            return Ok(Some(Understood::HeardOf { chat, name, at }));
        };
        let chat = group.chat.clone();
        let by = || senders.iter().map(Jid::to_string).collect();
        Ok(match said {
            Said::Nothing => None,
            Said::Edited { id, text, mentions } => {
                let text = self.named(client, &text, &mentions).await;
                let by = by();
                Some(Understood::Edited(group, Edit { chat, id, by, text }))
            }
            Said::Revoked { id, of_another } => {
                // Only the server can tell that it was an admin.
                let by = if of_another && info.edit == EditAttribute::AdminRevoke {
                    Revoker::Admin
                } else {
                    Revoker::Sender(by())
                };
                Some(Understood::Revoked(group, Revocation { chat, id, by }))
            }
            Said::Message(mut wording) => {
                // Whoever sends a second message under its id must not get at the file of the
                // first.
                if self.is_known(&chat, &info.id).await? {
                    wording.attachment = None;
                }
                let new = NewMessage {
                    chat,
                    id: info.id.clone(),
                    sender_name: name_or_number(&info.push_name, sender),
                    sender: sender.to_string(),
                    content: String::new(),
                    sent_at: at,
                    from_me: info.source.is_from_me,
                    quoted: None,
                    media: None,
                    media_note: None,
                };
                Some(self.worded(batch, group, new, *wording).await?)
            }
        })
    }

    /// Puts the words in: names for mentions, the quote, and where the file lies.
    async fn worded(
        &self,
        batch: Batch<'_>,
        group: Group,
        mut new: NewMessage,
        wording: Wording,
    ) -> Result<Understood, Missed> {
        let client = batch.client;
        new.content = self.named(client, &wording.text, &wording.mentions).await;
        if let Some(quote) = wording.quote {
            new.quoted = Some(self.quoted(client, quote).await);
        }
        if let Some(attachment) = wording.attachment {
            self.attach(batch, &group, &mut new, &attachment).await?;
        }
        Ok(Understood::New(group, new))
    }

    /// A text with the names of those it mentions.
    async fn named(&self, client: &Client, text: &str, mentions: &[String]) -> String {
        let mut people = Vec::new();
        for jid in mentions {
            people.push((jid.clone(), self.called(client, jid).await));
        }
        let called = |jid: &str| {
            let known = people.iter().find(|(known, _)| known == jid);
            known.and_then(|(_, name)| name.clone())
        };
        wording::with_names(text, mentions, called)
    }

    /// The group that is registered under one of a chat's names.
    async fn group_of(&self, chats: &[ChatJid]) -> Result<Option<Group>, StoreError> {
        for chat in chats {
            let group = self.house.store.group_of_chat(chat.clone()).await?;
            if group.is_some() {
                return Ok(group);
            }
        }
        Ok(None)
    }

    async fn is_known(&self, chat: &ChatJid, id: &str) -> Result<bool, StoreError> {
        let store = &self.house.store;
        store.has_message(chat.clone(), id.to_owned()).await
    }

    async fn quoted(&self, client: &Client, quote: Quote) -> Quoted {
        let from = match &quote.from {
            Some(jid) if self.prefix.is_ours(is_our_jid(client, jid), &quote.text) => {
                Some(self.house.config.assistant_name.clone())
            }
            Some(jid) => self.called(client, jid).await,
            None => None,
        };
        Quoted {
            id: quote.id,
            from: from.or(quote.from).unwrap_or_else(|| "somebody".to_owned()),
            text: quote.text,
        }
    }

    /// Fetches the file, and says in the text where it lies, or why it does not.
    async fn attach(
        &self,
        batch: Batch<'_>,
        group: &Group,
        new: &mut NewMessage,
        attachment: &Attachment,
    ) -> Result<(), Missed> {
        let kind = attachment.kind.word();
        let name = attachment.file_name(&new.id, new.sent_at);
        let called = attachment.file_name.as_deref();
        let called = called.map_or_else(String::new, |called| format!(" `{called}`"));
        let kept = media::keep(batch, &self.house, &group.folder, attachment, name).await;
        let note = match kept {
            Ok(path) => {
                let note = format!("[{kind}{called}: {path}]");
                new.media = Some(path);
                note
            }
            // It is not the file's fault; on the next connection it comes again.
            Err(_) if !batch.client.is_connected() => return Err(Missed::Disconnected),
            Err(error) => {
                let error = crate::chain(&error);
                tracing::warn!(chat = %new.chat, id = new.id, error, "a file is not kept");
                format!("[{kind}{called}, not kept: {error}]")
            }
        };
        // The caption leads, so that it can call the assistant.
        if !new.content.is_empty() {
            new.content.push('\n');
        }
        new.content.push_str(&note);
        new.media_note = Some(note);
        Ok(())
    }

    /// What to call a person in a text: the assistant by its own name, others by theirs.
    async fn called(&self, client: &Client, jid: &str) -> Option<String> {
        let Ok(jid) = jid.parse::<Jid>() else {
            return None;
        };
        let config = &self.house.config;
        if people::is_us(client, &jid) {
            let owner = client.push_name();
            return match config.assistant_has_own_number {
                true => Some(config.assistant_name.clone()),
                false => (!owner.is_empty()).then_some(owner),
            };
        }
        let person = people::phone_of(client, &jid, None).await;
        self.names.of(&person)
    }
}

/// A direct chat is called as the person in it; a group's name comes from elsewhere.
fn name_of_chat(chat: &ChatJid, info: &MessageInfo) -> Option<String> {
    let known = !chat.is_group() && !info.source.is_from_me && !info.push_name.is_empty();
    known.then(|| info.push_name.clone())
}

fn is_our_jid(client: &Client, jid: &str) -> bool {
    jid.parse().is_ok_and(|jid| people::is_us(client, &jid))
}

fn name_or_number(push_name: &str, sender: &Jid) -> String {
    if push_name.is_empty() {
        sender.user_base().to_owned()
    } else {
        push_name.to_owned()
    }
}
