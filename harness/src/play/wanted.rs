//! What a step waits for in the journal: entries of one kind that look a certain way.

use std::time::Duration;

use mock_server::Entry;
use mock_server::yaml::{At, Span};
use serde_json::Value;

use super::PATIENCE;
use crate::failure::Trouble;
use crate::judge::{Comparison, compare, told};
use crate::scenario::{Hear, Lapse, Matcher, Names};

/// A chat as the journal names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// `http:<name>`.
    Http(String),
    /// What the steps call a chat on WhatsApp, and its JID.
    WhatsApp { name: String, jid: String },
}

impl Place {
    fn name(&self) -> &str {
        match self {
            Self::Http(jid) => jid,
            Self::WhatsApp { name, .. } => name,
        }
    }

    fn is_that_of(&self, entry: &Entry) -> bool {
        let chat = entry.text("chat");
        match self {
            Self::Http(jid) => chat == Some(jid),
            Self::WhatsApp { jid, .. } => chat == Some(jid),
        }
    }
}

/// Entries of the journal that are waited for.
#[derive(Clone, Debug)]
pub(super) struct Wanted<'a> {
    event: &'a str,
    /// The chat it must be in.
    place: Option<Place>,
    /// What single fields must look like.
    fields: Vec<(&'static str, &'a At<Matcher>)>,
    /// What all fields together must look like.
    whole: Option<&'a At<Matcher>>,
    pub(super) count: Option<&'a At<Matcher>>,
    pub(super) patience: Duration,
}

impl<'a> Wanted<'a> {
    /// The assistant in a chat: what it has sent over HTTP, what phones could read on WhatsApp.
    pub(super) fn heard(hear: &'a Hear, place: Place) -> Self {
        let event = match &place {
            Place::Http(_) => "message.sent",
            Place::WhatsApp { .. } => "whatsapp.heard",
        };
        let fields = [
            ("text", &hear.text),
            ("kind", &hear.kind),
            ("quoted", &hear.quoted),
            ("mentions", &hear.mentions),
            ("media", &hear.media),
            ("heard_by", &hear.heard_by),
        ];
        let fields = fields
            .into_iter()
            .filter_map(|(name, matcher)| Some((name, matcher.as_ref()?)));
        Self {
            event,
            place: Some(place),
            fields: fields.collect(),
            whole: None,
            count: hear.count.as_ref(),
            patience: hear.within.map_or(PATIENCE, Lapse::length),
        }
    }

    pub(super) fn event(event: &'a str, fields: Option<&'a At<Matcher>>) -> Self {
        Self {
            event,
            place: None,
            fields: Vec::new(),
            whole: fields,
            count: None,
            patience: PATIENCE,
        }
    }

    /// Expectations of one kind are ordered among themselves.
    pub(super) fn kind(&self) -> String {
        let place = self.place.as_ref().map_or("", Place::name);
        format!("{} {place}", self.event)
    }

    /// Where it is written what is wanted.
    pub(super) fn span(&self) -> Option<Span> {
        let first = self.fields.first().map(|(_, matcher)| *matcher);
        let matcher = self.count.or(self.whole).or(first);
        matcher.map(|matcher| matcher.span)
    }

    /// What the wait is for, in words.
    pub(super) fn sentence(&self) -> String {
        let what = match &self.place {
            Some(place) => format!("a message in {}", place.name()),
            None => format!("`{}`", self.event),
        };
        let fields = self.fields.iter();
        let fields: Vec<String> = fields
            .map(|(name, matcher)| format!("{name} {}", told(matcher)))
            .collect();
        match self.whole {
            Some(matcher) => format!("{what} {}", told(matcher)),
            None if fields.is_empty() => what,
            None => format!("{what} whose {}", fields.join(" and ")),
        }
    }

    /// `None` if the entry is of another kind.
    pub(super) fn compare(
        &self,
        entry: &Entry,
        names: &Names,
    ) -> Result<Option<Comparison>, Trouble> {
        let place = self.place.as_ref();
        if entry.event != self.event || place.is_some_and(|place| !place.is_that_of(entry)) {
            return Ok(None);
        }
        if let Some(matcher) = self.whole {
            let whole = Value::Object(entry.fields.clone());
            return Ok(Some(compare(matcher, Some(&whole), names)?));
        }
        let mut compared = Comparison::default();
        for (name, matcher) in &self.fields {
            let value = entry.fields.get(*name).filter(|value| !value.is_null());
            let field = compare(matcher, value, names)?;
            match self.fields.len() {
                1 => compared = field,
                _ => compared.add(name, field),
            }
        }
        Ok(Some(compared))
    }
}
