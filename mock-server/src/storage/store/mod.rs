//! What lies in storage, and the rules by which it changes. Plain code: who owns it locks it,
//! and no task runs here.

pub(crate) mod bucket;
pub(crate) mod conditions;
pub(crate) mod content;
mod generations;
mod glob;
pub(crate) mod listing;
pub(crate) mod object;
pub(crate) mod parts;
pub(crate) mod sessions;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};

pub(crate) use glob::Glob;

use crate::storage::refusal::{Refusal, Wrong};
use bucket::{Bucket, Shelf};
use conditions::Conditions;
use content::Content;
use generations::Generations;
use listing::{Page, Query};
use object::{Address, Attributes, Object};
use parts::PartUpload;
use sessions::Session;

/// How many objects one request may compose.
const MOST_SOURCES: usize = 32;

/// All buckets, and what is being uploaded into them.
#[derive(Debug)]
pub(crate) struct Store {
    buckets: BTreeMap<String, Bucket>,
    generations: Generations,
    /// Uploads of the JSON API, by id.
    sessions: BTreeMap<String, Session>,
    /// Uploads of the XML API, by id.
    part_uploads: BTreeMap<String, PartUpload>,
}

/// An object to be.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) at: Address,
    pub(crate) attributes: Attributes,
    pub(crate) conditions: Conditions,
}

/// An object to be read: this generation of it, or the live one.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) at: Address,
    pub(crate) generation: Option<u64>,
    pub(crate) conditions: Conditions,
}

impl Store {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            buckets: BTreeMap::new(),
            generations: Generations::new(seed),
            sessions: BTreeMap::new(),
            part_uploads: BTreeMap::new(),
        }
    }

    /// Nothing is left; generations go on.
    pub(crate) fn clear(&mut self) {
        self.buckets.clear();
        self.sessions.clear();
        self.part_uploads.clear();
    }

    pub(crate) fn create_bucket(
        &mut self,
        name: &str,
        settings: Map<String, Value>,
        now: Timestamp,
    ) -> Result<&Bucket, Refusal> {
        if self.buckets.contains_key(name) {
            let message = "Your previous request to create the named bucket succeeded and you already own it.";
            return Err(Refusal::new(Wrong::BucketExists, message));
        }
        let bucket = Bucket::new(name, settings, now)?;
        Ok(self.buckets.entry(name.to_owned()).or_insert(bucket))
    }

    pub(crate) fn buckets(&self) -> impl Iterator<Item = &Bucket> {
        self.buckets.values()
    }

    pub(crate) fn bucket(&self, name: &str) -> Result<&Bucket, Refusal> {
        let bucket = self.buckets.get(name);
        bucket.ok_or_else(|| Refusal::no_bucket(name))
    }

    pub(crate) fn bucket_mut(&mut self, name: &str) -> Result<&mut Bucket, Refusal> {
        let bucket = self.buckets.get_mut(name);
        bucket.ok_or_else(|| Refusal::no_bucket(name))
    }

    pub(crate) fn delete_bucket(
        &mut self,
        name: &str,
        conditions: &Conditions,
    ) -> Result<(), Refusal> {
        let bucket = self.bucket(name)?;
        conditions.allow_bucket(bucket.metageneration, false)?;
        if !bucket.objects.is_empty() {
            let message = "The bucket you tried to delete is not empty.";
            return Err(Refusal::new(Wrong::BucketNotEmpty, message));
        }
        self.buckets.remove(name);
        Ok(())
    }

    pub(crate) fn list(&self, bucket: &str, query: &Query) -> Result<Page, Refusal> {
        Ok(self.bucket(bucket)?.list(query))
    }

    /// Whether this could be put now; an upload in pieces asks before it begins.
    pub(crate) fn may_put(&self, draft: &Draft) -> Result<(), Refusal> {
        let bucket = self.bucket(&draft.at.bucket)?;
        let live = bucket.find(&draft.at.object, None);
        draft.conditions.allow_change(live.map(Arc::as_ref))?;
        match live {
            Some(object) if object.is_held() => Err(held(object)),
            Some(_) | None => Ok(()),
        }
    }

    pub(crate) fn put(
        &mut self,
        draft: Draft,
        content: Content,
        now: Timestamp,
    ) -> Result<Arc<Object>, Refusal> {
        self.place(draft, content, None, now)
    }

    fn place(
        &mut self,
        draft: Draft,
        content: Content,
        components: Option<usize>,
        now: Timestamp,
    ) -> Result<Arc<Object>, Refusal> {
        self.may_put(&draft)?;
        let generation = self.generations.next(now);
        let bucket = self.bucket_mut(&draft.at.bucket)?;
        let object = Arc::new(Object {
            at: draft.at,
            generation,
            metageneration: 1,
            content,
            attributes: draft.attributes,
            created: now,
            updated: now,
            components,
            deleted: None,
        });
        let keeps = bucket.keeps_versions();
        let shelf = bucket.objects.entry(object.at.object.clone()).or_default();
        shelf.retire(keeps, now);
        shelf.live = Some(Arc::clone(&object));
        Ok(object)
    }

    pub(crate) fn get(&self, wanted: &Wanted) -> Result<Arc<Object>, Refusal> {
        let object = self.find(&wanted.at, wanted.generation)?;
        wanted.conditions.allow_read(object)?;
        Ok(Arc::clone(object))
    }

    fn find(&self, at: &Address, generation: Option<u64>) -> Result<&Arc<Object>, Refusal> {
        let object = self.bucket(&at.bucket)?.find(&at.object, generation);
        object.ok_or_else(|| Refusal::no_object(&at.bucket, &at.object))
    }

    /// Takes the live object away, or for good the generation that is named.
    pub(crate) fn delete(
        &mut self,
        wanted: &Wanted,
        now: Timestamp,
    ) -> Result<Arc<Object>, Refusal> {
        let object = Arc::clone(self.find(&wanted.at, wanted.generation)?);
        wanted.conditions.allow_change(Some(&object))?;
        if object.is_held() {
            return Err(held(&object));
        }
        let bucket = self.bucket_mut(&wanted.at.bucket)?;
        let keeps = bucket.keeps_versions() && wanted.generation.is_none();
        let Some(shelf) = bucket.objects.get_mut(&wanted.at.object) else {
            return Ok(object);
        };
        if keeps {
            shelf.retire(true, now);
        } else {
            shelf.remove(object.generation);
        }
        if shelf.is_empty() {
            bucket.objects.remove(&wanted.at.object);
        }
        Ok(object)
    }

    /// Changes what is said of an object.
    pub(crate) fn amend(
        &mut self,
        wanted: &Wanted,
        now: Timestamp,
        change: impl FnOnce(&Attributes) -> Result<Attributes, Refusal>,
    ) -> Result<Arc<Object>, Refusal> {
        let object = self.find(&wanted.at, wanted.generation)?;
        wanted.conditions.allow_change(Some(object))?;
        let amended = Arc::new(Object {
            attributes: change(&object.attributes)?,
            metageneration: object.metageneration + 1,
            updated: now,
            ..Object::clone(object)
        });
        let bucket = self.bucket_mut(&wanted.at.bucket)?;
        if let Some(shelf) = bucket.objects.get_mut(&wanted.at.object) {
            shelf.replace(&amended);
        }
        Ok(amended)
    }

    /// Puts the contents of several objects of one bucket behind each other.
    pub(crate) fn compose(
        &mut self,
        mut draft: Draft,
        sources: &[Wanted],
        now: Timestamp,
    ) -> Result<Arc<Object>, Refusal> {
        if sources.is_empty() || sources.len() > MOST_SOURCES {
            let message =
                format!("The number of source components must be between 1 and {MOST_SOURCES}.");
            return Err(Refusal::invalid(message));
        }
        let objects: Vec<_> = sources
            .iter()
            .map(|source| self.source(source))
            .collect::<Result<_, _>>()?;
        let contents: Vec<_> = objects
            .iter()
            .map(|object| object.content.clone())
            .collect();
        let components = objects
            .iter()
            .map(|object| object.components.unwrap_or(1))
            .sum();
        if draft.attributes.content_type.is_none() {
            draft.attributes.content_type = objects[0].attributes.content_type.clone();
        }
        self.place(draft, Content::joined(&contents), Some(components), now)
    }

    /// Puts what lies there here. What is said of the source is said of the copy, unless the
    /// draft says something.
    pub(crate) fn copy(
        &mut self,
        source: &Wanted,
        mut draft: Draft,
        says: Option<Attributes>,
        now: Timestamp,
    ) -> Result<Arc<Object>, Refusal> {
        let object = self.source(source)?;
        draft.attributes = says.unwrap_or_else(|| object.attributes.clone());
        self.place(draft, object.content.clone(), object.components, now)
    }

    /// A copy whose source is gone, all at once.
    pub(crate) fn rename(
        &mut self,
        source: &Wanted,
        draft: Draft,
        now: Timestamp,
    ) -> Result<Arc<Object>, Refusal> {
        if source.at == draft.at {
            return Err(Refusal::invalid(
                "Source and destination are the same object.",
            ));
        }
        let object = self.source(source)?;
        self.may_put(&draft)?;
        if object.is_held() {
            return Err(held(&object));
        }
        let moved = self.copy(source, draft, None, now)?;
        self.delete(source, now)?;
        Ok(moved)
    }

    /// A source whose condition fails is a failed condition, also where a reader would be told
    /// that nothing has changed.
    pub(crate) fn source(&self, wanted: &Wanted) -> Result<Arc<Object>, Refusal> {
        let object = self.find(&wanted.at, wanted.generation)?;
        wanted.conditions.allow_change(Some(object))?;
        Ok(Arc::clone(object))
    }
}

fn held(object: &Object) -> Refusal {
    let at = &object.at;
    let message = format!(
        "Object '{}/{}' is under active Temporary hold or Event-based hold and cannot be deleted, overwritten or archived until hold is removed.",
        at.bucket, at.object
    );
    Refusal::new(Wrong::Forbidden, message)
}

impl Shelf {
    /// The live one is no longer; if versions are kept, it is one of the old.
    fn retire(&mut self, keeps: bool, now: Timestamp) {
        let Some(live) = self.live.take().filter(|_| keeps) else {
            return;
        };
        self.old.push(Arc::new(Object {
            deleted: Some(now),
            ..Object::clone(&live)
        }));
    }

    fn remove(&mut self, generation: u64) {
        self.old.retain(|object| object.generation != generation);
        let is_live = self
            .live
            .as_ref()
            .is_some_and(|live| live.generation == generation);
        if is_live {
            self.live = None;
        }
    }

    fn replace(&mut self, amended: &Arc<Object>) {
        let all = self.old.iter_mut().chain(&mut self.live);
        for object in all {
            if object.generation == amended.generation {
                *object = Arc::clone(amended);
            }
        }
    }
}

#[cfg(test)]
mod tests;
