//! What clients ask of groups: `<iq xmlns="w:g2">`, as Baileys 7.0.0-rc14 and whatsapp-rust
//! 0.7.0 send it. Invitations, approvals and communities are not read.

use wacore_binary::{Jid, Node, Server};

/// A request, addressed to a group or to all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GroupRequest {
    /// The metadata of one.
    Query(Jid),
    /// The metadata of all that the account is in.
    Participating,
    Create {
        subject: String,
        members: Vec<Jid>,
        ephemeral: Option<u32>,
    },
    Leave(Vec<Jid>),
    Members(Jid, MemberChange, Vec<Jid>),
    Subject(Jid, String),
    Description(Jid, String, Option<String>),
    Ephemeral(Jid, Option<u32>),
    Announcement(Jid, bool),
    Locked(Jid, bool),
}

/// What is to become of some members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemberChange {
    Add,
    Remove,
    Promote,
    Demote,
}

impl MemberChange {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Promote => "promote",
            Self::Demote => "demote",
        }
    }
}

impl GroupRequest {
    /// None: nothing that this mock knows; answer 501.
    pub(crate) fn read(iq: &Node) -> Option<Self> {
        let asked = iq.children()?.first()?;
        let to = iq.attrs.get("to")?.to_jid()?;
        let one_group = to.server == Server::Group && !to.user_base().is_empty();
        match iq.attrs.get("type")?.as_str().as_ref() {
            "get" if one_group => (asked.tag == "query").then_some(Self::Query(to)),
            "get" => (asked.tag == "participating").then_some(Self::Participating),
            "set" if one_group => Self::of_group(to, asked),
            "set" => Self::of_all(asked),
            _ => None,
        }
    }

    fn of_all(asked: &Node) -> Option<Self> {
        match asked.tag.as_ref() {
            "create" => Some(Self::Create {
                subject: text_attr(asked, "subject")?,
                members: participants(asked),
                ephemeral: asked.get_optional_child("ephemeral").and_then(expiration),
            }),
            "leave" => {
                let groups = asked.children()?.iter();
                let id = |group: &Node| group.attrs.get("id")?.to_jid();
                Some(Self::Leave(groups.filter_map(id).collect()))
            }
            _ => None,
        }
    }

    fn of_group(group: Jid, asked: &Node) -> Option<Self> {
        let members = |group, change| Some(Self::Members(group, change, participants(asked)));
        match asked.tag.as_ref() {
            "add" => members(group, MemberChange::Add),
            "remove" => members(group, MemberChange::Remove),
            "promote" => members(group, MemberChange::Promote),
            "demote" => members(group, MemberChange::Demote),
            "subject" => Some(Self::Subject(group, text(asked)?)),
            "description" => {
                let body = asked.get_optional_child("body").and_then(text);
                Some(Self::Description(
                    group,
                    text_attr(asked, "id").unwrap_or_default(),
                    body,
                ))
            }
            "ephemeral" => Some(Self::Ephemeral(group, expiration(asked))),
            "not_ephemeral" => Some(Self::Ephemeral(group, None)),
            "announcement" => Some(Self::Announcement(group, true)),
            "not_announcement" => Some(Self::Announcement(group, false)),
            "locked" => Some(Self::Locked(group, true)),
            "unlocked" => Some(Self::Locked(group, false)),
            _ => None,
        }
    }
}

fn participants(asked: &Node) -> Vec<Jid> {
    let named = asked.get_children_by_tag("participant");
    named
        .filter_map(|participant| participant.attrs.get("jid")?.to_jid())
        .collect()
}

fn expiration(node: &Node) -> Option<u32> {
    let seconds = node.attrs.get("expiration")?.as_str().parse().unwrap_or(0);
    (seconds > 0).then_some(seconds)
}

fn text_attr(node: &Node, name: &str) -> Option<String> {
    node.attrs
        .get(name)
        .map(|value| value.as_str().into_owned())
}

fn text(node: &Node) -> Option<String> {
    node.content_as_string().map(|text| text.to_string())
}
