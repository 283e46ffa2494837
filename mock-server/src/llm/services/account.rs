//! Whose account it is: credits, keys and quotas, as each service tells them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::lapse::Lapse;
use crate::llm::services::catalogue::dollars;

/// The account behind every key. What answers cost is added to what it has used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Account {
    /// OpenRouter: what was paid in, in dollars; spent, every question is a 402. Default:
    /// 100, and never spent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credits: Option<f64>,
    /// OpenRouter: what was used before, in dollars.
    pub usage: f64,
    /// OpenRouter: how long nobody can be told about an answer that has just been given;
    /// until then `GET generation` is a 404. In whole seconds. Default: 0.
    pub told_after: Lapse,
    /// OpenRouter: the key that asks.
    pub key: KeyOnRecord,
    /// Moonshot: what is left; with nothing left, every question is a 429.
    pub balance: Balance,
    /// Kimi: the quota of the membership.
    pub quota: Quota,
}

/// What OpenRouter knows about a key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KeyOnRecord {
    /// How it is shown. Default: `sk-or-v1-moc...k00`.
    pub label: String,
    /// How much it may spend, in dollars. Default: any amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// When that begins anew: `daily`, `weekly` or `monthly`. Default: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_reset: Option<String>,
    /// Whether nothing was ever paid in.
    pub free_tier: bool,
}

/// What Moonshot's open platform has left for the account.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Balance {
    /// May be below zero. Default: 10.
    pub cash: f64,
    /// Given by vouchers.
    pub voucher: f64,
}

/// How much of Kimi's membership is used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Quota {
    /// How many questions a week. Default: 2048.
    pub limit: u64,
    /// How many of them were asked.
    pub used: u64,
    /// The same within five hours. Default: 200.
    pub window_limit: u64,
    /// How many of these were asked.
    pub window_used: u64,
    /// When the week is over. Default: 2026-01-12T00:00:00Z.
    pub resets_at: String,
}

impl Default for KeyOnRecord {
    fn default() -> Self {
        Self {
            label: "sk-or-v1-moc...k00".to_owned(),
            limit: None,
            limit_reset: None,
            free_tier: false,
        }
    }
}

impl Default for Balance {
    fn default() -> Self {
        Self {
            cash: 10.0,
            voucher: 0.0,
        }
    }
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            limit: 2048,
            used: 0,
            window_limit: 200,
            window_used: 0,
            resets_at: "2026-01-12T00:00:00Z".to_owned(),
        }
    }
}

impl Account {
    /// Whether nothing is left of what was paid in.
    pub(crate) fn is_spent(&self, spent: u64) -> bool {
        self.credits
            .is_some_and(|credits| self.usage + dollars(spent) >= credits)
    }

    /// The body of OpenRouter's `GET credits`.
    pub(crate) fn credits(&self, spent: u64) -> Value {
        json!({ "data": {
            "total_credits": self.credits.unwrap_or(100.0),
            "total_usage": self.usage + dollars(spent),
        } })
    }

    /// The body of OpenRouter's `GET key`.
    pub(crate) fn key(&self, spent: u64) -> Value {
        let (spent, key) = (dollars(spent), &self.key);
        let usage = self.usage + spent;
        json!({ "data": {
            "label": key.label,
            "limit": key.limit,
            "limit_remaining": key.limit.map(|limit| limit - usage),
            "limit_reset": key.limit_reset,
            "include_byok_in_limit": false,
            "usage": usage,
            "usage_daily": spent,
            "usage_weekly": spent,
            "usage_monthly": spent,
            "byok_usage": 0,
            "byok_usage_daily": 0,
            "byok_usage_weekly": 0,
            "byok_usage_monthly": 0,
            "is_free_tier": key.free_tier,
            "is_management_key": false,
            "is_provisioning_key": false,
            "expires_at": null,
            "rate_limit": {
                "requests": -1,
                "interval": "10s",
                "note": "This field is deprecated and safe to ignore.",
            },
        } })
    }

    /// The body of Kimi's `GET usages`: numbers as texts, as Kimi sends them.
    pub(crate) fn usages(&self) -> Value {
        let detail = |limit: u64, used: u64| {
            json!({
                "limit": limit.to_string(),
                "used": used.to_string(),
                "remaining": limit.saturating_sub(used).to_string(),
                "resetTime": self.quota.resets_at,
            })
        };
        let quota = &self.quota;
        json!({
            "usage": detail(quota.limit, quota.used),
            "limits": [{
                "window": { "duration": 300, "timeUnit": "TIME_UNIT_MINUTE" },
                "detail": detail(quota.window_limit, quota.window_used),
            }],
        })
    }
}

impl Balance {
    /// Debts are not paid with vouchers.
    pub(crate) fn available(self) -> f64 {
        self.voucher + self.cash.max(0.0)
    }

    /// The body of Moonshot's `GET users/me/balance`.
    pub(crate) fn body(self) -> Value {
        json!({
            "code": 0,
            "data": {
                "available_balance": self.available(),
                "voucher_balance": self.voucher,
                "cash_balance": self.cash,
            },
            "scode": "0x0",
            "status": true,
        })
    }
}
