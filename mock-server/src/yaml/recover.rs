//! Goes on after a mistake: leaves out the node at fault and decodes again.
//!
//! Each round costs one decoding, so the rounds are bounded.

use std::collections::HashSet;

use serde::de::DeserializeOwned;

use super::Decoded;
use super::decode::Decoder;
use super::fault::{At, Fault, Kind};
use super::mistake::nearest;
use super::node::{Content, Node};

/// Nobody mends more than this in one go.
const MOST_ROUNDS: usize = 50;

pub(super) fn decode<T: DeserializeOwned>(root: &Node) -> Decoded<T> {
    let mut left_out = HashSet::new();
    let mut mistakes = Vec::new();
    for _round in 0..MOST_ROUNDS {
        let decoder = Decoder {
            node: root,
            left_out: &left_out,
            key: None,
        };
        let fault = match T::deserialize(decoder) {
            Ok(value) => {
                let value = Some(value);
                return Decoded { value, mistakes };
            }
            Err(fault) => fault,
        };
        let At { span, victim } = fault.place.unwrap_or(At {
            span: root.span,
            victim: root.id,
        });
        let node = find(root, victim).map_or(root, |node| node);
        if !follows(&fault, node, &left_out) {
            mistakes.push(fault.told(span, &node.found()));
        }
        let ends_here = victim == root.id || !left_out.insert(victim);
        if ends_here {
            break;
        }
    }
    Decoded {
        value: None,
        mistakes,
    }
}

/// Whether this fault is only there because a node was left out before.
fn follows(fault: &Fault, node: &Node, left_out: &HashSet<u32>) -> bool {
    match (&fault.kind, &node.content) {
        // Left out under its own name, or under one that was meant to be it.
        (Kind::Missing(name), Content::Map(entries)) => entries.iter().any(|(key, value)| {
            left_out.contains(&value.id) && nearest(&key.name, [*name]).is_some()
        }),
        (Kind::Said(_), Content::Map(_)) => hollow(node, left_out),
        (
            Kind::Said(_)
            | Kind::Unexpected(_)
            | Kind::UnknownKey(..)
            | Kind::UnknownVariant(..)
            | Kind::Missing(_),
            _,
        ) => false,
    }
}

/// Nothing is left of a map, or of the map under its only key.
fn hollow(node: &Node, left_out: &HashSet<u32>) -> bool {
    let Content::Map(entries) = &node.content else {
        return false;
    };
    let gone = |value: &Node| left_out.contains(&value.id);
    match entries.as_slice() {
        [] => false,
        [(_, only)] => gone(only) || hollow(only, left_out),
        several => several.iter().all(|(_, value)| gone(value)),
    }
}

fn find(node: &Node, id: u32) -> Option<&Node> {
    if node.id == id {
        return Some(node);
    }
    match &node.content {
        Content::List(items) => items.iter().find_map(|item| find(item, id)),
        Content::Map(entries) => entries.iter().find_map(|(_, value)| find(value, id)),
        Content::Null | Content::Bool(_) | Content::Number(_) | Content::Text { .. } => None,
    }
}
