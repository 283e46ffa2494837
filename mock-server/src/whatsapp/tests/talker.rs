//! A linked device that is driven by hand and encrypts what it sends: its keys and sessions are
//! those of a phone.

use std::collections::VecDeque;

use tokio::task::JoinSet;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, NodeContent};
use waproto::whatsapp as wa;

use super::attribute;
use super::hand::{Hand, Keys};
use crate::MockServer;
use crate::whatsapp::message::device_sent;
use crate::whatsapp::phone::{
    Cipher, DeviceAddress, Envelope, GroupLetter, KeyBundle, Letter, OWNER, Person, PhoneHandle,
    Sealed, Seed,
};
use crate::whatsapp::{Base64, LinkedAccount, OneTimePrekey};

/// A device of a person.
pub(super) type Reader = (&'static str, u16);

pub(super) struct Talker {
    pub(super) hand: Hand,
    phone: PhoneHandle,
    number: u16,
    /// What came while something else was waited for.
    came: VecDeque<Node>,
    _tasks: JoinSet<()>,
}

impl Talker {
    /// Linked as the owner's device of that number, logged in, and open for what comes.
    pub(super) async fn joins(mock: &MockServer, number: u16) -> Self {
        let mut tasks = JoinSet::new();
        let seed = Seed::of_scenario(9);
        let owner = Person::named(OWNER);
        let phone = PhoneHandle::switch_on(owner, &seed, &[number], &mut tasks).unwrap();
        let keys = Keys::made(number.into());
        let account = account(&keys, number, &phone).await;
        mock.whatsapp().link(account).await.unwrap();
        let leaf = mock.whatsapp().certificate().leaf;
        let url = mock.whatsapp().socket_url();
        let mut hand = Hand::resumes(&url, &keys, leaf, keys.login(number.into())).await;
        assert_eq!(hand.next().await.tag, "success");
        hand.activates().await;
        let came = VecDeque::new();
        Self {
            hand,
            phone,
            number,
            came,
            _tasks: tasks,
        }
    }

    /// Writes to a person, sealed for these devices.
    pub(super) async fn writes(&mut self, id: &str, to: &Jid, readers: &[Reader]) {
        let mut letters = Vec::new();
        for (name, device) in readers {
            let person = Person::named(name);
            let message = match person.is_owner() {
                true => device_sent(text(id), to.to_string()),
                false => text(id),
            };
            let sealed = self.seal(&person, *device, message).await;
            let jid = if to.is_lid() {
                person.lid()
            } else {
                person.pn()
            };
            letters.push(letter(jid.with_device(*device), &sealed));
        }
        let message = sent(id, to).children([participants(letters)]).build();
        self.hand.send(&message).await;
    }

    /// Writes in a group; who of these devices lacks the key gets it beside the text.
    pub(super) async fn writes_in(
        &mut self,
        id: &str,
        group: &Jid,
        readers: &[Reader],
        phash: Option<&str>,
    ) {
        let mut sealed_for = Vec::new();
        for (name, device) in readers {
            let pn = Person::named(name).pn();
            let bundle = self.bundle_of(&pn.with_device(*device)).await;
            sealed_for.push((DeviceAddress::of(&pn, *device), bundle));
        }
        let letter_to_all = GroupLetter {
            group: group.clone(),
            readers: sealed_for,
            message: text(id),
        };
        let sealed = self
            .phone
            .seal_for_group(self.number, letter_to_all)
            .await
            .unwrap();
        let keys = sealed.keys.iter();
        let keys = keys.map(|(reader, key)| letter(reader.as_str().parse().unwrap(), key));
        let message = sent(id, group);
        let message = match phash {
            Some(phash) => message.attr("phash", phash.to_owned()),
            None => message,
        };
        let children = [participants(keys.collect()), sealed.message.node()];
        self.hand.send(&message.children(children).build()).await;
    }

    /// Sends the text again to one who asked for it, under the keys that came with the asking.
    pub(super) async fn writes_again(&mut self, asking: &Node, person: &str) {
        let id = attribute(asking, "id");
        let person = Person::named(person);
        let group: Option<Jid> = Some(attribute(asking, "from").parse().unwrap());
        let group = group.filter(|from| from.server == wacore_binary::Server::Group);
        let again = Letter {
            reader: DeviceAddress::of(&person.pn(), 0),
            bundle: KeyBundle::of_retry(asking).unwrap(),
            group: group.clone(),
            message: text(&id),
        };
        let sealed = self.phone.seal(self.number, again).await.unwrap();
        let to = group.unwrap_or_else(|| person.pn());
        let message = sent(&id, &to).attr("participant", person.pn());
        self.hand
            .send(&message.children([sealed.node()]).build())
            .await;
    }

    /// Tells the owner's phone something that only the owner's devices need know.
    pub(super) async fn tells_phone(&mut self, id: &str, message: wa::Message) {
        let owner = Person::named(OWNER);
        let sealed = self.seal(&owner, 0, message).await;
        let node = sent(id, &owner.pn()).attr("category", "peer");
        self.hand
            .send(&node.children([sealed.node()]).build())
            .await;
    }

    /// Opens what another device of the owner sent.
    pub(super) async fn opens(&self, message: &Node, from: u16, group: Option<&Jid>) -> String {
        let sender = DeviceAddress::of(&Person::named(OWNER).pn(), from);
        let mut heard = None;
        for enc in message.get_children_by_tag("enc") {
            let sealed = Sealed {
                cipher: Cipher::read(&attribute(enc, "type")).unwrap(),
                bytes: bytes(enc),
            };
            let envelope = Envelope {
                sender: sender.clone(),
                group: group.cloned(),
                sealed,
            };
            let opened = self.phone.open(self.number, envelope).await.unwrap();
            let inner = opened.device_sent_message.as_option();
            let inner = inner.and_then(|sent| sent.message.as_option());
            let own = opened.conversation.clone();
            heard = own.or_else(|| inner.and_then(|inner| inner.conversation.clone()));
        }
        heard.unwrap_or_default()
    }

    /// The next stanza of that kind; what else comes is kept.
    pub(super) async fn next(&mut self, tag: &str) -> Node {
        if let Some(at) = self.came.iter().position(|node| node.tag == tag) {
            return self.came.remove(at).unwrap();
        }
        loop {
            let node = self.hand.next().await;
            if node.tag == tag {
                return node;
            }
            self.came.push_back(node);
        }
    }

    pub(super) async fn asks(&mut self, node: Node) -> Node {
        self.hand.send(&node).await;
        self.next("iq").await
    }

    async fn seal(&mut self, person: &Person, device: u16, message: wa::Message) -> Sealed {
        let jid = person.pn().with_device(device);
        let bundle = self.bundle_of(&jid).await;
        let letter = Letter {
            reader: DeviceAddress::of(&person.pn(), device),
            bundle,
            group: None,
            message,
        };
        self.phone.seal(self.number, letter).await.unwrap()
    }

    /// None: there is a session already.
    async fn bundle_of(&mut self, jid: &Jid) -> Option<KeyBundle> {
        let reader = DeviceAddress::of(&jid.to_non_ad(), jid.device);
        let strangers = self.phone.strangers(self.number, vec![reader]).await;
        if strangers.unwrap().is_empty() {
            return None;
        }
        let user = NodeBuilder::new("user").attr("jid", jid.clone()).build();
        let key = NodeBuilder::new("key").children([user]).build();
        let ask = NodeBuilder::new("iq")
            .attr("id", "keys")
            .attr("type", "get");
        let ask = ask.attr("xmlns", "encrypt").children([key]).build();
        let answer = self.asks(ask).await;
        let list = answer.get_optional_child("list").unwrap();
        let user = list.get_optional_child("user").unwrap();
        let keys = NodeBuilder::new("keys").children(user.children().unwrap().to_vec());
        let registration = user.get_optional_child("registration").unwrap().clone();
        let receipt = NodeBuilder::new("receipt").children([registration, keys.build()]);
        KeyBundle::of_retry(&receipt.build()).unwrap()
    }
}

async fn account(keys: &Keys, number: u16, phone: &PhoneHandle) -> LinkedAccount {
    let bundle = phone.bundle(number).await.unwrap();
    let mut account = keys.account(number);
    account.registration_id = bundle.registration_id;
    account.identity_key = Base64(bundle.identity.to_vec());
    account.signed_prekey.id = bundle.signed.id;
    account.signed_prekey.key = Base64(bundle.signed.key.to_vec());
    account.signed_prekey.signature = Base64(bundle.signed.signature.to_vec());
    let one_time = bundle.one_time.unwrap();
    account.prekeys = vec![OneTimePrekey {
        id: one_time.id,
        key: Base64(one_time.key.to_vec()),
    }];
    account.device_identity = Base64(bundle.device_identity.unwrap());
    account
}

/// A message whose text is its id.
fn text(id: &str) -> wa::Message {
    wa::Message {
        conversation: Some(id.to_owned()),
        ..wa::Message::default()
    }
}

fn sent(id: &str, to: &Jid) -> NodeBuilder {
    let node = NodeBuilder::new("message").attr("id", id.to_owned());
    node.attr("to", to.clone()).attr("type", "text")
}

fn letter(to: Jid, sealed: &Sealed) -> Node {
    let node = NodeBuilder::new("to").attr("jid", to);
    node.children([sealed.node()]).build()
}

fn participants(letters: Vec<Node>) -> Node {
    NodeBuilder::new("participants").children(letters).build()
}

fn bytes(enc: &Node) -> Vec<u8> {
    match &enc.content {
        Some(NodeContent::Bytes(bytes)) => bytes.to_vec(),
        other => panic!("no bytes: {other:?}"),
    }
}
