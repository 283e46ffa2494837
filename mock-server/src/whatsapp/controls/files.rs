//! The words for what goes wrong at the media host.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How every attempt to fetch a file fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FileFault {
    /// The host answers with this status, e.g. 404, 410 or 500.
    Status(u16),
    /// The host hangs up in the middle of the file.
    Cut,
    /// A byte in the middle is not what its author sent.
    Corrupt,
}

/// What the next uploads to the media host get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UploadRefusal {
    /// E.g. 413 or 500.
    pub status: u16,
    /// Default: every upload from now on, until `refuse_uploads` with `times: 0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
}
