//! A request to the JSON API, with what every operation asks it for.

use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{fields, resource};
use crate::storage::Storage;
use crate::storage::refusal::Refusal;
use crate::storage::store::conditions::Conditions;
use crate::storage::store::object::{Address, Object};
use crate::storage::store::{Draft, Wanted};
use crate::storage::wire::params::{self, Params};
use crate::storage::wire::{base, body};

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) params: Params,
    pub(crate) headers: HeaderMap,
    body: Body,
}

impl<S: Sync> FromRequest<S> for Call {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        Ok(Self {
            params: Params::of(&parts.uri)?,
            headers: parts.headers,
            body,
        })
    }
}

impl Call {
    pub(crate) fn take_body(&mut self) -> Body {
        std::mem::take(&mut self.body)
    }

    /// The body as a resource; without one, an empty one.
    pub(crate) async fn resource(&mut self) -> Result<Map<String, Value>, Refusal> {
        let body = self.take_body();
        read_resource(&body::bytes(&self.headers, body).await?)
    }

    /// The conditions of what is asked for: parameters and headers.
    pub(crate) fn conditions(&self) -> Result<Conditions, Refusal> {
        let mut conditions = self.params.conditions("if")?;
        params::tags(&self.headers, &mut conditions)?;
        Ok(conditions)
    }

    /// The object that is asked for.
    pub(crate) fn wanted(&self, bucket: &str, object: &str) -> Result<Wanted, Refusal> {
        Ok(Wanted {
            at: Address::new(bucket, object)?,
            generation: self.params.number("generation")?,
            conditions: self.conditions()?,
        })
    }

    /// The object that another is made of.
    pub(crate) fn source(&self, bucket: &str, object: &str) -> Result<Wanted, Refusal> {
        Ok(Wanted {
            at: Address::new(bucket, object)?,
            generation: self.params.number("sourceGeneration")?,
            conditions: self.params.conditions("ifSource")?,
        })
    }

    /// The object to be made, of which nothing is said yet.
    pub(crate) fn target(&self, bucket: &str, object: &str) -> Result<Draft, Refusal> {
        Ok(Draft {
            at: Address::new(bucket, object)?,
            attributes: Default::default(),
            conditions: self.params.conditions("if")?,
        })
    }

    /// An object's resource, or what of it is asked for.
    pub(crate) fn object(&self, storage: &Storage, object: &Object) -> Response {
        self.answer(&resource::object(object, &base(storage, &self.headers)))
    }

    pub(crate) fn answer(&self, resource: &impl Serialize) -> Response {
        let Some(wanted) = self.params.text("fields") else {
            return Json(resource).into_response();
        };
        let mut resource = json!(resource);
        fields::keep(&mut resource, wanted);
        Json(resource).into_response()
    }
}

/// A resource as a client sends it.
pub(crate) fn read_resource(text: &[u8]) -> Result<Map<String, Value>, Refusal> {
    if text.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    let read = serde_json::from_slice(text);
    read.map_err(|fault| Refusal::invalid(format!("Parse Error: {fault}")))
}
