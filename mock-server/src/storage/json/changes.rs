//! Objects that are made of objects: composed, copied, rewritten, moved.

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::resource;
use crate::storage::Storage;
use crate::storage::refusal::Refusal;
use crate::storage::store::Wanted;
use crate::storage::store::conditions::Conditions;
use crate::storage::store::object::{Address, Attributes, Object};
use crate::storage::wire::base;

type Answer = Result<Response, Refusal>;

/// What is composed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Composition {
    #[serde(default)]
    source_objects: Vec<Source>,
    #[serde(default)]
    destination: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Source {
    name: String,
    generation: Option<Number>,
    #[serde(default)]
    object_preconditions: Preconditions,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Preconditions {
    if_generation_match: Option<Number>,
}

/// As a number, or as the text that numbers of 64 bits are.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Number {
    Number(u64),
    Text(String),
}

impl Number {
    fn read(&self) -> Result<u64, Refusal> {
        match self {
            Self::Number(number) => Ok(*number),
            Self::Text(text) => {
                let invalid = |_| Refusal::invalid(format!("Invalid value: '{text}'"));
                text.parse().map_err(invalid)
            }
        }
    }
}

impl Source {
    fn wanted(&self, bucket: &str) -> Result<Wanted, Refusal> {
        let read = |number: &Option<Number>| number.as_ref().map(Number::read).transpose();
        Ok(Wanted {
            at: Address::new(bucket, &self.name)?,
            generation: read(&self.generation)?,
            conditions: Conditions {
                generation: read(&self.object_preconditions.if_generation_match)?,
                ..Conditions::default()
            },
        })
    }
}

pub(super) async fn compose(
    State(storage): State<Storage>,
    Path((bucket, object)): Path<(String, String)>,
    mut call: Call,
) -> Answer {
    let composition = Composition::deserialize(Value::Object(call.resource().await?));
    let composition = composition.map_err(|fault| Refusal::invalid(fault.to_string()))?;
    let sources = composition.source_objects.iter();
    let sources: Vec<_> = sources
        .map(|source| source.wanted(&bucket))
        .collect::<Result<_, _>>()?;
    let mut draft = call.target(&bucket, &object)?;
    draft.attributes = Attributes::of(&composition.destination)?;
    let made = storage.with(|store, now| store.compose(draft, &sources, now))?;
    storage.note("storage.put", "compose", &made);
    Ok(call.object(&storage, &made))
}

type FromTo = Path<(String, String, String, String)>;

pub(super) async fn copy(State(storage): State<Storage>, path: FromTo, mut call: Call) -> Answer {
    let made = copied(&storage, path, &mut call, "copy").await?;
    Ok(call.object(&storage, &made))
}

/// All at once: the service does it in several requests only between places and classes.
pub(super) async fn rewrite(
    State(storage): State<Storage>,
    path: FromTo,
    mut call: Call,
) -> Answer {
    let made = copied(&storage, path, &mut call, "rewrite").await?;
    let size = made.content.len().to_string();
    Ok(call.answer(&json!({
        "kind": "storage#rewriteResponse",
        "totalBytesRewritten": size,
        "objectSize": size,
        "done": true,
        "resource": resource::object(&made, &base(&storage, &call.headers)),
    })))
}

async fn copied(
    storage: &Storage,
    Path((bucket, object, to_bucket, to_object)): FromTo,
    call: &mut Call,
    how: &'static str,
) -> Result<std::sync::Arc<Object>, Refusal> {
    let says = Attributes::of(&call.resource().await?)?;
    // Who says nothing wants what is said of the source.
    let says = (says != Attributes::default()).then_some(says);
    let source = call.source(&bucket, &object)?;
    let draft = call.target(&to_bucket, &to_object)?;
    let made = storage.with(|store, now| store.copy(&source, draft, says, now))?;
    storage.note("storage.put", how, &made);
    Ok(made)
}

pub(super) async fn rename(
    State(storage): State<Storage>,
    Path((bucket, object, to_object)): Path<(String, String, String)>,
    call: Call,
) -> Answer {
    let source = call.source(&bucket, &object)?;
    let draft = call.target(&bucket, &to_object)?;
    let gone = storage.with(|store, _| store.source(&source))?;
    let made = storage.with(|store, now| store.rename(&source, draft, now))?;
    storage.note("storage.delete", "move", &gone);
    storage.note("storage.put", "move", &made);
    Ok(call.object(&storage, &made))
}
