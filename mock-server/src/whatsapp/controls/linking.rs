//! The words for how a new device is linked, and why it is not.

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the server offers to a client that wants to be linked. When the last code is no longer
/// good, it hangs up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkOffer {
    /// So many QR codes, one after the other. Default: six.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codes: Option<u32>,
    /// How long each code is good, one that is typed in as well. Default: as with WhatsApp, a
    /// minute for the first QR code, 20 s for the others, three minutes for one that is typed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub last: Option<SignedDuration>,
}

/// What a client gets that asks for a code to be typed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CodeRefusal {
    pub with: CodeReason,
    /// Default: every request from now on, until `refuse_code` with `times: 0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
}

/// Why a code to be typed in is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CodeReason {
    /// 400; WhatsApp says so, too, when one number has had too many codes.
    BadRequest,
    /// 403.
    Forbidden,
    /// 429: this client asks for too many codes.
    RateLimited,
    /// 452: the account cannot be linked in this way.
    NotAvailable,
    /// 500.
    Internal,
}
