//! Requests as clients send them, and what the clients' own parsers make of the answers.

use jiff::Timestamp;
use wacore::stanza::groups::{GroupNotification, GroupNotificationAction};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::book::{GroupAnswer, GroupFault};
use super::state::Role;
use super::{Asking, Change, Group, GroupBook, GroupRequest};
use crate::whatsapp::controls::Addressing;
use crate::whatsapp::phone::Person;

const ID: &str = "120363000000000001@g.us";
const AT: Timestamp = Timestamp::UNIX_EPOCH;

fn person(name: &str) -> Person {
    Person::named(name)
}

fn id() -> Jid {
    ID.parse().unwrap()
}

/// The owner's group, with ada in it.
fn book(addressing: Addressing) -> GroupBook {
    let people = (person("owner"), vec![person("ada")]);
    let mut book = GroupBook::default();
    book.insert(Group::new(
        id(),
        "Family".to_owned(),
        addressing,
        people,
        AT,
    ));
    book
}

fn iq(kind: &'static str, to: &str, asked: Node) -> Node {
    NodeBuilder::new("iq")
        .attr("xmlns", "w:g2")
        .attr("type", kind)
        .attr("to", to)
        .children([asked])
        .build()
}

fn about(tag: &'static str, names: &[&str]) -> Node {
    let named = names.iter().map(|name| {
        NodeBuilder::new("participant")
            .attr("jid", person(name).pn())
            .build()
    });
    NodeBuilder::new(tag).children(named).build()
}

fn ask(book: &mut GroupBook, by: &str, iq: &Node) -> Result<GroupAnswer, GroupFault> {
    let known = ["owner", "ada", "bob", "cleo"].map(person);
    let person_at = |jid: &Jid| known.iter().find(|person| person.is_at(jid)).cloned();
    let by = person(by);
    let request = GroupRequest::read(iq).expect("a request that is known");
    book.answer(
        request,
        &Asking {
            by: &by,
            at: AT,
            person_at: &person_at,
        },
    )
}

fn names(group: &Group) -> Vec<(&str, Role)> {
    group
        .members
        .iter()
        .map(|member| (member.person.name(), member.role))
        .collect()
}

#[test]
fn metadata_gives_each_member_both_numbers() {
    for (addressing, own, other) in [
        (Addressing::Pn, "jid", "lid"),
        (Addressing::Lid, "phone_number", "jid"),
    ] {
        let mut book = book(addressing);
        let query = iq(
            "get",
            ID,
            NodeBuilder::new("query")
                .attr("request", "interactive")
                .build(),
        );
        let answer = ask(&mut book, "owner", &query).unwrap();
        let ada = answer.content[0].children().unwrap()[1].clone();
        assert!(ada.attrs.get(own).unwrap() == person("ada").pn().to_string().as_str());
        assert!(ada.attrs.get(other).unwrap() == person("ada").lid().to_string().as_str());
    }
}

#[test]
fn a_client_changes_its_members_and_all_are_told() {
    let mut book = book(Addressing::Pn);
    let added = ask(
        &mut book,
        "owner",
        &iq("set", ID, about("add", &["bob", "ada"])),
    )
    .unwrap();
    assert_eq!(added.events[0].people, [person("bob")]);
    let results = added.content[0].children().unwrap();
    assert!(results[0].attrs.get("error").is_none());
    assert!(results[1].attrs.get("error").unwrap() == "409");
    ask(
        &mut book,
        "owner",
        &iq("set", ID, about("promote", &["bob"])),
    )
    .unwrap();
    let gone = ask(
        &mut book,
        "owner",
        &iq("set", ID, about("remove", &["ada"])),
    )
    .unwrap();
    assert!(gone.events[0].rotates_keys);
    let group = book.get(&id()).unwrap();
    assert_eq!(
        names(group),
        [("owner", Role::SuperAdmin), ("bob", Role::Admin)]
    );
}

#[test]
fn only_members_ask_and_only_admins_change() {
    let mut book = book(Addressing::Pn);
    let query = iq("get", ID, NodeBuilder::new("query").build());
    let unknown = iq("get", "1@g.us", NodeBuilder::new("query").build());
    assert_eq!(ask(&mut book, "owner", &unknown), Err(GroupFault::Unknown));
    assert_eq!(ask(&mut book, "bob", &query), Err(GroupFault::Forbidden));
    let rename = iq(
        "set",
        ID,
        NodeBuilder::new("subject").string_content("Ours").build(),
    );
    assert_eq!(ask(&mut book, "ada", &rename), Err(GroupFault::Forbidden));
    ask(&mut book, "owner", &rename).unwrap();
    assert_eq!(book.get(&id()).unwrap().subject, "Ours");
}

#[test]
fn a_client_makes_a_group_lists_it_and_leaves_it() {
    let mut book = book(Addressing::Pn);
    let named = about("create", &["bob"]);
    let create = Node {
        attrs: [("subject", "New")].into_iter().collect_attrs(),
        ..named
    };
    let made = ask(&mut book, "owner", &iq("set", "@g.us", create)).unwrap();
    assert_eq!(made.events[0].change, "create");
    let all = iq("get", "@g.us", NodeBuilder::new("participating").build());
    let listed = ask(&mut book, "owner", &all).unwrap();
    assert_eq!(listed.content[0].children().unwrap().len(), 2);
    let group = NodeBuilder::new("group")
        .attr("id", made.events[0].group.clone())
        .build();
    let leave = iq(
        "set",
        "@g.us",
        NodeBuilder::new("leave").children([group]).build(),
    );
    let left = ask(&mut book, "owner", &leave).unwrap();
    assert_eq!(
        (left.events[0].change, &left.events[0].people),
        ("remove", &vec![person("owner")])
    );
    let listed = ask(&mut book, "owner", &all).unwrap();
    assert_eq!(listed.content[0].children().unwrap().len(), 1);
}

trait CollectAttrs {
    fn collect_attrs(self) -> wacore_binary::node::Attrs;
}

impl<I: Iterator<Item = (&'static str, &'static str)>> CollectAttrs for I {
    fn collect_attrs(self) -> wacore_binary::node::Attrs {
        let mut attrs = wacore_binary::node::Attrs::new();
        for (name, value) in self {
            attrs.insert(name, value);
        }
        attrs
    }
}

/// The client reads the notification of a change as that action.
fn told(change: Change) -> (GroupNotification, &'static str) {
    let mut book = book(Addressing::Lid);
    let event = book
        .get_mut(&id())
        .unwrap()
        .change(change, &person("owner"), AT)
        .unwrap();
    let node = event.notification("N1");
    (
        GroupNotification::try_from_node_ref(&node.as_node_ref()).unwrap(),
        event.change,
    )
}

#[test]
fn clients_understand_every_notification() {
    use GroupNotificationAction as Action;
    let (notification, _) = told(Change::Add(vec![person("bob")]));
    assert_eq!(notification.participant, Some(person("owner").lid()));
    assert_eq!(notification.participant_pn, Some(person("owner").pn()));
    let Action::Add { participants, .. } = &notification.actions[0] else {
        panic!("no add")
    };
    assert_eq!(participants[0].jid, person("bob").lid());
    assert_eq!(participants[0].phone_number, Some(person("bob").pn()));
    let cases = [
        (Change::Remove(vec![person("ada")]), "remove"),
        (Change::Promote(vec![person("ada")]), "promote"),
        (Change::Subject("Ours".to_owned()), "subject"),
        (Change::Ephemeral(Some(60)), "ephemeral"),
        (Change::Ephemeral(None), "not_ephemeral"),
        (
            Change::Description("D".to_owned(), Some("we".to_owned())),
            "description",
        ),
        (Change::Announcement(true), "announcement"),
        (Change::Locked(false), "unlocked"),
    ];
    for (change, word) in cases {
        let (notification, seen) = told(change);
        assert_eq!(seen, word);
        assert!(
            !matches!(notification.actions[0], Action::Unknown { .. }),
            "{word}"
        );
    }
}

#[test]
fn who_comes_in_hears_of_the_whole_group() {
    let mut book = book(Addressing::Pn);
    let group = book.get_mut(&id()).unwrap();
    group
        .change(Change::Remove(vec![person("owner")]), &person("ada"), AT)
        .unwrap();
    let event = group
        .change(Change::Add(vec![person("owner")]), &person("ada"), AT)
        .unwrap();
    assert_eq!(event.change, "create");
}

#[test]
fn what_is_so_already_changes_nothing() {
    let mut book = book(Addressing::Pn);
    let group = book.get_mut(&id()).unwrap();
    for change in [
        Change::Add(vec![person("ada")]),
        Change::Remove(vec![person("bob")]),
        Change::Demote(vec![person("ada"), person("owner")]),
    ] {
        assert_eq!(group.change(change, &person("owner"), AT), None);
    }
}
