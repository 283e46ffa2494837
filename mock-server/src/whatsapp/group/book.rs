//! All groups, and the server's answers about them. Clients act for the account that they are
//! linked to; what an admin alone may do is refused to others, as the real server does.

use std::collections::BTreeMap;

use jiff::Timestamp;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::change::{Change, GroupEvent};
use super::request::{GroupRequest, MemberChange};
use super::state::Group;
use crate::whatsapp::controls::Addressing;
use crate::whatsapp::phone::Person;

/// The groups, by JID.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupBook {
    groups: BTreeMap<String, Group>,
    made: u64,
}

/// What a client is answered, and what changed by it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct GroupAnswer {
    /// The content of the `<iq type="result">`.
    pub(crate) content: Vec<Node>,
    pub(crate) events: Vec<GroupEvent>,
}

/// What a client is refused with: the `code` and `text` of `<error>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GroupFault {
    Unknown,
    Forbidden,
}

impl GroupFault {
    pub(crate) fn code(self) -> (u16, &'static str) {
        match self {
            Self::Unknown => (404, "item-not-found"),
            Self::Forbidden => (403, "forbidden"),
        }
    }
}

/// On whose behalf, when, and who is behind a JID.
pub(crate) struct Asking<'a> {
    pub(crate) by: &'a Person,
    pub(crate) at: Timestamp,
    pub(crate) person_at: &'a dyn Fn(&Jid) -> Option<Person>,
}

impl std::fmt::Debug for Asking<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asking")
            .field("by", &self.by)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl GroupBook {
    pub(crate) fn get(&self, group: &Jid) -> Option<&Group> {
        self.groups.get(&group.to_string())
    }

    pub(crate) fn get_mut(&mut self, group: &Jid) -> Option<&mut Group> {
        self.groups.get_mut(&group.to_string())
    }

    /// In the order of their ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    /// Keeps a group, in place of one with the same id.
    pub(crate) fn insert(&mut self, group: Group) {
        self.groups.insert(group.id.to_string(), group);
    }

    /// Answers a client.
    ///
    /// # Errors
    /// There is no such group, or it is not for this account to do.
    pub(crate) fn answer(
        &mut self,
        request: GroupRequest,
        asking: &Asking<'_>,
    ) -> Result<GroupAnswer, GroupFault> {
        match request {
            GroupRequest::Query(group) => {
                let group = self
                    .groups
                    .get(&group.to_string())
                    .ok_or(GroupFault::Unknown)?;
                // Who is not in it learns nothing.
                let known = group.has(asking.by).then(|| group.metadata());
                Ok(only(vec![known.ok_or(GroupFault::Forbidden)?]))
            }
            GroupRequest::Participating => {
                let own = self.groups.values().filter(|group| group.has(asking.by));
                let groups = NodeBuilder::new("groups").children(own.map(Group::metadata));
                Ok(only(vec![groups.build()]))
            }
            GroupRequest::Create {
                subject,
                members,
                ephemeral,
            } => Ok(self.create(subject, &members, ephemeral, asking)),
            GroupRequest::Leave(groups) => Ok(self.leave(&groups, asking)),
            GroupRequest::Members(group, change, jids) => {
                self.members(&group, change, &jids, asking)
            }
            GroupRequest::Subject(group, to) => self.set(&group, Change::Subject(to), asking),
            GroupRequest::Description(group, id, text) => {
                self.set(&group, Change::Description(id, text), asking)
            }
            GroupRequest::Ephemeral(group, after) => {
                self.set(&group, Change::Ephemeral(after), asking)
            }
            GroupRequest::Announcement(group, on) => {
                self.set(&group, Change::Announcement(on), asking)
            }
            GroupRequest::Locked(group, on) => self.set(&group, Change::Locked(on), asking),
        }
    }

    fn create(
        &mut self,
        subject: String,
        members: &[Jid],
        ephemeral: Option<u32>,
        asking: &Asking<'_>,
    ) -> GroupAnswer {
        let id = self.unused_id();
        let addressing = if members.iter().any(Jid::is_lid) {
            Addressing::Lid
        } else {
            Addressing::Pn
        };
        let people = members
            .iter()
            .filter_map(|jid| (asking.person_at)(jid))
            .collect();
        let mut group = Group::new(
            id,
            subject,
            addressing,
            (asking.by.clone(), people),
            asking.at,
        );
        group.ephemeral = ephemeral;
        let event = group.created(asking.by, asking.at);
        let content = vec![group.metadata()];
        self.insert(group);
        GroupAnswer {
            content,
            events: vec![event],
        }
    }

    /// Above the ids that stages choose, and none that is taken.
    fn unused_id(&mut self) -> Jid {
        loop {
            self.made += 1;
            let id = Jid::group(format!("1203639{:011}", self.made));
            if self.get(&id).is_none() {
                return id;
            }
        }
    }

    fn leave(&mut self, groups: &[Jid], asking: &Asking<'_>) -> GroupAnswer {
        let mut left = Vec::new();
        let mut events = Vec::new();
        for jid in groups {
            let node = NodeBuilder::new("group").attr("id", jid.clone());
            let gone = Change::Remove(vec![asking.by.clone()]);
            let event = self
                .get_mut(jid)
                .and_then(|group| group.change(gone, asking.by, asking.at));
            let node = if event.is_some() {
                node
            } else {
                node.attr("error", "404")
            };
            left.push(node.build());
            events.extend(event);
        }
        let content = vec![NodeBuilder::new("leave").children(left).build()];
        GroupAnswer { content, events }
    }

    fn members(
        &mut self,
        group: &Jid,
        change: MemberChange,
        jids: &[Jid],
        asking: &Asking<'_>,
    ) -> Result<GroupAnswer, GroupFault> {
        let group = self.administered(group, asking.by)?;
        let mut results = Vec::new();
        let mut people = Vec::new();
        for jid in jids {
            let node = NodeBuilder::new("participant").attr("jid", jid.clone());
            let person = (asking.person_at)(jid);
            let refused = refusal(group, change, person.as_ref());
            results.push(match refused {
                Some(code) => node.attr("error", code).build(),
                None => node.build(),
            });
            people.extend(person.filter(|_| refused.is_none()));
        }
        let changed = match change {
            MemberChange::Add => Change::Add(people),
            MemberChange::Remove => Change::Remove(people),
            MemberChange::Promote => Change::Promote(people),
            MemberChange::Demote => Change::Demote(people),
        };
        let event = group.change(changed, asking.by, asking.at);
        let content = vec![NodeBuilder::new(change.word()).children(results).build()];
        Ok(GroupAnswer {
            content,
            events: event.into_iter().collect(),
        })
    }

    fn set(
        &mut self,
        group: &Jid,
        change: Change,
        asking: &Asking<'_>,
    ) -> Result<GroupAnswer, GroupFault> {
        let group = self.administered(group, asking.by)?;
        let event = group.change(change, asking.by, asking.at);
        Ok(GroupAnswer {
            content: Vec::new(),
            events: event.into_iter().collect(),
        })
    }

    fn administered(&mut self, group: &Jid, by: &Person) -> Result<&mut Group, GroupFault> {
        let group = self.get_mut(group).ok_or(GroupFault::Unknown)?;
        if group.is_admin(by) {
            Ok(group)
        } else {
            Err(GroupFault::Forbidden)
        }
    }
}

/// The `error` of a participant: 404 who has no account or is not in the group, 409 who is
/// in it already.
fn refusal(group: &Group, change: MemberChange, person: Option<&Person>) -> Option<&'static str> {
    let Some(person) = person else {
        return Some("404");
    };
    match change {
        MemberChange::Add => group.has(person).then_some("409"),
        MemberChange::Remove | MemberChange::Promote | MemberChange::Demote => {
            (!group.has(person)).then_some("404")
        }
    }
}

fn only(content: Vec<Node>) -> GroupAnswer {
    GroupAnswer {
        content,
        events: Vec::new(),
    }
}
