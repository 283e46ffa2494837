//! One question to a service and its answer, as they went over the wire: without secrets.

use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::journal::MASK;
use crate::llm::Dialect;
use crate::record::secrets::{Secrets, authenticates};

/// A request and what came back; one line of a file of exchanges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exchange {
    pub(crate) request: Sent,
    pub(crate) response: Received,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sent {
    pub(crate) method: String,
    /// As the service has it, with its query.
    pub(crate) path: String,
    pub(crate) headers: Headers,
    pub(crate) body: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Received {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    pub(crate) body: String,
    /// When the first so many bytes of the body were here, from the request on.
    #[serde(skip)]
    pub(crate) arrivals: Vec<(usize, Duration)>,
}

pub(crate) type Headers = IndexMap<String, String>;

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Model(Dialect),
    /// A model, in a dialect that is not recorded.
    OtherModel,
    Other,
}

impl Exchange {
    /// What tells who somebody is.
    pub(crate) fn learn(&self, secrets: &mut Secrets) {
        let headers = self.request.headers.iter();
        for (name, value) in headers.chain(&self.response.headers) {
            secrets.learn(name, value);
        }
    }

    pub(crate) fn masked(mut self, secrets: &Secrets) -> Self {
        mask_headers(&mut self.request.headers, secrets);
        mask_headers(&mut self.response.headers, secrets);
        self.request.path = secrets.masked(&self.request.path);
        self.request.body = secrets.masked_document(&self.request.body);
        self.response.body = if self.response.is_stream() {
            secrets.masked_stream(&self.response.body)
        } else {
            secrets.masked_document(&self.response.body)
        };
        self
    }
}

impl Sent {
    /// What the request is for a recording.
    pub(crate) fn kind(&self) -> Kind {
        let path = self.path.split('?').next().unwrap_or(&self.path);
        if self.method != "POST" {
            return Kind::Other;
        }
        match Dialect::asked_at(path, self.body.as_bytes()) {
            Some(dialect) => Kind::Model(dialect),
            None if path.ends_with("/completions") => Kind::OtherModel,
            None => Kind::Other,
        }
    }

    /// E.g. `POST /v1/chat/completions`.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

impl Received {
    pub(crate) fn is_stream(&self) -> bool {
        self.content_type() == Some("text/event-stream")
    }

    /// Without parameters such as the charset.
    pub(crate) fn content_type(&self) -> Option<&str> {
        let header = self.headers.get("content-type")?;
        header.split(';').next().map(str::trim)
    }
}

fn mask_headers(headers: &mut Headers, secrets: &Secrets) {
    for (name, value) in headers {
        *value = if authenticates(name) {
            MASK.to_owned()
        } else {
            secrets.masked(value)
        };
    }
}
