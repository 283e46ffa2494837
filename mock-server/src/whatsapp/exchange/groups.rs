//! Groups: staged, made and changed by people, and told to those who are in them.

use serde_json::Value;
use wacore_binary::Jid;

use super::Exchange;
use super::directory::Chat;
use super::mailbox::Class;
use super::requests::broken;
use crate::whatsapp::ControlError;
use crate::whatsapp::controls::{Done, GroupCast, Membership};
use crate::whatsapp::group::{Change, Group, GroupEvent};
use crate::whatsapp::phone::{Person, PhoneError};

impl Exchange {
    pub(super) fn group(&self, jid: &str) -> Option<&Group> {
        match jid.parse() {
            Ok(jid) => self.groups.get(&jid),
            // Chats of groups are made from JIDs.
            Err(_) => None,
        }
    }

    pub(super) fn stage_group(&mut self, cast: &GroupCast) -> Result<String, ControlError> {
        let jid = group_jid(&cast.id)?;
        let members = self.people(&cast.members)?;
        let chat = Chat::Group(jid.to_string());
        if self.groups.get(&jid).is_some() {
            let name = cast.id.clone();
            return Err(ControlError::NameTaken { name });
        }
        let names = [cast.name.clone(), jid.to_string()];
        if let Some(name) = self.directory().taken(&names, &chat) {
            return Err(ControlError::NameTaken { name });
        }
        for name in names {
            self.name_chat(&name, &chat)?;
        }
        let others = members
            .into_iter()
            .filter(|person| !person.is_owner())
            .collect();
        let subject = cast.subject.clone().unwrap_or_else(|| cast.name.clone());
        let people = (self.owner.clone(), others);
        let group = Group::new(jid.clone(), subject, cast.addressing, people, self.now());
        self.groups.insert(group);
        Ok(jid.to_string())
    }

    /// The owner makes a group, and nanokimi is told.
    pub(super) async fn create_group(&mut self, cast: &GroupCast) -> Result<Done, ControlError> {
        let jid = self.stage_group(cast)?;
        let (owner, now) = (self.owner.clone(), self.now());
        let event = self.group(&jid).map(|group| group.created(&owner, now));
        match event {
            Some(event) => self
                .tell_of_change(&event)
                .await
                .map_err(|fault| broken(&fault)),
            None => Ok(Done::default()),
        }
    }

    pub(super) async fn change_members(
        &mut self,
        membership: &Membership,
        change: impl FnOnce(Vec<Person>) -> Change,
    ) -> Result<Done, ControlError> {
        let people = self.people(&membership.people)?;
        self.change_group(&membership.chat, change(people)).await
    }

    pub(super) async fn change_group(
        &mut self,
        chat: &str,
        change: Change,
    ) -> Result<Done, ControlError> {
        let (_, jid) = self.chat(chat)?;
        let (owner, now) = (self.owner.clone(), self.now());
        let group = self.groups.get_mut(&jid);
        let group = group.ok_or_else(|| ControlError::NotAGroup {
            id: chat.to_owned(),
        })?;
        match group.change(change, &owner, now) {
            Some(event) => self
                .tell_of_change(&event)
                .await
                .map_err(|fault| broken(&fault)),
            None => Err(ControlError::Unfit {
                what: format!("nothing changes in {chat}: it is so already"),
            }),
        }
    }

    /// The journal and all linked devices learn of it; what they need not know, keys, is made
    /// anew.
    pub(super) async fn tell_of_change(&mut self, event: &GroupEvent) -> Result<Done, PhoneError> {
        let group = event.group.to_string();
        self.name_new_group(&group);
        let people: Vec<&str> = event.people.iter().map(Person::name).collect();
        let fields = [
            ("chat", Value::from(group.as_str())),
            ("change", Value::from(event.change)),
            ("people", Value::from(people)),
        ];
        let seq = self.write("whatsapp.group", fields);
        if event.rotates_keys {
            self.rotate_keys(&event.group).await?;
        }
        let done = Done {
            seq,
            ..Done::default()
        };
        let inside = self
            .group(&group)
            .is_some_and(|group| group.has(&self.owner));
        // Who is removed is told of that, and of nothing after it.
        if !inside && !event.people.contains(&self.owner) {
            return Ok(done);
        }
        let devices: Vec<u16> = self.companions.keys().copied().collect();
        for device in devices {
            let id = self.next_notification_id();
            self.post(device, Class::Notification, &id, event.notification(&id));
        }
        Ok(done)
    }

    /// A group that a client made is known by its JID.
    fn name_new_group(&self, jid: &str) {
        let named = self.directory().name(jid, &Chat::Group(jid.to_owned()));
        if !named {
            self.unexpected(format!("{jid} is the name of another chat"));
        }
    }

    async fn rotate_keys(&mut self, group: &Jid) -> Result<(), PhoneError> {
        let members = self.members(&Chat::Group(group.to_string()));
        for person in members {
            for (_, device) in self.phones_of(&person) {
                self.phone(&person, device)?
                    .rotate_sender_key(device, group.clone())
                    .await?;
            }
        }
        Ok(())
    }
}

fn group_jid(id: &str) -> Result<Jid, ControlError> {
    let digits = id.strip_suffix("@g.us").unwrap_or(id);
    let known = |letter: char| letter.is_ascii_digit() || letter == '-';
    if digits.is_empty() || !digits.chars().all(known) {
        let id = id.to_owned();
        return Err(ControlError::NotAGroup { id });
    }
    Ok(Jid::group(digits))
}
