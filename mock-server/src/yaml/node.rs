//! A value in a YAML file that knows where it was written.
//!
//! The tree is complete and plain: aliases are resolved, scalars have their type.

use serde_json::{Map, Number, Value};

use super::source::Span;

/// A value and its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// The same for all copies that aliases made of one node.
    pub(super) id: u32,
    pub(super) span: Span,
    pub(super) content: Content,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub enum Content {
    Null,
    Bool(bool),
    Number(Number),
    Text {
        text: String,
        /// Written without quotes, so that its type was for us to find.
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key of a map.
#[derive(Clone, Debug)]
pub struct Key {
    pub name: String,
    pub span: Span,
}

impl Node {
    #[must_use]
    pub fn span(&self) -> Span {
        self.span
    }

    #[must_use]
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// The entry of a map, if this is a map that has it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        match &self.content {
            Content::Map(entries) => entries
                .iter()
                .find(|(key, _)| key.name == name)
                .map(|(_, value)| value),
            Content::Null
            | Content::Bool(_)
            | Content::Number(_)
            | Content::Text { .. }
            | Content::List(_) => None,
        }
    }

    /// The value without its place.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(value) => Value::Bool(*value),
            Content::Number(number) => Value::Number(number.clone()),
            Content::Text { text, .. } => Value::String(text.clone()),
            Content::List(items) => items.iter().map(Self::to_json).collect(),
            Content::Map(entries) => entries
                .iter()
                .map(|(key, value)| (key.name.clone(), value.to_json()))
                .collect::<Map<_, _>>()
                .into(),
        }
    }

    /// The same tree with each text, and each key, as `change` wants it; `None` leaves one alone.
    #[must_use]
    pub fn map_texts(&self, change: &mut dyn FnMut(&str) -> Option<Content>) -> Self {
        let content = match &self.content {
            Content::Text { text, .. } => change(text).unwrap_or_else(|| self.content.clone()),
            Content::List(items) => {
                Content::List(items.iter().map(|item| item.map_texts(change)).collect())
            }
            Content::Map(entries) => {
                let mut named = |key: &Key| match change(&key.name) {
                    Some(Content::Text { text: name, .. }) => Key {
                        name,
                        span: key.span,
                    },
                    Some(_) | None => key.clone(),
                };
                let keys: Vec<Key> = entries.iter().map(|(key, _)| named(key)).collect();
                let values = entries.iter().map(|(_, value)| value.map_texts(change));
                Content::Map(keys.into_iter().zip(values).collect())
            }
            Content::Null | Content::Bool(_) | Content::Number(_) => self.content.clone(),
        };
        Self {
            id: self.id,
            span: self.span,
            content,
        }
    }

    /// What was found, for a message: `` `soon` ``, `5`, `a list`.
    pub(super) fn found(&self) -> String {
        match &self.content {
            Content::Null => "nothing".to_owned(),
            Content::Bool(value) => value.to_string(),
            Content::Number(number) => number.to_string(),
            Content::Text { text, .. } => format!("`{}`", shortened(text)),
            Content::List(_) => "a list".to_owned(),
            Content::Map(_) => "a map".to_owned(),
        }
    }
}

fn shortened(text: &str) -> String {
    let line = text.lines().next().map_or("", |line| line);
    if line.len() == text.len() && line.chars().count() <= 40 {
        return line.to_owned();
    }
    let start: String = line.chars().take(40).collect();
    format!("{start}…")
}
