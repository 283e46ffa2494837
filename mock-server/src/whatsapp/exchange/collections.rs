//! The collections of the app state: small facts that all devices of the owner share. Each
//! device sends patches; the server numbers them and hands them on.
//!
//! Format: WhatsApp Web ("syncd"): a patch is signed over a hash of all values, which every
//! device keeps. Only facts are here; who is told of them, the exchange decides.

use std::collections::BTreeMap;

use buffa::{Message as _, MessageField};
use wacore::appstate::encode::encode_record;
use wacore::appstate::hash::{HashState, generate_patch_mac};
use wacore::appstate::keys::expand_app_state_keys;
use wacore_binary::Node;
use waproto::whatsapp as wa;
use waproto::whatsapp::syncd_mutation::SyncdOperation;

use crate::whatsapp::iq::app_state::{CollectionAsk, collection_node, conflict_node, refused_node};

/// The id of the only key there is.
pub(super) const KEY_ID: [u8; 6] = [0, 0, 0, 0, 0, 1];
/// An HMAC at the end of each value; it stands for the value in the hash.
const VALUE_MAC: usize = 32;

#[derive(Debug, Default)]
pub(super) struct Collections {
    by_name: BTreeMap<String, Collection>,
}

#[derive(Debug, Default)]
struct Collection {
    /// `SyncdPatch`es; the first leads to version 1.
    patches: Vec<Vec<u8>>,
    hash: HashState,
    /// What the value under an index stands for in the hash.
    values: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// A fact, where it belongs, and when it became so.
#[derive(Clone, Debug)]
pub(super) struct Fact {
    pub(super) collection: &'static str,
    /// A JSON list: what kind of fact, and about whom.
    pub(super) index: String,
    pub(super) value: wa::SyncActionValue,
    /// Of this kind of fact.
    pub(super) version: i32,
}

/// The answer about one collection, and what came of it.
#[derive(Debug)]
pub(super) struct Synced {
    pub(super) node: Node,
    /// The version to which the device's own patch led.
    pub(super) moved: Option<u64>,
    /// Its patch is none.
    pub(super) unreadable: Option<buffa::DecodeError>,
}

impl Synced {
    fn only(node: Node) -> Self {
        Self {
            node,
            moved: None,
            unreadable: None,
        }
    }
}

impl Collections {
    /// What a device lacks; or takes its patch, if it knows all before it.
    pub(super) fn answer(&mut self, ask: &CollectionAsk) -> Synced {
        let collection = self.by_name.entry(ask.name.clone()).or_default();
        let version = collection.patches.len() as u64;
        let known = ask.version.unwrap_or(0);
        let lacking = usize::try_from(known).unwrap_or(usize::MAX);
        let lacking = collection.patches.get(lacking..).unwrap_or(&[]).to_vec();
        let patch = match &ask.patch {
            None => return Synced::only(collection_node(&ask.name, version, lacking)),
            Some(_) if known != version => {
                return Synced::only(conflict_node(&ask.name, lacking, version));
            }
            Some(patch) => wa::SyncdPatch::decode_from_slice(patch),
        };
        match patch {
            Ok(patch) => {
                let moved = collection.take(patch);
                let node = collection_node(&ask.name, moved, Vec::new());
                Synced {
                    moved: Some(moved),
                    ..Synced::only(node)
                }
            }
            Err(fault) => Synced {
                unreadable: Some(fault),
                ..Synced::only(refused_node(&ask.name, 501, "feature-not-implemented"))
            },
        }
    }

    /// Adds a fact, as another device of the owner does. Returns the collection's new version.
    pub(super) fn state(&mut self, fact: &Fact, key: &[u8; 32]) -> u64 {
        let collection = self.by_name.entry(fact.collection.to_owned()).or_default();
        collection.state(fact, key)
    }
}

impl Collection {
    fn take(&mut self, mut patch: wa::SyncdPatch) -> u64 {
        let version = self.patches.len() as u64 + 1;
        // The server says where a patch leads to, whatever its author thought.
        patch.version = MessageField::some(wa::SyncdVersion {
            version: Some(version),
        });
        self.count_in(&patch.mutations);
        self.patches.push(patch.encode_to_vec());
        version
    }

    /// Brings the hash up to date.
    fn count_in(&mut self, mutations: &[wa::SyncdMutation]) {
        let values = &self.values;
        let before = |index: &[u8], _at: usize| Ok(values.get(index).cloned());
        // A removal of what was not there leaves the hash as it was.
        drop(self.hash.update_hash(mutations, before));
        self.hash.version = self.patches.len() as u64 + 1;
        for mutation in mutations {
            let index = mutation.record.index.blob.clone().unwrap_or_else(Vec::new);
            let removed = mutation
                .operation
                .is_some_and(|done| done == SyncdOperation::REMOVE);
            let value = mutation.record.value.blob.as_deref().unwrap_or(&[]);
            let mac = value.len().saturating_sub(VALUE_MAC);
            match removed {
                true => drop(self.values.remove(&index)),
                false => drop(self.values.insert(index, value[mac..].to_vec())),
            }
        }
    }

    fn state(&mut self, fact: &Fact, key: &[u8; 32]) -> u64 {
        let keys = expand_app_state_keys(key);
        let version = self.patches.len() as u64 + 1;
        // Any vector does; one that follows from the place is the same in every run.
        let mut vector = [0; 16];
        vector[..8].copy_from_slice(&version.to_be_bytes());
        let index = fact.index.as_bytes();
        let (mutation, _mac) = encode_record(
            SyncdOperation::SET,
            index,
            &fact.value,
            &keys,
            &KEY_ID,
            &vector,
            fact.version,
        );
        let mutations = vec![mutation];
        self.count_in(&mutations);
        let snapshot_mac = self
            .hash
            .generate_snapshot_mac(fact.collection, &keys.snapshot_mac);
        let mut patch = wa::SyncdPatch {
            mutations,
            snapshot_mac: Some(snapshot_mac),
            key_id: MessageField::some(wa::KeyId {
                id: Some(KEY_ID.to_vec()),
            }),
            version: MessageField::some(wa::SyncdVersion {
                version: Some(version),
            }),
            ..wa::SyncdPatch::default()
        };
        let mac = generate_patch_mac(&patch, fact.collection, &keys.patch_mac, version);
        patch.patch_mac = Some(mac);
        self.patches.push(patch.encode_to_vec());
        version
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(version: Option<u64>, patch: Option<Vec<u8>>) -> CollectionAsk {
        CollectionAsk {
            name: "regular".to_owned(),
            version,
            patch,
        }
    }

    fn kind(node: &Node) -> String {
        node.attrs.get("type").unwrap().as_str().into_owned()
    }

    #[test]
    fn a_patch_on_an_old_version_is_refused_with_what_is_lacking() {
        let mut collections = Collections::default();
        let patch = wa::SyncdPatch::default().encode_to_vec();
        let first = collections.answer(&ask(Some(0), Some(patch.clone()))).node;
        assert_eq!(kind(&first), "result");
        let second = collections.answer(&ask(Some(0), Some(patch))).node;
        assert_eq!(kind(&second), "error");
        assert!(second.get_optional_child("patches").is_some());
        let caught_up = collections.answer(&ask(None, None)).node;
        assert_eq!(caught_up.attrs.get("version").unwrap().as_str(), "1");
        assert!(caught_up.get_optional_child("patches").is_some());
    }
}
