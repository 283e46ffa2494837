//! The JSON API.
//!
//! <https://cloud.google.com/storage/docs/json_api/v1>; its prefixes, and the same without
//! `/storage/v1`, as a client asks that was told of an emulator.

mod batch;
mod buckets;
mod call;
mod changes;
mod error;
mod fields;
mod insert;
mod listing;
mod objects;
mod related;
mod resource;
mod resumable;
mod routes;

pub(crate) use error::body as error_body;
pub(crate) use resource::escaped;
pub(crate) use routes::{PREFIXES, routes, unserved};
