//! What a script says about the services beside its turns.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::llm::oauth::ScriptedOAuth;
use crate::llm::script::limits::Limits;
use crate::llm::services::account::Account;
use crate::llm::services::admission::{Agents, Keys};
use crate::llm::services::catalogue::ListedModel;
use crate::llm::services::web::{ScriptedPage, ScriptedSearch};

/// The services around the model. What is not scripted is as it usually is; of two scripts
/// the later one says how it is, but searches and pages add up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScriptedServices {
    /// Quotas of a minute. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Which keys pass. Default: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<Keys>,
    /// Which programs Kimi's coding service talks to. Default: coding agents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agents: Option<Agents>,
    /// Credits, balance, quota and key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
    /// The models that are listed. Default: some of each service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<ListedModel>>,
    /// Kimi's login. Default: keys are enough until somebody logs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth: Option<ScriptedOAuth>,
    /// What Kimi's search finds. Default: a search is an error.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<ScriptedSearch>,
    /// What Kimi's fetch service can fetch. Default: a fetch is an error.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pages: Vec<ScriptedPage>,
}
