//! Who asks: the token endpoint of service accounts, the metadata server of a machine in the
//! cloud, and whether a token opens anything.
//!
//! Signatures are not verified: nobody's public key is known here. Everything else of a grant
//! is.

mod assertion;
mod ledger;
mod metadata;
mod token;

pub use ledger::Access;

pub(crate) use ledger::Ledger;
pub(crate) use metadata::{FLAVOR, GOOGLE, is_probe};

use axum::Router;

use crate::storage::Storage;

pub(crate) fn routes(storage: &Storage) -> Router {
    metadata::routes()
        .merge(token::routes())
        .with_state(storage.clone())
}
