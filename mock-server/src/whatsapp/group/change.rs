//! What may change in a group, and the `<notification type="w:gp2">` by which its members'
//! clients learn of it.

use jiff::Timestamp;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::state::{Description, Group, Role};
use crate::whatsapp::controls::Addressing;
use crate::whatsapp::phone::Person;

/// Something to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Add(Vec<Person>),
    /// Who removes themself leaves.
    Remove(Vec<Person>),
    Promote(Vec<Person>),
    Demote(Vec<Person>),
    Subject(String),
    /// Seconds after which messages disappear; None: they stay.
    Ephemeral(Option<u32>),
    /// The id that its author gave it, and the text; None: it is taken away.
    Description(String, Option<String>),
    /// Only admins may write.
    Announcement(bool),
    /// Only admins may change subject and description.
    Locked(bool),
}

/// Something that changed, to be told to the clients of the group's members.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GroupEvent {
    pub(crate) group: Jid,
    /// E.g. `add`; as the journal calls it.
    pub(crate) change: &'static str,
    /// Whom it is about; nobody, where it is about the group.
    pub(crate) people: Vec<Person>,
    /// Somebody left or was removed: sender keys must be made anew.
    pub(crate) rotates_keys: bool,
    by: Person,
    by_jid: Jid,
    addressing: (Addressing, &'static str),
    what: Node,
    at: Timestamp,
}

impl GroupEvent {
    /// The stanza, under that id.
    pub(crate) fn notification(&self, id: &str) -> Node {
        let (addressing, mode) = self.addressing;
        let node = NodeBuilder::new("notification")
            .attr("from", self.group.clone())
            .attr("type", "w:gp2")
            .attr("id", id)
            .attr("participant", self.by_jid.clone())
            .attr("t", self.at.as_second().to_string())
            .attr("notify", self.by.push_name())
            .attr("addressing_mode", mode);
        let node = match addressing {
            Addressing::Pn => node.attr("participant_lid", self.by.lid()),
            Addressing::Lid => node.attr("participant_pn", self.by.pn()),
        };
        node.children([self.what.clone()]).build()
    }

    fn new(
        group: &Group,
        (change, people): (&'static str, Vec<Person>),
        what: Node,
        by: &Person,
        at: Timestamp,
    ) -> Self {
        Self {
            group: group.id.clone(),
            change,
            people,
            rotates_keys: change == "remove",
            by: by.clone(),
            by_jid: group.jid_of(by),
            addressing: (group.addressing, group.addressing_mode()),
            what,
            at,
        }
    }
}

impl Group {
    /// The event that tells of a new group, or of one that the reader was added to.
    pub(crate) fn created(&self, by: &Person, at: Timestamp) -> GroupEvent {
        self.announced(NodeBuilder::new("create").attr("type", "new"), by, at)
    }

    fn announced(&self, create: NodeBuilder, by: &Person, at: Timestamp) -> GroupEvent {
        let people = self
            .members
            .iter()
            .map(|member| member.person.clone())
            .collect();
        let what = create.children([self.metadata()]).build();
        GroupEvent::new(self, ("create", people), what, by, at)
    }

    /// Does what of it is not so already, and says what changed. None: nothing did.
    pub(crate) fn change(
        &mut self,
        change: Change,
        by: &Person,
        at: Timestamp,
    ) -> Option<GroupEvent> {
        match change {
            Change::Add(people) => self.add(people, by, at),
            Change::Remove(people) => self.remove(&people, by, at),
            Change::Promote(people) => self.appoint(("promote", Role::Admin), &people, by, at),
            Change::Demote(people) => self.appoint(("demote", Role::Member), &people, by, at),
            Change::Subject(subject) => Some(self.retitle(subject, by, at)),
            Change::Ephemeral(after) => Some(self.set_ephemeral(after, by, at)),
            Change::Description(id, text) => Some(self.describe((id, text), by, at)),
            Change::Announcement(on) => {
                self.announcement = on;
                let word = if on {
                    "announcement"
                } else {
                    "not_announcement"
                };
                Some(self.switched(word, by, at))
            }
            Change::Locked(on) => {
                self.locked = on;
                Some(self.switched(if on { "locked" } else { "unlocked" }, by, at))
            }
        }
    }

    fn add(&mut self, people: Vec<Person>, by: &Person, at: Timestamp) -> Option<GroupEvent> {
        let mut newcomers = people;
        newcomers.retain(|person| self.join(person.clone()));
        if newcomers.iter().any(Person::is_owner) {
            // To whoever comes in, the group is new.
            let create = NodeBuilder::new("create")
                .attr("type", "new")
                .attr("reason", "invite");
            return Some(self.announced(create, by, at));
        }
        self.about("add", newcomers, by, at)
    }

    fn remove(&mut self, people: &[Person], by: &Person, at: Timestamp) -> Option<GroupEvent> {
        let gone: Vec<_> = self
            .members
            .iter()
            .filter(|member| people.contains(&member.person))
            .cloned()
            .collect();
        let nodes: Vec<_> = gone.iter().map(|member| self.participant(member)).collect();
        self.members
            .retain(|member| !people.contains(&member.person));
        let people: Vec<_> = gone.into_iter().map(|member| member.person).collect();
        if people.is_empty() {
            return None;
        }
        let what = NodeBuilder::new("remove").children(nodes).build();
        Some(GroupEvent::new(self, ("remove", people), what, by, at))
    }

    fn appoint(
        &mut self,
        (change, role): (&'static str, Role),
        people: &[Person],
        by: &Person,
        at: Timestamp,
    ) -> Option<GroupEvent> {
        let mut changed = Vec::new();
        for member in &mut self.members {
            let unmoved = member.role == role || member.role == Role::SuperAdmin;
            if people.contains(&member.person) && !unmoved {
                member.role = role;
                changed.push(member.person.clone());
            }
        }
        self.about(change, changed, by, at)
    }

    fn about(
        &self,
        change: &'static str,
        people: Vec<Person>,
        by: &Person,
        at: Timestamp,
    ) -> Option<GroupEvent> {
        if people.is_empty() {
            return None;
        }
        let members = people.iter().filter_map(|person| self.member(person));
        let nodes = members.map(|member| self.participant(member));
        let what = NodeBuilder::new(change).children(nodes).build();
        Some(GroupEvent::new(self, (change, people), what, by, at))
    }

    fn retitle(&mut self, subject: String, by: &Person, at: Timestamp) -> GroupEvent {
        self.subject = subject;
        self.subject_by = by.clone();
        self.subject_at = at;
        let what = NodeBuilder::new("subject")
            .attr("subject", self.subject.as_str())
            .attr("s_o", self.jid_of(by))
            .attr("s_t", at.as_second().to_string())
            .build();
        GroupEvent::new(self, ("subject", Vec::new()), what, by, at)
    }

    fn set_ephemeral(&mut self, after: Option<u32>, by: &Person, at: Timestamp) -> GroupEvent {
        self.ephemeral = after;
        let Some(seconds) = after else {
            return self.switched("not_ephemeral", by, at);
        };
        let what = NodeBuilder::new("ephemeral")
            .attr("expiration", seconds)
            .build();
        GroupEvent::new(self, ("ephemeral", Vec::new()), what, by, at)
    }

    fn describe(
        &mut self,
        (id, text): (String, Option<String>),
        by: &Person,
        at: Timestamp,
    ) -> GroupEvent {
        let gone = NodeBuilder::new("description").attr("id", id.as_str());
        self.description = text.map(|text| Description {
            id,
            text,
            by: by.clone(),
            at,
        });
        let what = match &self.description {
            Some(description) => self.described(description),
            None => gone.children([NodeBuilder::new("delete").build()]).build(),
        };
        GroupEvent::new(self, ("description", Vec::new()), what, by, at)
    }

    /// A setting that its name says all of.
    fn switched(&self, name: &'static str, by: &Person, at: Timestamp) -> GroupEvent {
        GroupEvent::new(
            self,
            (name, Vec::new()),
            NodeBuilder::new(name).build(),
            by,
            at,
        )
    }
}
