//! What a script says about logging in at Kimi.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Kimi's login. Once a script has this, `/coding/v1` takes access tokens, and keys only if
/// `keys` lists them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScriptedOAuth {
    /// The tokens that are valid at the start.
    pub tokens: Vec<ScriptedTokens>,
    /// How long an access token is valid, in seconds of the scenario's clock. Default: 900.
    pub expires_in: NonZeroU32,
    /// What a device hears that asks to be let in.
    pub device: ScriptedDevice,
}

/// A pair of tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScriptedTokens {
    /// Opens `/coding/v1`.
    pub access: String,
    /// Gets a new pair, once.
    pub refresh: String,
    /// How long the access token is valid from now on, in seconds; 0 if it has expired.
    /// Default: as long as any.
    #[serde(default)]
    pub expires_in: Option<u32>,
}

/// The device flow: the user answers on another screen, while the device asks again and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScriptedDevice {
    /// How many seconds the device is told to wait between two questions. Default: 1.
    pub interval: u32,
    /// How long the user has, in seconds of the scenario's clock. Default: 600.
    pub expires_in: u32,
    /// What the device hears, question by question. Afterwards: `pending` until the user acts.
    pub polls: Vec<Poll>,
}

/// What a device hears when it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Poll {
    /// The user has not answered yet.
    Pending,
    /// It asks too often.
    SlowDown,
    /// The user says yes.
    Approve,
    /// The user says no.
    Deny,
    /// The user took too long.
    Expire,
}

/// What a user does on another screen, or to all devices at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OAuthAct {
    /// Lets the devices in that wait.
    Approve,
    /// Turns the devices away that wait.
    Deny,
    /// Lets time run out: for devices that wait, and for every access token.
    Expire,
    /// Logs all devices out: no token is worth anything any more.
    Revoke,
}

impl Default for ScriptedOAuth {
    fn default() -> Self {
        Self {
            tokens: Vec::new(),
            expires_in: USUAL_LIFE,
            device: ScriptedDevice::default(),
        }
    }
}

const USUAL_LIFE: NonZeroU32 = NonZeroU32::new(900).unwrap();

impl Default for ScriptedDevice {
    fn default() -> Self {
        Self {
            interval: 1,
            expires_in: 600,
            polls: Vec::new(),
        }
    }
}

impl OAuthAct {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
            Self::Expire => "expire",
            Self::Revoke => "revoke",
        }
    }
}
