//! One version of a workspace, as it stands in the store:
//! `<prefix>/<folder>/manifests/<ten digits>.json`, written once, after all it names, and never
//! changed. Our own format; the version counts from 1.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::entry::{Entries, Sha256Hex};
use crate::ids::{ChatJid, GroupFolder, SessionId};
use crate::store::{Group, NewGroup, TriggerRule};

/// The only format there is so far.
const FORMAT: u32 = 1;

/// What makes a group go on elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    format: u32,
    pub version: u64,
    pub released_at: Timestamp,
    /// Of all that follows: two writers with the same to say have said the same.
    pub digest: Sha256Hex,
    pub group: Registration,
    pub session: Option<SessionId>,
    pub entries: Entries,
}

/// How the group is registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Registration {
    pub folder: GroupFolder,
    pub chat: ChatJid,
    pub name: String,
    /// What messages must begin with; none: the assistant's name.
    pub trigger: Option<String>,
    pub requires_trigger: bool,
}

/// What a version says, before it is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub group: Registration,
    pub session: Option<SessionId>,
    pub entries: Entries,
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("it is not a manifest")]
    Json(#[from] serde_json::Error),
    #[error("it has format {0}, which a newer nanokimi writes; run that version")]
    Newer(u32),
    #[error("it does not say what its digest was made of")]
    Digest,
    #[error("it is of `{0}`")]
    OtherGroup(GroupFolder),
}

impl Manifest {
    pub(crate) fn new(
        content: Content,
        version: u64,
        released_at: Timestamp,
    ) -> Result<Self, ManifestError> {
        Ok(Self {
            format: FORMAT,
            version,
            released_at,
            digest: content.digest()?,
            group: content.group,
            session: content.session,
            entries: content.entries,
        })
    }

    pub(crate) fn read(bytes: &[u8], folder: &GroupFolder) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let Format { format } = serde_json::from_slice(bytes)?;
        if format != FORMAT {
            return Err(ManifestError::Newer(format));
        }
        let manifest: Self = serde_json::from_slice(bytes)?;
        let content = manifest.content();
        if content.digest()? != manifest.digest {
            return Err(ManifestError::Digest);
        }
        if manifest.group.folder != *folder {
            return Err(ManifestError::OtherGroup(manifest.group.folder));
        }
        Ok(manifest)
    }

    pub(crate) fn content(&self) -> Content {
        Content {
            group: self.group.clone(),
            session: self.session.clone(),
            entries: self.entries.clone(),
        }
    }

    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, ManifestError> {
        Ok(serde_json::to_vec(self)?)
    }
}

impl Content {
    pub(crate) fn digest(&self) -> Result<Sha256Hex, ManifestError> {
        let said = (&self.group, &self.session, &self.entries);
        let text = serde_json::to_vec(&said)?;
        Ok(Sha256Hex::of_digest(&Sha256::digest(&text)))
    }
}

impl From<&Group> for Registration {
    fn from(group: &Group) -> Self {
        let (trigger, requires_trigger) = match &group.trigger {
            TriggerRule::Always => (None, false),
            TriggerRule::AssistantName => (None, true),
            TriggerRule::Word(word) => (Some(word.clone()), true),
        };
        Self {
            folder: group.folder.clone(),
            chat: group.chat.clone(),
            name: group.name.clone(),
            trigger,
            requires_trigger,
        }
    }
}

impl From<&Registration> for NewGroup {
    fn from(registration: &Registration) -> Self {
        let trigger = match (registration.requires_trigger, &registration.trigger) {
            (false, _) => TriggerRule::Always,
            (true, None) => TriggerRule::AssistantName,
            (true, Some(word)) => TriggerRule::Word(word.clone()),
        };
        Self {
            folder: registration.folder.clone(),
            chat: registration.chat.clone(),
            name: registration.name.clone(),
            trigger,
            is_main: registration.folder.is_main(),
        }
    }
}
