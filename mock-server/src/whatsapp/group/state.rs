//! One group as the server keeps it, and the metadata that clients get of it.
//!
//! Format: WhatsApp Web's `<group>`, as Baileys 7.0.0-rc14 and whatsapp-rust 0.7.0 read it.

use jiff::Timestamp;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use crate::whatsapp::controls::Addressing;
use crate::whatsapp::phone::Person;

/// A group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) id: Jid,
    pub(crate) subject: String,
    pub(crate) addressing: Addressing,
    /// In the order they came; nobody stands here twice.
    pub(crate) members: Vec<Member>,
    pub(crate) creator: Person,
    pub(crate) created: Timestamp,
    pub(super) subject_by: Person,
    pub(super) subject_at: Timestamp,
    /// After how many seconds messages disappear; None: never.
    pub(super) ephemeral: Option<u32>,
    pub(super) description: Option<Description>,
    /// Only admins may write.
    pub(super) announcement: bool,
    /// Only admins may change subject and description.
    pub(super) locked: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Description {
    pub(super) id: String,
    pub(super) text: String,
    pub(super) by: Person,
    pub(super) at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) person: Person,
    pub(crate) role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Member,
    Admin,
    /// Who made the group.
    SuperAdmin,
}

impl Role {
    fn word(self) -> Option<&'static str> {
        match self {
            Self::Member => None,
            Self::Admin => Some("admin"),
            Self::SuperAdmin => Some("superadmin"),
        }
    }
}

impl Group {
    /// Made by `creator`, who is in it with the others.
    pub(crate) fn new(
        id: Jid,
        subject: String,
        addressing: Addressing,
        people: (Person, Vec<Person>),
        created: Timestamp,
    ) -> Self {
        let (creator, others) = people;
        let mut group = Self {
            id,
            subject,
            addressing,
            members: vec![Member {
                person: creator.clone(),
                role: Role::SuperAdmin,
            }],
            subject_by: creator.clone(),
            creator,
            created,
            subject_at: created,
            ephemeral: None,
            description: None,
            announcement: false,
            locked: false,
        };
        for person in others {
            group.join(person);
        }
        group
    }

    pub(crate) fn member(&self, person: &Person) -> Option<&Member> {
        self.members.iter().find(|member| member.person == *person)
    }

    pub(crate) fn has(&self, person: &Person) -> bool {
        self.member(person).is_some()
    }

    /// Whether the person may write here: who is not in it may not, nor who is no admin where
    /// only admins do.
    pub(crate) fn lets_write(&self, person: &Person) -> bool {
        self.has(person) && (!self.announcement || self.is_admin(person))
    }

    pub(super) fn is_admin(&self, person: &Person) -> bool {
        self.member(person)
            .is_some_and(|member| member.role >= Role::Admin)
    }

    /// False: the person was in it already.
    pub(super) fn join(&mut self, person: Person) -> bool {
        let newcomer = !self.has(&person);
        if newcomer {
            self.members.push(Member {
                person,
                role: Role::Member,
            });
        }
        newcomer
    }

    /// As members of this group know the person.
    pub(crate) fn jid_of(&self, person: &Person) -> Jid {
        person.jid(self.addressing)
    }

    /// The value of `addressing_mode`.
    pub(crate) fn addressing_mode(&self) -> &'static str {
        match self.addressing {
            Addressing::Pn => "pn",
            Addressing::Lid => "lid",
        }
    }

    /// `<group>` with everything a client may ask for: subject, creator and times (seconds),
    /// settings, and a `<participant>` for each member.
    pub(crate) fn metadata(&self) -> Node {
        let mut node = NodeBuilder::new("group")
            .attr("id", self.id.user_base())
            .attr("subject", self.subject.as_str())
            .attr("s_t", self.subject_at.as_second().to_string())
            .attr("s_o", self.jid_of(&self.subject_by))
            .attr("creation", self.created.as_second().to_string())
            .attr("creator", self.jid_of(&self.creator))
            .attr("size", self.members.len().to_string())
            .attr("addressing_mode", self.addressing_mode());
        if self.addressing == Addressing::Lid {
            node = node
                .attr("creator_pn", self.creator.pn())
                .attr("s_o_pn", self.subject_by.pn());
        }
        let members = self.members.iter().map(|member| self.participant(member));
        node.children(members.chain(self.settings())).build()
    }

    /// `<participant>` as metadata and notifications have it: `jid` in the group's addressing,
    /// and the other number beside it.
    pub(super) fn participant(&self, member: &Member) -> Node {
        let Member { person, role } = member;
        let node = NodeBuilder::new("participant").attr("jid", self.jid_of(person));
        let node = match self.addressing {
            Addressing::Pn => node.attr("lid", person.lid()),
            Addressing::Lid => node.attr("phone_number", person.pn()),
        };
        match role.word() {
            Some(role) => node.attr("type", role).build(),
            None => node.build(),
        }
    }

    fn settings(&self) -> Vec<Node> {
        let mut settings = Vec::new();
        if let Some(seconds) = self.ephemeral {
            settings.push(
                NodeBuilder::new("ephemeral")
                    .attr("expiration", seconds)
                    .build(),
            );
        }
        if self.announcement {
            settings.push(NodeBuilder::new("announcement").build());
        }
        if self.locked {
            settings.push(NodeBuilder::new("locked").build());
        }
        settings.extend(
            self.description
                .as_ref()
                .map(|description| self.described(description)),
        );
        settings
    }

    pub(super) fn described(&self, description: &Description) -> Node {
        let body = NodeBuilder::new("body")
            .string_content(description.text.as_str())
            .build();
        NodeBuilder::new("description")
            .attr("id", description.id.as_str())
            .attr("participant", self.jid_of(&description.by))
            .attr("t", description.at.as_second().to_string())
            .children([body])
            .build()
    }
}
