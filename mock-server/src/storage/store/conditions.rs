//! Under which conditions something is done to an object: one type for every verb of both
//! APIs.
//!
//! <https://cloud.google.com/storage/docs/request-preconditions>

use jiff::Timestamp;

use crate::storage::refusal::{Refusal, Wrong};
use crate::storage::store::object::Object;

/// All that a request demands; what it does not name holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    /// 0: no live object has this name.
    pub(crate) generation: Option<u64>,
    pub(crate) generation_not: Option<u64>,
    pub(crate) metageneration: Option<u64>,
    pub(crate) metageneration_not: Option<u64>,
    pub(crate) etag: Option<Etags>,
    pub(crate) etag_not: Option<Etags>,
    pub(crate) modified_since: Option<Timestamp>,
    pub(crate) unmodified_since: Option<Timestamp>,
}

/// The tags of `If-Match` or `If-None-Match`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Etags {
    Any,
    These(Vec<String>),
}

impl Etags {
    /// Quotes and the mark of weakness do not count.
    pub(crate) fn parse(header: &str) -> Self {
        let bare = |tag: &str| {
            tag.trim()
                .trim_start_matches("W/")
                .trim_matches('"')
                .to_owned()
        };
        match header.trim() {
            "*" => Self::Any,
            tags => Self::These(tags.split(',').map(bare).collect()),
        }
    }

    /// An object is known by its tag of either API.
    fn name(&self, object: &Object) -> bool {
        match self {
            Self::Any => true,
            Self::These(tags) => {
                let (json, xml) = (object.etag(), object.entity_tag());
                let is_its = |tag: &String| *tag == json || *tag == xml.trim_matches('"');
                tags.iter().any(is_its)
            }
        }
    }
}

impl Conditions {
    /// For a verb that changes something; `live` is what is there now.
    pub(crate) fn allow_change(&self, live: Option<&Object>) -> Result<(), Refusal> {
        let holds = self.positive_hold(live) && self.not_excluded(live);
        if holds {
            Ok(())
        } else {
            Err(Refusal::condition())
        }
    }

    /// For a verb that reads: who excludes what is there has it already.
    pub(crate) fn allow_read(&self, object: &Object) -> Result<(), Refusal> {
        if !self.positive_hold(Some(object)) {
            return Err(Refusal::condition());
        }
        if !self.not_excluded(Some(object)) {
            return Err(Refusal::new(Wrong::NotModified, "Not Modified"));
        }
        Ok(())
    }

    fn positive_hold(&self, live: Option<&Object>) -> bool {
        let generation = live.map_or(0, |object| object.generation);
        self.generation.is_none_or(|wanted| wanted == generation)
            && self.metageneration.is_none_or(|wanted| {
                live.is_some_and(|object| object.metageneration == wanted)
            })
            && self
                .etag
                .as_ref()
                .is_none_or(|etags| live.is_some_and(|object| etags.name(object)))
            // A tag is the finer word: beside one, the date is not looked at (RFC 9110, 13.2.2).
            && (self.etag.is_some()
                || self.unmodified_since.is_none_or(|since| {
                    live.is_some_and(|object| object.updated.as_second() <= since.as_second())
                }))
    }

    fn not_excluded(&self, live: Option<&Object>) -> bool {
        let generation = live.map_or(0, |object| object.generation);
        self.generation_not
            .is_none_or(|excluded| excluded != generation)
            && self
                .metageneration_not
                .is_none_or(|excluded| live.is_none_or(|object| object.metageneration != excluded))
            && self
                .etag_not
                .as_ref()
                .is_none_or(|etags| !live.is_some_and(|object| etags.name(object)))
            && (self.etag_not.is_some()
                || self.modified_since.is_none_or(|since| {
                    live.is_none_or(|object| object.updated.as_second() > since.as_second())
                }))
    }

    /// Where there is no generation and no tag, but a metageneration only: buckets.
    pub(crate) fn allow_bucket(&self, metageneration: u64, is_read: bool) -> Result<(), Refusal> {
        if self
            .metageneration
            .is_some_and(|wanted| wanted != metageneration)
        {
            return Err(Refusal::condition());
        }
        match self.metageneration_not {
            Some(excluded) if excluded == metageneration && is_read => {
                Err(Refusal::new(Wrong::NotModified, "Not Modified"))
            }
            Some(excluded) if excluded == metageneration => Err(Refusal::condition()),
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::store::object::tests::object;

    /// Whether `conditions` let an object (generation 5, metageneration 2) be changed, an
    /// absent one be made, and what they say to a reader.
    #[track_caller]
    fn check(conditions: &Conditions, change: bool, make: bool, read: Option<Wrong>) {
        let there = object(5, 2);
        assert_eq!(
            conditions.allow_change(Some(&there)).is_ok(),
            change,
            "change"
        );
        assert_eq!(conditions.allow_change(None).is_ok(), make, "make");
        let refused = conditions.allow_read(&there).err();
        assert_eq!(refused.map(|refusal| refusal.wrong), read, "read");
    }

    fn with(set: impl FnOnce(&mut Conditions)) -> Conditions {
        let mut conditions = Conditions::default();
        set(&mut conditions);
        conditions
    }

    #[test]
    fn without_conditions_everything_goes() {
        check(&Conditions::default(), true, true, None);
    }

    #[test]
    fn a_generation_is_demanded_or_excluded_and_zero_is_nothing() {
        let failed = Some(Wrong::Condition);
        check(&with(|c| c.generation = Some(5)), true, false, None);
        check(&with(|c| c.generation = Some(4)), false, false, failed);
        check(&with(|c| c.generation = Some(0)), false, true, failed);
        check(&with(|c| c.generation_not = Some(4)), true, true, None);
        check(&with(|c| c.generation_not = Some(0)), true, false, None);
        let unchanged = Some(Wrong::NotModified);
        check(
            &with(|c| c.generation_not = Some(5)),
            false,
            true,
            unchanged,
        );
    }

    #[test]
    fn a_metageneration_is_that_of_something_there() {
        check(&with(|c| c.metageneration = Some(2)), true, false, None);
        let failed = Some(Wrong::Condition);
        check(&with(|c| c.metageneration = Some(1)), false, false, failed);
        let unchanged = Some(Wrong::NotModified);
        check(
            &with(|c| c.metageneration_not = Some(2)),
            false,
            true,
            unchanged,
        );
        check(&with(|c| c.metageneration_not = Some(1)), true, true, None);
    }

    #[test]
    fn tags_are_those_of_either_api_and_go_before_dates() {
        let there = object(5, 2);
        for tag in [there.etag(), there.entity_tag(), "*".to_owned()] {
            check(
                &with(|c| c.etag = Some(Etags::parse(&tag))),
                true,
                false,
                None,
            );
            let excluded = with(|c| c.etag_not = Some(Etags::parse(&tag)));
            check(&excluded, false, true, Some(Wrong::NotModified));
        }
        let foreign = Etags::parse("\"abc\", W/\"def\"");
        assert_eq!(
            foreign,
            Etags::These(vec!["abc".to_owned(), "def".to_owned()])
        );
        let failed = Some(Wrong::Condition);
        check(
            &with(|c| c.etag = Some(foreign.clone())),
            false,
            false,
            failed,
        );
        let early = there.updated - jiff::SignedDuration::from_hours(1);
        check(
            &with(|c| c.unmodified_since = Some(early)),
            false,
            false,
            failed,
        );
        check(&with(|c| c.modified_since = Some(early)), true, true, None);
        let unchanged = Some(Wrong::NotModified);
        check(
            &with(|c| c.modified_since = Some(there.updated)),
            false,
            true,
            unchanged,
        );
        let tagged = with(|c| {
            c.etag = Some(Etags::Any);
            c.unmodified_since = Some(early);
        });
        check(&tagged, true, false, None);
    }
}
