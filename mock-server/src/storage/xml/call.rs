//! A request to the XML API, with what every operation asks it for.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE,
};
use axum::http::{HeaderMap, HeaderName, Method};

use crate::storage::refusal::Refusal;
use crate::storage::store::conditions::Conditions;
use crate::storage::store::object::{Address, Attributes};
use crate::storage::store::{Draft, Wanted};
use crate::storage::wire::params::{self, Params};

/// What a client says of an object in its own words.
const META: &str = "x-goog-meta-";

#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) params: Params,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
}

impl Call {
    pub(super) fn of(request: Request) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        Ok(Self {
            method: parts.method,
            params: Params::of(&parts.uri)?,
            headers: parts.headers,
            body,
        })
    }

    pub(super) fn header(&self, name: &'static str) -> Option<String> {
        params::text(&self.headers, &HeaderName::from_static(name))
    }

    fn number(&self, name: &'static str) -> Result<Option<u64>, Refusal> {
        let Some(text) = self.header(name) else {
            return Ok(None);
        };
        let invalid = |_| Refusal::invalid(format!("Invalid value for {name}: '{text}'"));
        text.parse().map(Some).map_err(invalid)
    }

    pub(super) fn conditions(&self) -> Result<Conditions, Refusal> {
        let mut conditions = Conditions {
            generation: self.number("x-goog-if-generation-match")?,
            metageneration: self.number("x-goog-if-metageneration-match")?,
            ..Conditions::default()
        };
        params::tags(&self.headers, &mut conditions)?;
        Ok(conditions)
    }

    /// The conditions on the source of a copy.
    pub(super) fn source_conditions(&self) -> Result<Conditions, Refusal> {
        let text = |name| self.header(name);
        let etags =
            |name| text(name).map(|tags| crate::storage::store::conditions::Etags::parse(&tags));
        Ok(Conditions {
            generation: self.number("x-goog-copy-source-if-generation-match")?,
            metageneration: self.number("x-goog-copy-source-if-metageneration-match")?,
            etag: etags("x-goog-copy-source-if-match"),
            etag_not: etags("x-goog-copy-source-if-none-match"),
            ..Conditions::default()
        })
    }

    pub(super) fn source_generation(&self) -> Result<Option<u64>, Refusal> {
        self.number("x-goog-copy-source-generation")
    }

    pub(super) fn wanted(&self, at: Address) -> Result<Wanted, Refusal> {
        Ok(Wanted {
            at,
            generation: self.params.number("generation")?,
            conditions: self.conditions()?,
        })
    }

    /// The object to be, with what the headers say of it.
    pub(super) fn draft(&self, at: Address) -> Result<Draft, Refusal> {
        Ok(Draft {
            at,
            attributes: self.attributes(),
            conditions: self.conditions()?,
        })
    }

    fn attributes(&self) -> Attributes {
        let text = |name| params::text(&self.headers, &name);
        let metadata = self.headers.keys().filter_map(|name| {
            let own = name.as_str().strip_prefix(META)?;
            Some((own.to_owned(), params::text(&self.headers, name)?))
        });
        Attributes {
            content_type: text(CONTENT_TYPE),
            content_encoding: text(CONTENT_ENCODING).filter(|encoding| encoding != "aws-chunked"),
            content_disposition: text(CONTENT_DISPOSITION),
            content_language: text(CONTENT_LANGUAGE),
            cache_control: text(CACHE_CONTROL),
            storage_class: self.header("x-goog-storage-class"),
            custom_time: self.header("x-goog-custom-time"),
            metadata: metadata.collect(),
            ..Attributes::default()
        }
    }
}
