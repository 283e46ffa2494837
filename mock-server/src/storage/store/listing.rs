//! A page of a bucket's objects, in the order of their names as UTF-8.
//!
//! The place where a page begins is looked up and a folder that is folded into its prefix is
//! jumped over, so that a page costs what is on it, whatever the bucket holds.

use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::ops::Bound;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::storage::refusal::Refusal;
use crate::storage::store::bucket::{Bucket, Shelf};
use crate::storage::store::glob::Glob;
use crate::storage::store::object::Object;

/// How many objects and prefixes a page holds at most.
pub(crate) const LARGEST_PAGE: usize = 1_000;

/// What is listed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    pub(crate) prefix: String,
    /// Names are folded into what they have up to this after the prefix; never empty.
    pub(crate) delimiter: Option<String>,
    /// Whether an object whose name ends at its delimiter is listed beside the prefix.
    pub(crate) trailing: bool,
    /// The first name.
    pub(crate) start: Option<String>,
    /// The name before which it ends.
    pub(crate) end: Option<String>,
    /// Only behind this name.
    pub(crate) behind: Option<String>,
    pub(crate) glob: Option<Glob>,
    /// Old generations too.
    pub(crate) versions: bool,
    pub(crate) page: Option<PageToken>,
    pub(crate) limit: Option<usize>,
}

/// Some of what is there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    pub(crate) objects: Vec<Arc<Object>>,
    pub(crate) prefixes: Vec<String>,
    /// Where the next page begins, if there is one.
    pub(crate) next: Option<PageToken>,
}

/// Behind what the next page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PageToken {
    /// Behind this generation of this name.
    Object(String, u64),
    /// Behind all that begins so.
    Prefix(String),
}

impl PageToken {
    pub(crate) fn parse(text: &str) -> Result<Self, Refusal> {
        let refused = || Refusal::invalid(format!("Invalid page token: '{text}'"));
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_other| refused())?;
        let text = String::from_utf8(bytes).map_err(|_other| refused())?;
        let (kind, name) = text.split_once(':').ok_or_else(refused)?;
        let name = name.to_owned();
        match kind {
            "p" => Ok(Self::Prefix(name)),
            generation => match generation.parse() {
                Ok(generation) => Ok(Self::Object(name, generation)),
                Err(_no_number) => Err(refused()),
            },
        }
    }

    pub(crate) fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(match self {
            Self::Prefix(prefix) => format!("p:{prefix}"),
            Self::Object(name, generation) => format!("{generation}:{name}"),
        })
    }
}

/// One thing on a page.
#[derive(Debug)]
enum Line {
    Object(Arc<Object>),
    Prefix(String),
}

/// The things that are listed, one after the other.
struct Walk<'a> {
    query: &'a Query,
    objects: &'a BTreeMap<Arc<str>, Shelf>,
    names: Range<'a, Arc<str>, Shelf>,
    /// The prefix that was listed last.
    told: Option<String>,
    /// What is there of the name that is at hand, the last first.
    left: Vec<Line>,
}

impl Bucket {
    pub(crate) fn list(&self, query: &Query) -> Page {
        let limit = query.limit.unwrap_or(LARGEST_PAGE).clamp(1, LARGEST_PAGE);
        let mut page = Page::default();
        let mut last = None;
        for line in Walk::over(&self.objects, query) {
            if page.objects.len() + page.prefixes.len() == limit {
                page.next = last;
                break;
            }
            match line {
                Line::Object(object) => {
                    let name = object.at.object.to_string();
                    last = Some(PageToken::Object(name, object.generation));
                    page.objects.push(object);
                }
                Line::Prefix(prefix) => {
                    last = Some(PageToken::Prefix(prefix.clone()));
                    page.prefixes.push(prefix);
                }
            }
        }
        page
    }
}

impl<'a> Walk<'a> {
    fn over(objects: &'a BTreeMap<Arc<str>, Shelf>, query: &'a Query) -> Self {
        let told = match &query.page {
            None => None,
            Some(PageToken::Object(name, _)) => query.folded(name).map(str::to_owned),
            Some(PageToken::Prefix(prefix)) => Some(prefix.clone()),
        };
        Self {
            query,
            objects,
            names: objects.range::<str, _>((query.begin(), Bound::Unbounded)),
            told,
            left: Vec::new(),
        }
    }

    /// What there is to say of a name.
    fn say(&mut self, name: &str, shelf: &Shelf) {
        let wanted = shelf.all().filter(|object| self.query.wants(object));
        let mut wanted: Vec<_> = wanted.map(Arc::clone).map(Line::Object).collect();
        if wanted.is_empty() || !self.query.globs(name) {
            return;
        }
        let folded = self.query.folded(name);
        if let Some(prefix) = folded {
            let is_told = self.told.as_deref() == Some(prefix);
            if self.query.trailing && prefix == name {
                wanted.reverse();
            } else {
                wanted.clear();
                self.names = beyond(self.objects, prefix);
            }
            if !is_told {
                wanted.push(Line::Prefix(prefix.to_owned()));
                self.told = Some(prefix.to_owned());
            }
        } else {
            wanted.reverse();
        }
        self.left = wanted;
    }
}

impl Iterator for Walk<'_> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        while self.left.is_empty() {
            let (name, shelf) = self.names.next()?;
            if self.query.is_past(name) {
                return None;
            }
            self.say(name, shelf);
        }
        self.left.pop()
    }
}

/// The names behind all that begin so.
fn beyond<'a>(objects: &'a BTreeMap<Arc<str>, Shelf>, prefix: &str) -> Range<'a, Arc<str>, Shelf> {
    match successor(prefix) {
        Some(from) => objects.range::<str, _>((Bound::Included(&*from), Bound::Unbounded)),
        // Nothing is behind the last letter.
        None => objects.range::<str, _>((Bound::Included(""), Bound::Excluded(""))),
    }
}

/// The first text behind all that begin with this one; letters and bytes have one order.
fn successor(prefix: &str) -> Option<String> {
    let mut kept = prefix.to_owned();
    while let Some(last) = kept.pop() {
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            kept.push(next);
            return Some(kept);
        }
    }
    None
}

impl Query {
    /// The latest of the places that are named.
    fn begin(&self) -> Bound<&str> {
        let page = match &self.page {
            None => None,
            Some(PageToken::Object(name, _)) => Some((&**name, false)),
            // What is folded into it is jumped over when it is met.
            Some(PageToken::Prefix(prefix)) => Some((&**prefix, false)),
        };
        let places = [
            Some((&*self.prefix, false)),
            self.start.as_deref().map(|start| (start, false)),
            self.behind.as_deref().map(|behind| (behind, true)),
            page,
        ];
        match places.into_iter().flatten().max() {
            Some((name, true)) => Bound::Excluded(name),
            Some((name, false)) => Bound::Included(name),
            None => Bound::Unbounded,
        }
    }

    fn is_past(&self, name: &str) -> bool {
        !name.starts_with(&self.prefix) || self.end.as_deref().is_some_and(|end| name >= end)
    }

    /// Into what a name is folded.
    fn folded<'a>(&self, name: &'a str) -> Option<&'a str> {
        let delimiter = self.delimiter.as_deref()?;
        let rest = name.get(self.prefix.len()..)?;
        let at = rest.find(delimiter)?;
        name.get(..self.prefix.len() + at + delimiter.len())
    }

    fn globs(&self, name: &str) -> bool {
        self.glob.as_ref().is_none_or(|glob| glob.matches(name))
    }

    fn wants(&self, object: &Object) -> bool {
        let is_listed = self.versions || object.deleted.is_none();
        let is_told = match &self.page {
            Some(PageToken::Object(name, generation)) => {
                *object.at.object == **name && object.generation <= *generation
            }
            Some(PageToken::Prefix(_)) | None => false,
        };
        is_listed && !is_told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::store::object::{Address, tests::object};
    use serde_json::Map;

    fn bucket(names: &[&str]) -> Bucket {
        let mut bucket = Bucket::new("attic", Map::new(), object(1, 1).created).unwrap();
        for (place, name) in names.iter().enumerate() {
            let mut object = object(place as u64 + 1, 1);
            object.at = Address::new("attic", name).unwrap();
            let shelf = Shelf {
                live: Some(object.into()),
                old: Vec::new(),
            };
            bucket.objects.insert((*name).into(), shelf);
        }
        bucket
    }

    /// All pages of so many, one after the other: `name`, `prefix>`, and `|` between pages.
    fn pages(bucket: &Bucket, mut query: Query, limit: usize) -> String {
        query.limit = Some(limit);
        let mut out = Vec::new();
        loop {
            let page = bucket.list(&query);
            assert!(page.objects.len() + page.prefixes.len() <= limit);
            out.extend(page.prefixes.iter().map(|prefix| format!("{prefix}>")));
            out.extend(
                page.objects
                    .iter()
                    .map(|object| object.at.object.to_string()),
            );
            let Some(next) = page.next else {
                return out.join(" ");
            };
            assert_eq!(PageToken::parse(&next.text()).unwrap(), next);
            query.page = Some(next);
            out.push("|".to_owned());
        }
    }

    const NAMES: &[&str] = &["a/", "a/1", "a/b/2", "b", "c/1", "c/2", "d"];

    #[track_caller]
    fn check(set: impl FnOnce(&mut Query), limit: usize, expected: &str) {
        let mut query = Query::default();
        set(&mut query);
        assert_eq!(pages(&bucket(NAMES), query, limit), expected);
    }

    fn folders(query: &mut Query) {
        query.delimiter = Some("/".to_owned());
    }

    #[test]
    fn names_are_listed_in_pages() {
        check(|_| {}, 1000, "a/ a/1 a/b/2 b c/1 c/2 d");
        check(|_| {}, 3, "a/ a/1 a/b/2 | b c/1 c/2 | d");
        check(|query| query.prefix = "c/".to_owned(), 1, "c/1 | c/2");
        check(|query| query.prefix = "x".to_owned(), 1, "");
    }

    #[test]
    fn folders_are_folded_and_count_as_things_of_a_page() {
        check(folders, 1000, "a/> c/> b d");
        check(folders, 1, "a/> | b | c/> | d");
        let within = |query: &mut Query| {
            folders(query);
            query.prefix = "a/".to_owned();
        };
        check(within, 1, "a/ | a/1 | a/b/>");
        let trailing = |query: &mut Query| {
            folders(query);
            query.trailing = true;
        };
        check(trailing, 1000, "a/> c/> a/ b d");
        check(trailing, 1, "a/> | a/ | b | c/> | d");
    }

    #[test]
    fn a_listing_begins_and_ends_where_it_is_told() {
        let between = |query: &mut Query| {
            query.start = Some("a/b".to_owned());
            query.end = Some("c/2".to_owned());
        };
        check(between, 2, "a/b/2 b | c/1");
        check(|query| query.behind = Some("c/1".to_owned()), 9, "c/2 d");
        let glob = |query: &mut Query| query.glob = Some(Glob::parse("*/1").unwrap());
        check(glob, 1, "a/1 | c/1");
    }

    #[test]
    fn the_order_is_that_of_utf_8() {
        let bucket = bucket(&["\u{fb00}", "\u{1f600}", "z", "\u{10ffff}/a", "\u{10ffff}/b"]);
        let all = pages(&bucket, Query::default(), 2);
        assert_eq!(all, "z \u{fb00} | \u{1f600} \u{10ffff}/a | \u{10ffff}/b");
        let last = Query {
            delimiter: Some("\u{10ffff}".to_owned()),
            ..Query::default()
        };
        assert_eq!(pages(&bucket, last, 9), "\u{10ffff}> z \u{fb00} \u{1f600}");
        assert_eq!(successor("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(successor("\u{d7ff}").as_deref(), Some("\u{e000}"));
        assert_eq!(successor("\u{10ffff}"), None);
    }

    #[test]
    fn old_generations_are_listed_if_asked_for_page_by_page() {
        let mut bucket = bucket(&["x"]);
        let mut old = object(1, 1);
        old.at = Address::new("attic", "w").unwrap();
        old.deleted = Some(old.created);
        let mut older = old.clone();
        (old.generation, older.generation) = (3, 2);
        let shelf = Shelf {
            live: None,
            old: vec![older.into(), old.into()],
        };
        bucket.objects.insert("w".into(), shelf);
        assert_eq!(pages(&bucket, Query::default(), 1), "x");
        let versions = Query {
            versions: true,
            ..Query::default()
        };
        assert_eq!(pages(&bucket, versions, 1), "w | w | x");
    }

    #[test]
    fn a_token_that_is_none_is_refused() {
        for token in ["x", "!", "cDo", "eDp5"] {
            let read = PageToken::parse(token);
            assert!(read.is_err() || token == "cDo", "{token}: {read:?}");
        }
    }
}
