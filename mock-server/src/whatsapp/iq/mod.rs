//! What clients ask the server for: each request is read into a type here, and what an answer
//! looks like stands beside it. Who answers with what is the exchange's.

pub(super) mod app_state;
pub(super) mod keys;
pub(super) mod settings;
pub(super) mod usync;

use wacore_binary::Jid;

use super::pairing::LinkAsk;
use super::stanza::{Iq, Malformed, Reader};
use app_state::CollectionAsk;
use keys::{KeyUpload, KeyWish};
use settings::SettingAsk;
use usync::Usync;

/// A request that the mock serves.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    /// How many one-time prekeys the server has left.
    CountKeys,
    UploadKeys(Box<KeyUpload>),
    DigestKeys,
    FetchKeys(Vec<KeyWish>),
    /// A new signed prekey.
    RotateKey(super::phone::SignedKey),
    /// The device takes what waits for it.
    Activate,
    /// It takes nothing for now.
    Deactivate,
    LookUp(Usync),
    AppState(Vec<CollectionAsk>),
    Setting(SettingAsk),
    Ping,
    MediaConnection,
    Group,
    Link(LinkAsk),
    /// A device of the owner, mostly the one that asks, is to be unlinked.
    Unlink(Jid),
    /// A person's picture; nobody has one.
    Picture,
    /// Something that is taken note of, and answered with nothing.
    Noted,
}

impl Ask {
    /// None: nothing that the mock serves.
    ///
    /// # Errors
    /// It is served, but lacks what it must have.
    pub(super) fn read(iq: &Iq) -> Result<Option<Self>, Malformed> {
        let reader = Reader::new(&iq.node);
        let first = reader.all().next();
        let what = first.map_or("", Reader::tag);
        let ask = match iq.namespace.as_str() {
            "encrypt" => return keys::read(iq.set, what, reader),
            "md" => return Self::linking(what, reader),
            "usync" => Self::LookUp(Usync::read(reader.child("usync")?)?),
            "w:sync:app:state" => Self::AppState(app_state::read(reader.child("sync")?)?),
            "w:p" | "urn:xmpp:ping" => Self::Ping,
            "w:m" => Self::MediaConnection,
            "w:g2" => Self::Group,
            "w:profile:picture" if !iq.set => Self::Picture,
            "passive" if what == "active" => Self::Activate,
            "passive" if what == "passive" => Self::Deactivate,
            // What a client measured, which dirty marks it has cleared, what it agreed to.
            "w:stats" | "urn:xmpp:whatsapp:dirty" | "tos" => Self::Noted,
            // Baileys pings without a namespace.
            "" if what == "ping" => Self::Ping,
            namespace => {
                let setting = SettingAsk::read(namespace, iq.set, reader);
                return Ok(setting.map(Self::Setting));
            }
        };
        Ok(Some(ask))
    }

    fn linking(what: &str, reader: Reader<'_>) -> Result<Option<Self>, Malformed> {
        match what {
            "link_code_companion_reg" => {
                let ask = LinkAsk::read(reader.child("link_code_companion_reg")?)?;
                Ok(Some(Self::Link(ask)))
            }
            "remove-companion-device" => {
                let device = reader.child("remove-companion-device")?;
                Ok(Some(Self::Unlink(device.jid("jid")?)))
            }
            _ => Ok(None),
        }
    }
}
