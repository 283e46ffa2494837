//! What the handle asks of the exchange.

use serde_json::{Value, json};
use tokio::sync::oneshot;
use wacore_binary::Jid;

use super::Exchange;
use super::companion::Companion;
use super::devices::DeviceChange;
use super::directory::Chat;
use crate::text::chain;
use crate::whatsapp::ControlError;
use crate::whatsapp::account::{LinkedAccount, PhoneSession};
use crate::whatsapp::bytes::Base64;
use crate::whatsapp::controls::{Control, Done, GroupCast};
use crate::whatsapp::phone::{DeviceAddress, PhoneError};

pub(in crate::whatsapp) type Reply<T> = oneshot::Sender<T>;

pub(in crate::whatsapp) enum Request {
    Act(Box<Control>, Reply<Result<Done, ControlError>>),
    Link(Box<LinkedAccount>, Reply<Result<(), ControlError>>),
    Linked(Reply<Vec<LinkedAccount>>),
    StageGroup(GroupCast, Reply<Result<String, ControlError>>),
    StageDirect {
        name: String,
        person: String,
        reply: Reply<Result<String, ControlError>>,
    },
    Online(Reply<bool>),
    NetworkIsUp(Reply<bool>),
    /// Answered as soon as nothing is on its way.
    Rest(Reply<()>),
    /// What is on its way.
    Left(Reply<Vec<String>>),
    Describe(Reply<Value>),
    /// All goes well again.
    Calm(Reply<()>),
}

impl Exchange {
    pub(super) async fn serve(&mut self, request: Request) {
        // Who asked may have stopped waiting; what was done stays done.
        match request {
            Request::Act(control, reply) => drop(reply.send(self.act(*control).await)),
            Request::Link(account, reply) => drop(reply.send(self.link(&account).await)),
            Request::Linked(reply) => drop(reply.send(self.linked().await)),
            Request::StageGroup(group, reply) => drop(reply.send(self.stage_group(&group))),
            Request::StageDirect {
                name,
                person,
                reply,
            } => {
                drop(reply.send(self.stage_direct(&name, &person)));
            }
            Request::Online(reply) => {
                let online = self.companions.values().any(|one| one.live().is_some());
                reply.send(online).unwrap_or(());
            }
            Request::NetworkIsUp(reply) => reply.send(!self.weather.away).unwrap_or(()),
            Request::Rest(reply) => self.resting.push(reply),
            Request::Left(reply) => drop(reply.send(self.on_its_way().collect())),
            Request::Describe(reply) => drop(reply.send(self.describe())),
            Request::Calm(reply) => {
                self.calm();
                reply.send(()).unwrap_or(());
            }
        }
    }

    async fn link(&mut self, account: &LinkedAccount) -> Result<(), ControlError> {
        let unfit = |what: &str| ControlError::Unfit {
            what: what.to_owned(),
        };
        let companion = Companion::import(account);
        let companion =
            companion.ok_or_else(|| unfit("a key of the account has a wrong length"))?;
        if self.companions.contains_key(&account.device) {
            return Err(unfit("a device with that number is linked already"));
        }
        // 0 is the phone itself; and a further device must have a number left.
        let next = account.device.checked_add(1).filter(|next| *next != 1);
        let next = next.ok_or_else(|| unfit("the device's number is none of 1 to 65534"))?;
        let sessions = account.sessions.iter().map(|session| {
            let address = DeviceAddress::read(&session.address);
            let address = address.ok_or_else(|| unfit("a session is with no address"))?;
            Ok((address, session.record.0.clone()))
        });
        let sessions: Vec<_> = sessions.collect::<Result<_, ControlError>>()?;
        let phone = self.phone(&self.owner.clone(), 0);
        let phone = phone.map_err(|fault| broken(&fault))?;
        let restored = phone.restore(0, sessions).await;
        restored.map_err(|fault| broken(&fault))?;
        self.counters.next_device = self.counters.next_device.max(next);
        self.companions.insert(account.device, companion);
        self.tell_of_companion(account.device, DeviceChange::Added);
        Ok(())
    }

    async fn linked(&mut self) -> Vec<LinkedAccount> {
        let owner = self.owner.clone();
        let sessions = match self.phone(&owner, 0) {
            Ok(phone) => phone.sessions(0).await,
            Err(fault) => Err(fault),
        };
        let sessions = sessions.unwrap_or_else(|fault| {
            self.unexpected(format!(
                "the owner's sessions cannot be read: {}",
                chain(&fault)
            ));
            Vec::new()
        });
        let companions = self.companions.values();
        companions
            .map(|companion| {
                let own = DeviceAddress::of(&owner.pn(), companion.number);
                let own = sessions.iter().filter(|(address, _)| *address == own);
                let own = own.map(|(address, record)| PhoneSession {
                    address: address.as_str().to_owned(),
                    record: Base64(record.clone()),
                });
                companion.export(own.collect())
            })
            .collect()
    }

    fn stage_direct(&self, name: &str, person: &str) -> Result<String, ControlError> {
        let person = self.person(person)?;
        let chat = Chat::Direct(person.name().to_owned());
        self.name_chat(name, &chat)?;
        Ok(person.pn().to_string())
    }

    pub(super) fn name_chat(&self, name: &str, chat: &Chat) -> Result<(), ControlError> {
        if self.directory().name(name, chat) {
            return Ok(());
        }
        let name = name.to_owned();
        Err(ControlError::NameTaken { name })
    }

    fn describe(&self) -> Value {
        let devices = self.companions.values().map(|companion| {
            let waiting = companion.mailbox.waiting(&self.weather);
            json!({
                "jid": self.owner.pn().with_device(companion.number).to_string(),
                "connected": companion.line.is_some(),
                "online": companion.live().is_some(),
                "waiting": waiting.all(),
                "prekeys": companion.prekeys.len(),
            })
        });
        let groups = self.groups.iter().map(|group| {
            let members: Vec<&str> = group.members.iter().map(|one| one.person.name()).collect();
            json!({ "jid": group.id.to_string(), "subject": group.subject, "members": members })
        });
        let directory = self.directory();
        let people = directory.people().map(|person| {
            let jids = [person.pn(), person.lid()].map(|jid: Jid| jid.to_string());
            json!({ "name": person.name(), "pn": jids[0], "lid": jids[1] })
        });
        json!({
            "devices": devices.collect::<Vec<_>>(),
            "waiting_to_be_linked": self.guests.len(),
            "groups": groups.collect::<Vec<_>>(),
            "people": people.collect::<Vec<_>>(),
            "held": self.weather.held().collect::<Vec<_>>(),
            "network_is_away": self.weather.away,
        })
    }
}

/// A phone fails only where keys are broken.
pub(super) fn broken(fault: &PhoneError) -> ControlError {
    ControlError::Unfit { what: chain(fault) }
}
