//! What people write: composed, sealed by their phone for each linked device, and put on its
//! way.

use fs_err as fs;
use serde_json::Value;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use waproto::whatsapp as wa;

use super::Exchange;
use super::directory::Chat;
use super::disturb::need_error;
use super::mailbox::Class;
use super::requests::broken;
use super::written::{Author, Writing};
use crate::text::chain;
use crate::whatsapp::ControlError;
use crate::whatsapp::controls::{Addressing, Attachment, Done, FileFault, Saying};
use crate::whatsapp::media::{LARGEST_FILE, SealedFile};
use crate::whatsapp::message::{Composed, Context, Label, Quote, compose, device_sent, read};
use crate::whatsapp::phone::{
    Cipher, DeviceAddress, GroupLetter, KeyBundle, Letter, Person, PhoneError, Sealed,
};

/// A message of a person, on its way to the linked devices.
#[derive(Clone, Debug)]
pub(super) struct Spoken {
    pub(super) id: String,
    pub(super) chat: Chat,
    pub(super) author: Person,
    /// Which of the author's devices wrote it.
    pub(super) device: u16,
    pub(super) message: wa::Message,
    pub(super) label: Label,
    pub(super) t: u64,
    pub(super) peer: bool,
}

/// How a message is spoiled on its way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mishap {
    pub(super) undecryptable: bool,
    pub(super) duplicate: bool,
}

impl Exchange {
    pub(super) async fn say(&mut self, saying: Saying) -> Result<Done, ControlError> {
        let author = self.person(&saying.from)?;
        let (chat, _) = self.chat_with(&saying.chat, &author)?;
        self.admit(&chat, &author)?;
        if author.is_owner() && saying.device != 0 {
            let what =
                "the owner's other devices are the linked ones; write from device 0".to_owned();
            return Err(ControlError::Unfit { what });
        }
        // All that may be refused comes before anything that others notice.
        let id = saying.id.clone();
        let id = id.unwrap_or_else(|| self.coming_message_id());
        let context = self.context(&saying, &chat, &id)?;
        let composed = compose(&saying, context);
        let composed = composed.map_err(|unfit| ControlError::Unfit {
            what: chain(&unfit),
        })?;
        self.need_link()?;
        if saying.id.is_none() {
            self.next_message_id();
        }
        self.use_device(&author, saying.device)
            .map_err(|fault| broken(&fault))?;
        let t = saying
            .at
            .map_or_else(|| self.t(), |at| u64::try_from(at.as_second()).unwrap_or(0));
        let spoken = Spoken {
            id,
            chat,
            author,
            device: saying.device,
            message: composed.message,
            label: composed.label,
            t,
            peer: false,
        };
        let mishap = Mishap {
            undecryptable: saying.undecryptable,
            duplicate: saying.duplicate,
        };
        self.publish(spoken, saying.called.as_deref(), mishap).await
    }

    fn need_link(&self) -> Result<(), ControlError> {
        if self.companions.is_empty() {
            return Err(ControlError::NotLinked);
        }
        Ok(())
    }

    /// A chat that may be named after the person alone.
    fn chat_with(&self, word: &str, author: &Person) -> Result<(Chat, Jid), ControlError> {
        match self.chat(word) {
            Err(_) if word == author.name() => self.chat(author.name()),
            found => found,
        }
    }

    /// Who writes must be in the chat.
    pub(super) fn admit(&self, chat: &Chat, author: &Person) -> Result<(), ControlError> {
        let direct = matches!(chat, Chat::Direct(_)) && author.is_owner();
        if direct || self.members(chat).contains(author) {
            return Ok(());
        }
        Err(ControlError::NotAMember {
            person: author.name().to_owned(),
            chat: self.chat_name(chat),
        })
    }

    fn context(&self, saying: &Saying, chat: &Chat, id: &str) -> Result<Context, ControlError> {
        let addressing = self.addressing(chat);
        let mentions = self.people(&saying.mentions)?;
        let quote = saying
            .reply_to
            .as_deref()
            .map(|word| self.quote(word, addressing));
        let file = saying
            .media
            .as_ref()
            .map(|attachment| self.file(attachment, id));
        Ok(Context {
            quote: quote.transpose()?,
            mentions: mentions
                .iter()
                .map(|person| person.jid(addressing))
                .collect(),
            file: file.transpose()?,
            destination: self.chat_name(chat),
        })
    }

    fn quote(&self, word: &str, addressing: Addressing) -> Result<Quote, ControlError> {
        let (id, writing) = self.writings.find(word).ok_or_else(|| unknown(word))?;
        let author = match &writing.author {
            Author::Person(person, _) => person.jid(addressing),
            Author::Assistant(_) => self.owner.jid(addressing),
        };
        let message = writing.message.clone();
        Ok(Quote {
            id,
            author,
            message,
        })
    }

    fn file(&self, attachment: &Attachment, id: &str) -> Result<SealedFile, ControlError> {
        let seed = self.seed.of("file").of(id);
        let unfit = |what: String| ControlError::Unfit { what };
        if let Some(FileFault::Status(status)) = attachment.fault {
            need_error(status)?;
        }
        let read = (&attachment.path, &attachment.base64);
        let content = match (&attachment.text, attachment.bytes, read) {
            (Some(text), None, (None, None)) => text.clone().into_bytes(),
            (None, Some(bytes), (None, None)) if bytes > LARGEST_FILE => {
                let most = format!("a file of {bytes} bytes is more than {LARGEST_FILE}");
                return Err(unfit(most));
            }
            (None, Some(bytes), (None, None)) => {
                let block = seed.of("content").bytes();
                block.into_iter().cycle().take(bytes).collect()
            }
            (None, None, (Some(path), None)) => {
                fs::read(path).map_err(|fault| unfit(chain(&fault)))?
            }
            (None, None, (None, Some(content))) => content.0.clone(),
            (_, _, _) => {
                let what = "the content of a file is one of `text`, `bytes`, `path` and `base64`";
                return Err(unfit(what.to_owned()));
            }
        };
        let file = self.media.keep(attachment.kind, &content, &seed);
        if let Some(fault) = attachment.fault {
            self.media.spoil(&file.direct_path, fault);
        }
        Ok(file)
    }

    pub(super) fn addressing(&self, chat: &Chat) -> Addressing {
        match chat {
            Chat::Group(jid) => self
                .group(jid)
                .map_or(Addressing::Pn, |group| group.addressing),
            Chat::Direct(_) => Addressing::Pn,
        }
    }

    /// Keeps the message, tells the journal, and sends it to every linked device.
    pub(super) async fn publish(
        &mut self,
        spoken: Spoken,
        called: Option<&str>,
        mishap: Mishap,
    ) -> Result<Done, ControlError> {
        self.need_link()?;
        let author = Author::Person(spoken.author.clone(), spoken.device);
        let message = spoken.message.clone();
        let mut writing =
            Writing::new(spoken.chat.clone(), author, message, spoken.label, spoken.t);
        writing.peer = spoken.peer;
        self.writings.keep(&spoken.id, writing);
        if let Some(name) = called {
            self.writings.call(name, &spoken.id);
        }
        let seq = self.write_said(&spoken);
        let outside = self.is_outside(&spoken.chat);
        self.send_to_all(&spoken, mishap)
            .await
            .map_err(|fault| broken(&fault))?;
        Ok(Done {
            message_id: Some(spoken.id),
            seq,
            outside,
        })
    }

    /// Whether the owner is no member, so that no device of theirs gets what is said there.
    fn is_outside(&self, chat: &Chat) -> bool {
        let Chat::Group(jid) = chat else {
            return false;
        };
        self.group(jid).is_some_and(|group| !group.has(&self.owner))
    }

    fn write_said(&self, spoken: &Spoken) -> u64 {
        let heard = read(&spoken.message);
        let fields = [
            ("chat", Value::from(self.chat_name(&spoken.chat))),
            ("from", Value::from(spoken.author.name())),
            ("text", Value::from(heard.text)),
            ("id", Value::from(spoken.id.as_str())),
            ("kind", Value::from(heard.kind.word())),
            ("target", Value::from(heard.target)),
        ];
        self.write("whatsapp.said", fields)
    }

    pub(super) async fn send_to_all(
        &mut self,
        spoken: &Spoken,
        mishap: Mishap,
    ) -> Result<(), PhoneError> {
        if self.is_outside(&spoken.chat) {
            return Ok(());
        }
        let sealed = match &spoken.chat {
            Chat::Group(jid) if !spoken.peer => self.seal_for_group(spoken, jid).await?,
            Chat::Group(_) | Chat::Direct(_) => self.seal_for_each(spoken).await?,
        };
        for (device, mut encs) in sealed {
            if mishap.undecryptable
                && let Some(last) = encs.pop()
            {
                encs.push(last.spoiled());
            }
            let node = self.message_node(spoken, &encs).await?;
            if mishap.duplicate {
                self.post(device, Class::Message, &spoken.id, node.clone());
            }
            self.post(device, Class::Message, &spoken.id, node);
        }
        Ok(())
    }

    async fn seal_for_group(
        &mut self,
        spoken: &Spoken,
        group: &str,
    ) -> Result<Vec<(u16, Vec<Sealed>)>, PhoneError> {
        let Ok(group) = group.parse::<Jid>() else {
            return Ok(Vec::new());
        };
        let phone = self.phone(&spoken.author, spoken.device)?;
        let numbers: Vec<u16> = self.companions.keys().copied().collect();
        let mut readers = Vec::new();
        for number in &numbers {
            let address = self.address(*number);
            let strangers = phone
                .strangers(spoken.device, vec![address.clone()])
                .await?;
            let bundle = (!strangers.is_empty())
                .then(|| self.bundle_of(*number))
                .flatten();
            readers.push((address, bundle));
        }
        let message = spoken.message.clone();
        let letter = GroupLetter {
            group,
            readers,
            message,
        };
        let sealed = phone.seal_for_group(spoken.device, letter).await?;
        let encs = numbers.into_iter().map(|number| {
            let address = self.address(number);
            let own = sealed.keys.iter().find(|(reader, _)| *reader == address);
            let mut encs: Vec<Sealed> = own.map(|(_, key)| key.clone()).into_iter().collect();
            encs.push(sealed.message.clone());
            (number, encs)
        });
        Ok(encs.collect())
    }

    async fn seal_for_each(
        &mut self,
        spoken: &Spoken,
    ) -> Result<Vec<(u16, Vec<Sealed>)>, PhoneError> {
        let numbers: Vec<u16> = self.companions.keys().copied().collect();
        let mut all = Vec::new();
        for number in numbers {
            all.push((number, vec![self.seal_for_one(spoken, number, None).await?]));
        }
        Ok(all)
    }

    /// Seals for one linked device; with `bundle`, in a new session.
    pub(super) async fn seal_for_one(
        &mut self,
        spoken: &Spoken,
        number: u16,
        bundle: Option<KeyBundle>,
    ) -> Result<Sealed, PhoneError> {
        let phone = self.phone(&spoken.author, spoken.device)?;
        let reader = self.address(number);
        let strangers = phone.strangers(spoken.device, vec![reader.clone()]).await?;
        let bundle = match bundle {
            None if !strangers.is_empty() => self.bundle_of(number),
            bundle => bundle,
        };
        let group = match &spoken.chat {
            Chat::Group(_) => self.directory().jid(&spoken.chat),
            Chat::Direct(_) => None,
        };
        let message = self.for_own_devices(spoken);
        let letter = Letter {
            reader,
            bundle,
            group,
            message,
        };
        phone.seal(spoken.device, letter).await
    }

    /// What the owner writes to a person, the phone tells its linked devices about.
    fn for_own_devices(&self, spoken: &Spoken) -> wa::Message {
        let message = spoken.message.clone();
        let own = spoken.author.is_owner() && !spoken.peer;
        if !own || matches!(spoken.chat, Chat::Group(_)) || message.device_sent_message.is_set() {
            return message;
        }
        device_sent(message, self.chat_name(&spoken.chat))
    }

    pub(super) fn address(&self, number: u16) -> DeviceAddress {
        DeviceAddress::of(&self.owner.pn(), number)
    }

    fn bundle_of(&mut self, number: u16) -> Option<KeyBundle> {
        self.companions
            .get_mut(&number)
            .map(super::companion::Companion::bundle)
    }

    pub(super) async fn message_node(
        &mut self,
        spoken: &Spoken,
        encs: &[Sealed],
    ) -> Result<Node, PhoneError> {
        let mut node = NodeBuilder::new("message").attr("id", spoken.id.clone());
        node = self.addressed(node, spoken);
        node = node
            .attr("type", spoken.label.class)
            .attr("t", spoken.t.to_string());
        node = node.attr("notify", spoken.author.push_name());
        if let Some(edit) = spoken.label.edit {
            node = node.attr("edit", edit);
        }
        if spoken.peer {
            node = node.attr("category", "peer");
        }
        let last = encs.len().saturating_sub(1);
        let content = encs.iter().enumerate();
        let mut children: Vec<Node> = content
            .map(|(at, sealed)| {
                if at == last {
                    spoken.label.enc(sealed)
                } else {
                    sealed.node()
                }
            })
            .collect();
        let begins = encs.iter().any(|sealed| sealed.cipher == Cipher::Prekey);
        if begins && spoken.device != 0 {
            let phone = self.phone(&spoken.author, spoken.device)?;
            // Who does not know the device yet can check by it whose it is.
            if let Some(proof) = phone.bundle(spoken.device).await?.device_identity {
                children.push(NodeBuilder::new("device-identity").bytes(proof).build());
            }
        }
        Ok(node.children(children).build())
    }

    fn addressed(&self, node: NodeBuilder, spoken: &Spoken) -> NodeBuilder {
        let author = &spoken.author;
        let group = match &spoken.chat {
            Chat::Group(jid) => self.group(jid),
            Chat::Direct(_) => None,
        };
        let Some(group) = group else {
            let node = node.attr("from", author.pn().with_device(spoken.device));
            if author.is_owner() && !spoken.peer {
                return node.attr("recipient", self.chat_name(&spoken.chat));
            }
            return node.attr("sender_lid", author.lid());
        };
        let participant = group.jid_of(author).with_device(spoken.device);
        let node = node
            .attr("from", group.id.clone())
            .attr("participant", participant);
        let node = node.attr("addressing_mode", group.addressing_mode());
        match group.addressing {
            Addressing::Pn => node.attr("participant_lid", author.lid()),
            Addressing::Lid => node.attr("participant_pn", author.pn()),
        }
    }

    pub(super) fn spoken(&mut self, chat: Chat, author: Person, composed: Composed) -> Spoken {
        Spoken {
            id: self.next_message_id(),
            chat,
            author,
            device: 0,
            message: composed.message,
            label: composed.label,
            t: self.t(),
            peer: false,
        }
    }
}

pub(super) fn unknown(message: &str) -> ControlError {
    ControlError::UnknownMessage {
        message: message.to_owned(),
    }
}
