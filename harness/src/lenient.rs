//! Reading text that may as well be something else; then it is none of this.

use std::str::FromStr;

use serde_json::Value;

/// The text as a `T`, if it is one.
pub(crate) fn parsed<T: FromStr>(text: &str) -> Option<T> {
    match text.parse() {
        Ok(value) => Some(value),
        Err(_something_else) => None,
    }
}

/// The text as JSON, if it is that.
pub(crate) fn json(text: &str) -> Option<Value> {
    match serde_json::from_str(text) {
        Ok(value) => Some(value),
        Err(_something_else) => None,
    }
}
