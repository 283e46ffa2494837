//! `fields`: what of an answer the client wants, e.g. `items(name,size),nextPageToken`.
//!
//! <https://cloud.google.com/storage/docs/json_api#partial-response>

use serde_json::{Map, Value};

/// What is wanted of a value: all of it, or some of its members.
#[derive(Debug, Default)]
struct Mask {
    all: bool,
    members: Vec<(String, Self)>,
}

/// Leaves of an answer what is wanted. A mask that cannot be read leaves everything.
pub(crate) fn keep(answer: &mut Value, wanted: &str) {
    let mut mask = Mask::default();
    let mut rest = wanted;
    if mask.read(&mut rest).is_some() && rest.is_empty() {
        mask.apply(answer);
    }
}

impl Mask {
    /// Members until a closing bracket or the end.
    fn read(&mut self, rest: &mut &str) -> Option<()> {
        loop {
            self.read_member(rest)?;
            match rest.strip_prefix(',') {
                Some(more) => *rest = more,
                None => return Some(()),
            }
        }
    }

    /// `name`, `name/inner` or `name(inner,other)`.
    fn read_member(&mut self, rest: &mut &str) -> Option<()> {
        let end = rest.find([',', '(', ')', '/']).unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        let name = name.trim();
        *rest = behind;
        if name.is_empty() {
            return None;
        }
        let member = self.member(name);
        if let Some(inner) = rest.strip_prefix('/') {
            *rest = inner;
            return member.read_member(rest);
        }
        let Some(inner) = rest.strip_prefix('(') else {
            member.all = true;
            return Some(());
        };
        *rest = inner;
        member.read(rest)?;
        *rest = rest.strip_prefix(')')?;
        Some(())
    }

    fn member(&mut self, name: &str) -> &mut Self {
        let place = self.members.iter().position(|(known, _)| known == name);
        let place = place.unwrap_or_else(|| {
            self.members.push((name.to_owned(), Self::default()));
            self.members.len() - 1
        });
        &mut self.members[place].1
    }

    fn apply(&self, value: &mut Value) {
        if self.all {
            return;
        }
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.apply(item)),
            Value::Object(members) => {
                let mut kept = Map::new();
                for (name, mut inner) in std::mem::take(members) {
                    let known = self
                        .members
                        .iter()
                        .find(|(wanted, _)| *wanted == name || wanted == "*");
                    if let Some((_, mask)) = known {
                        mask.apply(&mut inner);
                        kept.insert(name, inner);
                    }
                }
                *members = kept;
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_is_cut_down_to_what_is_wanted() {
        #[track_caller]
        fn check(wanted: &str, expected: &Value) {
            let mut answer = json!({
                "kind": "k", "nextPageToken": "t",
                "items": [{ "name": "a", "size": "1", "metadata": { "x": "1", "y": "2" } }],
            });
            keep(&mut answer, wanted);
            assert_eq!(&answer, expected, "{wanted}");
        }
        check("kind", &json!({ "kind": "k" }));
        check(
            "items(name),nextPageToken",
            &json!({ "nextPageToken": "t", "items": [{ "name": "a" }] }),
        );
        check("items/name", &json!({ "items": [{ "name": "a" }] }));
        let metadata = json!({ "items": [{ "name": "a", "metadata": { "y": "2" } }] });
        check("items(name,metadata/y)", &metadata);
        check("items/name,items/metadata/y", &metadata);
        check(
            "items(*)",
            &json!({ "items": [{ "name": "a", "size": "1", "metadata": { "x": "1", "y": "2" } }] }),
        );
        check("other", &json!({}));
        let whole = json!({ "kind": "k", "nextPageToken": "t",
            "items": [{ "name": "a", "size": "1", "metadata": { "x": "1", "y": "2" } }] });
        check("items(name", &whole);
        check("items)", &whole);
    }
}
