//! `usync`: what the server knows about people — their devices, their LID, whether they are on
//! WhatsApp at all.
//!
//! Format: WhatsApp Web, as Baileys 7.0.0-rc14 and whatsapp-rust 0.7.0 speak it.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use crate::whatsapp::stanza::{Malformed, Reader};

/// A look-up of some things about some people.
#[derive(Clone, Debug)]
pub(in crate::whatsapp) struct Usync {
    sid: String,
    mode: String,
    context: String,
    wanted: Vec<Protocol>,
    pub(in crate::whatsapp) people: Vec<Jid>,
}

/// What can be asked about a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Devices,
    Lid,
    /// Whether they are on WhatsApp at all.
    Contact,
}

impl Protocol {
    const ALL: [Self; 3] = [Self::Devices, Self::Lid, Self::Contact];

    fn tag(self) -> &'static str {
        match self {
            Self::Devices => "devices",
            Self::Lid => "lid",
            Self::Contact => "contact",
        }
    }
}

/// What the server knows about one person.
#[derive(Clone, Debug)]
pub(in crate::whatsapp) struct Known {
    pub(in crate::whatsapp) lid: Jid,
    /// The numbers of the devices; 0 is the phone.
    pub(in crate::whatsapp) devices: Vec<u16>,
    /// `ADVSignedKeyIndexList`, which vouches for the companions among them.
    pub(in crate::whatsapp) key_index_list: Vec<u8>,
}

impl Usync {
    /// None: something is asked for that the mock does not serve.
    pub(super) fn read(usync: Reader<'_>) -> Result<Option<Self>, Malformed> {
        let wanted = usync.child("query")?.all().map(|asked| {
            let mut known = Protocol::ALL.into_iter();
            known.find(|protocol| protocol.tag() == asked.tag())
        });
        let Some(wanted) = wanted.collect() else {
            return Ok(None);
        };
        let mut people = Vec::new();
        for user in usync.child("list")?.children("user") {
            people.push(Self::person(user)?);
        }
        Ok(Some(Self {
            sid: usync.text("sid")?,
            mode: usync.text("mode")?,
            context: usync.text("context")?,
            wanted,
            people,
        }))
    }

    /// By JID, or by a number as a person writes it.
    fn person(user: Reader<'_>) -> Result<Jid, Malformed> {
        if let Some(jid) = user.maybe_jid("jid")? {
            return Ok(jid);
        }
        let number = String::from_utf8_lossy(user.child("contact")?.bytes());
        Ok(Jid::pn(number.trim_start_matches('+')))
    }

    /// The answer, with `None` for people who are not on WhatsApp.
    pub(in crate::whatsapp) fn answer(&self, known: &[Option<Known>], t: u64) -> Node {
        let users = self.people.iter().zip(known);
        let users = users.map(|(jid, known)| self.user(jid, known.as_ref(), t));
        let list = NodeBuilder::new("list").children(users).build();
        let protocols = self.wanted.iter();
        let protocols = protocols.map(|protocol| NodeBuilder::new(protocol.tag()).build());
        let result = NodeBuilder::new("result").children(protocols).build();
        let usync = NodeBuilder::new("usync").attr("sid", self.sid.clone());
        let usync = usync
            .attr("mode", self.mode.clone())
            .attr("context", self.context.clone());
        let usync = usync.attr("index", "0").attr("last", "true");
        usync.children([result, list]).build()
    }

    fn user(&self, jid: &Jid, known: Option<&Known>, t: u64) -> Node {
        let user = NodeBuilder::new("user").attr("jid", jid.clone());
        let Some(known) = known else {
            let out = NodeBuilder::new("contact").attr("type", "out").build();
            return user.children([out]).build();
        };
        let protocols = self.wanted.iter();
        let protocols = protocols.map(|wanted| known.protocol(*wanted, t));
        user.children(protocols.collect::<Vec<_>>()).build()
    }
}

impl Known {
    fn protocol(&self, wanted: Protocol, t: u64) -> Node {
        match wanted {
            Protocol::Devices => self.devices(t),
            Protocol::Lid => NodeBuilder::new("lid")
                .attr("val", self.lid.clone())
                .build(),
            Protocol::Contact => NodeBuilder::new("contact").attr("type", "in").build(),
        }
    }

    fn devices(&self, t: u64) -> Node {
        let devices = self.devices.iter().map(|number| {
            let device = NodeBuilder::new("device").attr("id", number.to_string());
            match number {
                0 => device.build(),
                companion => device.attr("key-index", companion.to_string()).build(),
            }
        });
        let mut children = vec![NodeBuilder::new("device-list").children(devices).build()];
        if self.devices.len() > 1 {
            let list = NodeBuilder::new("key-index-list").attr("ts", t.to_string());
            children.push(list.bytes(self.key_index_list.clone()).build());
        }
        NodeBuilder::new("devices").children(children).build()
    }
}
