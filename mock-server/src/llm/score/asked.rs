//! A request as it came, before anybody has looked inside.

use axum::http::{HeaderMap, Uri};
use bytes::Bytes;

use crate::llm::dialect::Dialect;
use crate::llm::script::origin::{key_in, lane_in, session_in};

#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) dialect: Dialect,
    /// Where it was asked; one service may be found at several places.
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Asked {
    /// The same bytes from the same place. Other headers differ when a client tries again.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.body == other.body && self.is_from_where(other)
    }

    pub(crate) fn is_from_where(&self, other: &Self) -> bool {
        let place = |asked: &Self| {
            let headers = &asked.headers;
            [lane_in(headers), session_in(headers), key_in(headers)]
                .map(|value| value.map(str::to_owned))
        };
        self.dialect == other.dialect && place(self) == place(other)
    }
}
