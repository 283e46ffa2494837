//! Does what a control says; what goes wrong on the wire stands in `disturb`.

use super::Exchange;
use super::directory::Chat;
use super::mailbox::Class;
use super::requests::broken;
use super::speak::{Mishap, unknown};
use super::written::Author;
use crate::whatsapp::ControlError;
use crate::whatsapp::controls::{
    Addressing, Control, Done, Editing, PresenceState, Reacting, Reading, Revoking, Traffic,
    TypingState,
};
use crate::whatsapp::group::Change;
use crate::whatsapp::message::{Composed, Target, edit, react, revoke};
use crate::whatsapp::phone::Person;
use crate::whatsapp::stanza::{chatstate, group_receipt, prekeys_are_low, presence, receipt};

impl Exchange {
    pub(super) async fn act(&mut self, control: Control) -> Result<Done, ControlError> {
        let done = match control {
            Control::Say(saying) => self.say(saying).await,
            Control::Edit(editing) => self.edit(&editing).await,
            Control::Revoke(revoking) => self.revoke(&revoking).await,
            Control::React(reacting) => self.react(&reacting).await,
            Control::Typing(typing) => self.type_on(&typing),
            Control::Read(reading) => self.read(&reading),
            Control::Presence(state) => self.show_presence(&state),
            Control::Redeliver { message } => self.hand_out_again(&message).await,
            Control::LoseKeys { person } => self.lose_keys(&person).await,
            Control::CreateGroup(cast) => self.create_group(&cast).await,
            Control::Add(members) => self.change_members(&members, Change::Add).await,
            Control::Remove(members) => self.change_members(&members, Change::Remove).await,
            Control::Promote(members) => self.change_members(&members, Change::Promote).await,
            Control::Demote(members) => self.change_members(&members, Change::Demote).await,
            Control::Rename { chat, subject } => self.rename(&chat, subject).await,
            Control::ScanQr { code } => self.scan(&code),
            Control::EnterCode { code } => self.enter(&code).await,
            Control::Offer(offer) => self.offer_codes(&offer),
            Control::RefuseCode(refusal) => self.refuse_codes(refusal),
            Control::Passkey { demanded } => self.demand_passkeys(demanded),
            Control::Unlink {} => self.unlink_all(),
            Control::Replace {} => self.replace(),
            Control::Drop {} => self.cut(),
            Control::HalfOpen {} => self.freeze(),
            Control::Garbage {} => self.garble(),
            Control::StreamError { code } => self.end_stream(code),
            Control::Offline {} => self.go_offline(),
            Control::Back {} => self.come_back(),
            Control::Refuse(refusal) => self.refuse_logins(refusal),
            Control::Nack(nacking) => self.refuse_messages(nacking),
            Control::RefuseUploads(refusal) => self.refuse_uploads(refusal),
            Control::Delay { by } => self.delay(by),
            Control::PauseAcks {} => self.hold(Traffic::Acks),
            Control::ResumeAcks {} => self.let_go(Traffic::Acks),
            Control::Hold { what } => self.hold(what),
            Control::LetGo { what } => self.let_go(what),
            Control::LowPrekeys { left } => self.run_low(left),
            Control::Mutate(mutation) => self.mutate(&mutation),
        };
        done.map(|done| self.dated(done))
    }

    /// What nothing was written about happened after the last entry.
    fn dated(&self, done: Done) -> Done {
        match done.seq {
            0 => Done {
                seq: self.journal.last(),
                ..done
            },
            _ => done,
        }
    }

    async fn rename(&mut self, chat: &str, subject: String) -> Result<Done, ControlError> {
        self.change_group(chat, Change::Subject(subject)).await
    }

    async fn edit(&mut self, editing: &Editing) -> Result<Done, ControlError> {
        let (chat, author, target) = self.target(&editing.message, None)?;
        let composed = edit(&target, &editing.text, self.now());
        self.speak_about(chat, author, composed).await
    }

    async fn revoke(&mut self, revoking: &Revoking) -> Result<Done, ControlError> {
        let (chat, author, target) = self.target(&revoking.message, revoking.from.as_deref())?;
        self.speak_about(chat, author, revoke(&target)).await
    }

    async fn react(&mut self, reacting: &Reacting) -> Result<Done, ControlError> {
        let (chat, author, target) = self.target(&reacting.message, Some(&reacting.from))?;
        let composed = react(&target, &reacting.emoji, self.now());
        self.speak_about(chat, author, composed).await
    }

    async fn speak_about(
        &mut self,
        chat: Chat,
        author: Person,
        composed: Composed,
    ) -> Result<Done, ControlError> {
        self.admit(&chat, &author)?;
        let spoken = self.spoken(chat, author, composed);
        self.publish(spoken, None, Mishap::default()).await
    }

    /// A message as `by`, or else its author, speaks about it.
    fn target(&self, word: &str, by: Option<&str>) -> Result<(Chat, Person, Target), ControlError> {
        let (id, writing) = self.writings.find(word).ok_or_else(|| unknown(word))?;
        let (chat, author) = (writing.chat.clone(), writing.author.clone());
        let author = match author {
            Author::Person(person, _) => person,
            Author::Assistant(_) => self.owner.clone(),
        };
        let by = by.map_or_else(|| Ok(author.clone()), |name| self.person(name))?;
        let addressing = self.addressing(&chat);
        let in_group = matches!(chat, Chat::Group(_));
        let jid = self.directory().jid(&chat).ok_or_else(|| unknown(word))?;
        let target = Target {
            id,
            // Of two, each knows the chat as the other.
            chat: if in_group || by.is_owner() {
                jid
            } else {
                self.owner.pn()
            },
            own: by == author,
            author: in_group.then(|| author.jid(addressing)),
        };
        Ok((chat, by, target))
    }

    fn type_on(&self, typing: &TypingState) -> Result<Done, ControlError> {
        let person = self.person(&typing.from)?;
        let (chat, jid) = self.chat(&typing.chat)?;
        self.admit(&chat, &person)?;
        let member = person.jid(self.addressing(&chat));
        for device in self.companions.keys() {
            self.send_now(*device, chatstate(&jid, &member, typing.state));
        }
        Ok(Done::default())
    }

    fn read(&mut self, reading: &Reading) -> Result<Done, ControlError> {
        let person = self.person(&reading.from)?;
        let (chat, jid) = self.chat(&reading.chat)?;
        self.admit(&chat, &person)?;
        let t = self.t();
        for id in self.writings.read(&chat, person.name()) {
            let Some(writing) = self.writings.get(&id) else {
                continue;
            };
            let Author::Assistant(device) = writing.author else {
                continue;
            };
            let from = self.answers_as(&person, &chat, writing.to.as_ref());
            let node = match chat {
                Chat::Group(_) => group_receipt(&jid, &from, &id, t, Some("read")),
                Chat::Direct(_) => receipt(&from, &id, t, Some("read")),
            };
            self.post(device, Class::Receipt, &id, node);
        }
        Ok(Done::default())
    }

    fn show_presence(&self, state: &PresenceState) -> Result<Done, ControlError> {
        let person = self.person(&state.from)?;
        for device in self.companions.keys() {
            self.send_now(
                *device,
                presence(&person.jid(Addressing::Pn), state.state, self.t()),
            );
        }
        Ok(Done::default())
    }

    async fn hand_out_again(&mut self, message: &str) -> Result<Done, ControlError> {
        let (id, _) = self
            .writings
            .find(message)
            .ok_or_else(|| unknown(message))?;
        match self.redeliver(&id).await.map_err(|fault| broken(&fault))? {
            true => Ok(Done {
                message_id: Some(id),
                ..Done::default()
            }),
            false => Err(ControlError::Unfit {
                what: format!(
                    "`{message}` is the assistant's own; only people's are handed out to it"
                ),
            }),
        }
    }

    async fn lose_keys(&mut self, name: &str) -> Result<Done, ControlError> {
        let person = self.person(name)?;
        let devices: Vec<u16> = self.companions.keys().copied().collect();
        for (_, phone) in self.phones_of(&person) {
            for device in &devices {
                let address = self.address(*device);
                let handle = self.phone(&person, phone).map_err(|fault| broken(&fault))?;
                handle
                    .forget(phone, address)
                    .await
                    .map_err(|fault| broken(&fault))?;
            }
        }
        Ok(Done::default())
    }

    fn run_low(&mut self, left: u32) -> Result<Done, ControlError> {
        let devices: Vec<u16> = self.companions.keys().copied().collect();
        if devices.is_empty() {
            return Err(ControlError::NotLinked);
        }
        for device in devices {
            if let Some(companion) = self.companions.get_mut(&device) {
                let spent = companion.prekeys.len().saturating_sub(left as usize);
                companion.prekeys.drain(..spent);
            }
            let id = self.next_notification_id();
            let node = prekeys_are_low(&id, left, self.t());
            self.post(device, Class::Notification, &id, node);
        }
        Ok(Done::default())
    }
}
