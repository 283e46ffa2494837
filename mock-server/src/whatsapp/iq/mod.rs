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
    LookUp(Usync),
    AppState(Vec<CollectionAsk>),
    Setting(SettingAsk),
    Ping,
    MediaConnection,
    Group,
    Link(LinkAsk),
    /// A device of the owner, mostly the one that asks, is to be unlinked.
    Unlink(Jid),
    /// What a new account has none of: pictures, and what is asked for in GraphQL.
    Absent,
    /// Something that needs no more than to be taken note of: which dirty marks a client has
    /// cleared, what it measured.
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
            "usync" => {
                let usync = Usync::read(reader.child("usync")?)?;
                return Ok(usync.map(Self::LookUp));
            }
            "w:sync:app:state" => Self::AppState(app_state::read(reader.child("sync")?)?),
            // whatsapp-rust pings without a word.
            "w:p" if ["", "ping"].contains(&what) => Self::Ping,
            "w:m" if what == "media_conn" => Self::MediaConnection,
            "w:g2" => Self::Group,
            "w:profile:picture" if !iq.set => Self::Absent,
            "w:mex" if !iq.set && what == "query" => Self::Absent,
            "urn:xmpp:whatsapp:dirty" if iq.set && what == "clean" => Self::Noted,
            "w:stats" if iq.set && what == "add" => Self::Noted,
            "passive" if what == "active" => Self::Activate,
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
