//! The parameters of a request, read once.

use std::collections::HashMap;
use std::str::FromStr;

use axum::extract::{FromRequestParts, Query as UrlQuery};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Uri};
use jiff::Timestamp;

use crate::storage::refusal::{Refusal, Wrong};
use crate::storage::store::conditions::{Conditions, Etags};
use crate::storage::wire::date;

/// What stands behind the question mark; the first of a name counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(HashMap<String, String>);

impl Params {
    pub(crate) fn of(uri: &Uri) -> Result<Self, Refusal> {
        let read = UrlQuery::<Vec<(String, String)>>::try_from_uri(uri);
        let UrlQuery(pairs) = read.map_err(|fault| Refusal::invalid(fault.to_string()))?;
        let mut params = HashMap::new();
        for (name, value) in pairs {
            params.entry(name).or_insert(value);
        }
        Ok(Self(params))
    }

    /// None of what cannot be read; who reads them for good refuses that.
    pub(crate) fn lenient(uri: &Uri) -> Self {
        Self::of(uri).unwrap_or_else(|_unreadable| Self::default())
    }

    /// An empty value is as good as none.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(crate) fn required(&self, name: &str) -> Result<&str, Refusal> {
        let missing = || Refusal::new(Wrong::Required, format!("Required parameter: {name}"));
        self.text(name).ok_or_else(missing)
    }

    pub(crate) fn number<N: FromStr>(&self, name: &str) -> Result<Option<N>, Refusal> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_no_number) => Err(invalid(name, text)),
        }
    }

    /// Python writes `True`.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.text(name).map(str::to_ascii_lowercase).as_deref() {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(other) => Err(invalid(name, other)),
        }
    }

    /// `ifGenerationMatch` and the others; with `ifSource…` those of a source.
    pub(crate) fn conditions(&self, prefix: &str) -> Result<Conditions, Refusal> {
        let number = |name: &str| self.number(&format!("{prefix}{name}"));
        Ok(Conditions {
            generation: number("GenerationMatch")?,
            generation_not: number("GenerationNotMatch")?,
            metageneration: number("MetagenerationMatch")?,
            metageneration_not: number("MetagenerationNotMatch")?,
            ..Conditions::default()
        })
    }
}

fn invalid(name: &str, text: &str) -> Refusal {
    Refusal::invalid(format!("Invalid value for {name}: '{text}'"))
}

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Self::of(&parts.uri)
    }
}

/// The conditions that stand in the headers of HTTP itself.
pub(crate) fn tags(headers: &HeaderMap, conditions: &mut Conditions) -> Result<(), Refusal> {
    let text = |name| text(headers, &name);
    let date = |name| match text(name) {
        None => Ok(None),
        Some(text) => read_date(&text).map(Some),
    };
    use axum::http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
    conditions.etag = text(IF_MATCH).map(|tags| Etags::parse(&tags));
    conditions.etag_not = text(IF_NONE_MATCH).map(|tags| Etags::parse(&tags));
    conditions.modified_since = date(IF_MODIFIED_SINCE)?;
    conditions.unmodified_since = date(IF_UNMODIFIED_SINCE)?;
    Ok(())
}

fn read_date(text: &str) -> Result<Timestamp, Refusal> {
    let refused = || Refusal::invalid(format!("'{text}' is no date of HTTP."));
    date::read(text).ok_or_else(refused)
}

/// A header as text; several of one name are one list.
pub(crate) fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values = headers.get_all(name).into_iter();
    let values: Vec<_> = values
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    (!values.is_empty()).then(|| values.join(", "))
}

/// None for what is not written so.
pub(crate) fn read<T: FromStr>(text: &str) -> Option<T> {
    match text.trim().parse() {
        Ok(read) => Some(read),
        Err(_another) => None,
    }
}
