//! Multipart uploads of the XML API: an object whose parts come in any order.
//!
//! <https://cloud.google.com/storage/docs/multipart-uploads>

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::storage::refusal::{Refusal, Wrong};
use crate::storage::store::conditions::Conditions;
use crate::storage::store::content::Content;
use crate::storage::store::object::{Address, Object, hex};
use crate::storage::store::{Draft, Store};

/// The largest number that a part can have.
const LAST_PART: u32 = 10_000;
/// Each part but the last has at least so many bytes.
const SMALLEST_PART: usize = 5 << 20;

/// An upload under way.
#[derive(Clone, Debug)]
pub(crate) struct PartUpload {
    pub(crate) id: String,
    pub(crate) draft: Draft,
    pub(crate) began: Timestamp,
    pub(crate) parts: BTreeMap<u32, Part>,
}

#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) content: Content,
    pub(crate) uploaded: Timestamp,
}

impl Part {
    /// Its MD5, with the quotes.
    pub(crate) fn entity_tag(&self) -> String {
        let md5 = self.content.md5.unwrap_or_default();
        format!("\"{}\"", hex(&md5))
    }
}

impl Store {
    pub(crate) fn begin_parts(&mut self, draft: Draft, now: Timestamp) -> Result<String, Refusal> {
        self.bucket(&draft.at.bucket)?;
        let id = self.generations.upload_id();
        let upload = PartUpload {
            id: id.clone(),
            draft,
            began: now,
            parts: BTreeMap::new(),
        };
        self.part_uploads.insert(id.clone(), upload);
        Ok(id)
    }

    pub(crate) fn parts(&self, at: &Address, id: &str) -> Result<&PartUpload, Refusal> {
        let upload = self
            .part_uploads
            .get(id)
            .filter(|upload| upload.draft.at == *at);
        upload.ok_or_else(|| unknown(id))
    }

    /// A part that comes again replaces the one before.
    pub(crate) fn put_part(
        &mut self,
        at: &Address,
        id: &str,
        (number, content): (u32, Content),
        now: Timestamp,
    ) -> Result<Part, Refusal> {
        if !(1..=LAST_PART).contains(&number) {
            let message = format!("Part number must be an integer between 1 and {LAST_PART}.");
            return Err(Refusal::invalid(message));
        }
        self.parts(at, id)?;
        let part = Part {
            content,
            uploaded: now,
        };
        if let Some(upload) = self.part_uploads.get_mut(id) {
            upload.parts.insert(number, part.clone());
        }
        Ok(part)
    }

    /// Makes the object of the parts that are named, with the tags that they were given.
    pub(crate) fn complete(
        &mut self,
        at: &Address,
        id: &str,
        (named, conditions): (&[(u32, String)], &Conditions),
        now: Timestamp,
    ) -> Result<Arc<Object>, Refusal> {
        let upload = self.parts(at, id)?;
        if named.is_empty() || !named.is_sorted_by(|(one, _), (next, _)| one < next) {
            let message = "The list of parts was not in ascending order, or is empty.";
            return Err(Refusal::invalid(message));
        }
        let mut contents = Vec::new();
        for (place, (number, tag)) in named.iter().enumerate() {
            let part = upload.parts.get(number);
            let fits = |part: &&Part| part.entity_tag().trim_matches('"') == tag.trim_matches('"');
            let Some(part) = part.filter(fits) else {
                let message =
                    format!("Part {number} was not uploaded, or its entity tag is not {tag}.");
                return Err(Refusal::new(Wrong::Part, message));
            };
            let is_last = place + 1 == named.len();
            if part.content.len() < SMALLEST_PART && !is_last {
                let message =
                    format!("Part {number} is smaller than the minimum of {SMALLEST_PART} bytes.");
                return Err(Refusal::new(Wrong::SmallPart, message));
            }
            contents.push(part.content.clone());
        }
        let draft = Draft {
            conditions: conditions.clone(),
            ..upload.draft.clone()
        };
        let (content, components) = (Content::joined(&contents), contents.len());
        let object = self.place(draft, content, Some(components), now)?;
        self.part_uploads.remove(id);
        Ok(object)
    }

    pub(crate) fn abort_parts(&mut self, at: &Address, id: &str) -> Result<(), Refusal> {
        self.parts(at, id)?;
        self.part_uploads.remove(id);
        Ok(())
    }

    /// The uploads under way of a bucket, by name and then by age.
    pub(crate) fn part_uploads(&self, bucket: &str) -> Result<Vec<&PartUpload>, Refusal> {
        self.bucket(bucket)?;
        let its = |upload: &&PartUpload| *upload.draft.at.bucket == *bucket;
        let mut uploads: Vec<_> = self.part_uploads.values().filter(its).collect();
        uploads.sort_by(|one, next| one.draft.at.object.cmp(&next.draft.at.object));
        Ok(uploads)
    }
}

fn unknown(id: &str) -> Refusal {
    let message = format!("The requested upload was not found: {id}");
    Refusal::new(Wrong::NoUpload, message)
}
