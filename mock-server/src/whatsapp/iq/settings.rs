//! Settings that clients ask for when they log in: experiments, privacy, whom one has blocked.
//! Everything is as a new account has it.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use crate::whatsapp::stanza::Reader;

/// Which settings are asked for, or set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::whatsapp) enum SettingAsk {
    /// Experiments ("AB props"); every one is at its default.
    Experiments,
    /// The older kind of the same.
    Properties,
    Blocklist,
    Privacy,
    /// Tokens for those whom one trusts; without one, a stranger may not write first.
    Tokens,
}

/// What others see of an account: everything.
const PRIVACY: [&str; 7] = [
    "last",
    "online",
    "profile",
    "status",
    "groupadd",
    "calladd",
    "readreceipts",
];

impl SettingAsk {
    /// None: no settings of the mock.
    pub(super) fn read(namespace: &str, set: bool, reader: Reader<'_>) -> Option<Self> {
        match (namespace, set) {
            ("abt", false) => Some(Self::Experiments),
            ("w", false) if reader.maybe_child("props").is_some() => Some(Self::Properties),
            ("blocklist", false) => Some(Self::Blocklist),
            ("privacy", false) => Some(Self::Privacy),
            ("privacy", true) if reader.maybe_child("tokens").is_some() => Some(Self::Tokens),
            _ => None,
        }
    }

    pub(in crate::whatsapp) fn answer(self) -> Vec<Node> {
        match self {
            Self::Experiments => vec![
                NodeBuilder::new("props")
                    .attr("protocol", "1")
                    .attr("hash", "mock")
                    .attr("ab_key", "mock")
                    .attr("refresh", "86400")
                    .build(),
            ],
            Self::Properties => {
                let properties = NodeBuilder::new("props").attr("version", "1");
                vec![properties.attr("hash", "mock").build()]
            }
            Self::Blocklist => vec![NodeBuilder::new("list").build()],
            Self::Privacy => {
                let categories = PRIVACY.map(|name| {
                    let category = NodeBuilder::new("category").attr("name", name);
                    category.attr("value", "all").build()
                });
                vec![NodeBuilder::new("privacy").children(categories).build()]
            }
            Self::Tokens => Vec::new(),
        }
    }
}
