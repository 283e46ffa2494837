//! What each service says when it fails: the type and the words for every status.
//!
//! Figures and sentences as the services document them or were seen to send; who fails, and
//! when, is decided elsewhere.

use serde_json::{Value, json};

use crate::llm::dialect::{Dialect, anthropic};

/// One failure, as a service words it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wording {
    pub(crate) status: u16,
    /// `error.type`; OpenRouter's `metadata.error_type`.
    pub(crate) kind: &'static str,
    pub(crate) message: &'static str,
}

pub(super) const fn say(status: u16, kind: &'static str, message: &'static str) -> Wording {
    Wording {
        status,
        kind,
        message,
    }
}

/// The first of a status is the usual one.
const OPEN_AI: &[Wording] = &[
    say(
        400,
        "invalid_request_error",
        "We could not parse the JSON body of your request.",
    ),
    say(
        401,
        "invalid_request_error",
        "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
    ),
    say(
        401,
        "invalid_api_key",
        "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys.",
    ),
    say(
        403,
        "insufficient_permissions",
        "You have insufficient permissions for this operation.",
    ),
    say(
        404,
        "model_not_found",
        "The model does not exist or you do not have access to it.",
    ),
    say(408, "timeout", "Request timed out."),
    say(
        413,
        "request_too_large",
        "The request body exceeds the maximum size.",
    ),
    say(
        429,
        "rate_limit_exceeded",
        "Rate limit reached for requests",
    ),
    say(
        429,
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    say(
        500,
        "server_error",
        "The server had an error while processing your request. Sorry about that!",
    ),
    say(502, "server_error", "Bad gateway."),
    say(
        503,
        "service_unavailable",
        "The engine is currently overloaded, please try again later",
    ),
];

const OPEN_ROUTER: &[Wording] = &[
    say(400, "invalid_request", "Invalid request parameters"),
    say(
        400,
        "context_length_exceeded",
        "This endpoint's maximum context length is 262144 tokens. Please reduce the length of the messages.",
    ),
    say(
        400,
        "max_tokens_exceeded",
        "max_tokens exceeds what the endpoint supports",
    ),
    say(401, "authentication", "Missing Authentication header"),
    say(
        402,
        "payment_required",
        "Insufficient credits. Add more using https://openrouter.ai/credits",
    ),
    say(
        403,
        "content_policy_violation",
        "Your input was flagged by moderation",
    ),
    say(403, "refusal", "The model refused to answer"),
    say(404, "not_found", "Resource not found"),
    say(
        408,
        "timeout",
        "Operation timed out. Please try again later.",
    ),
    say(413, "payload_too_large", "Request payload too large"),
    say(422, "invalid_request", "Invalid argument"),
    say(429, "rate_limit_exceeded", "Rate limit exceeded"),
    say(500, "server", "Internal Server Error"),
    say(502, "provider_unavailable", "Provider returned error"),
    say(
        503,
        "provider_overloaded",
        "Service temporarily unavailable",
    ),
    say(524, "timeout", "Request timed out. Please try again later."),
    say(529, "provider_overloaded", "Provider returned error"),
];

const MOONSHOT: &[Wording] = &[
    say(400, "invalid_request_error", "Invalid request: bad request"),
    say(
        400,
        "content_filter",
        "The request was rejected because it was considered high risk",
    ),
    say(
        401,
        "invalid_authentication_error",
        "Invalid Authentication",
    ),
    say(401, "incorrect_api_key_error", "Incorrect API key provided"),
    say(
        403,
        "permission_denied_error",
        "The API you are accessing is not open",
    ),
    say(
        404,
        "resource_not_found_error",
        "Not found the model or Permission denied",
    ),
    say(
        413,
        "invalid_request_error",
        "Your request exceeded the size limit",
    ),
    say(
        429,
        "engine_overloaded_error",
        "The engine is currently overloaded, please try again later",
    ),
    say(
        429,
        "rate_limit_reached_error",
        "Your account reached max RPM, please try again after 1 seconds",
    ),
    say(
        429,
        "exceeded_current_quota_error",
        "Your account is suspended, please check your plan and billing details",
    ),
    say(500, "server_error", "Internal server error"),
    say(502, "server_error", "Bad gateway"),
    say(503, "server_error", "Service unavailable"),
];

const KIMI: &[Wording] = &[
    say(400, "invalid_request_error", "Invalid request: bad request"),
    say(
        400,
        "content_filter",
        "The request was rejected because it was considered high risk",
    ),
    say(
        401,
        "invalid_authentication_error",
        "The API Key appears to be invalid or may have expired. Please verify your credentials and try again.",
    ),
    say(
        402,
        "invalid_request_error",
        "We're unable to verify your membership benefits at this time. Please ensure your membership is active.",
    ),
    say(
        403,
        "access_terminated_error",
        "You've reached your usage limit for this billing cycle. Your quota will be refreshed in the next cycle.",
    ),
    say(
        404,
        "resource_not_found_error",
        "Not found the model or Permission denied",
    ),
    say(
        429,
        "engine_overloaded_error",
        "The engine is currently overloaded, please try again later",
    ),
    say(
        429,
        "rate_limit_reached_error",
        "Your account reached max RPM, please try again after 1 seconds",
    ),
    say(
        429,
        "exceeded_current_quota_error",
        "You've reached your usage limit for this period, please try again later",
    ),
    say(500, "server_error", "Internal server error"),
    say(502, "server_error", "Bad gateway"),
    say(503, "server_error", "Service unavailable"),
];

/// What only coding agents may hear; see the gate of `/coding/v1`.
pub(crate) const AGENTS_ONLY: Wording = say(
    403,
    "access_terminated_error",
    "Kimi For Coding is currently only available for Coding Agents such as Kimi CLI, Claude Code, Roo Code, Kilo Code, etc.",
);

impl Wording {
    /// How the service words a failure of that status; of that type if it has one.
    pub(crate) fn of(dialect: Dialect, status: u16, kind: Option<&str>) -> Option<Self> {
        let mut words = table(dialect)
            .iter()
            .filter(|wording| wording.status == status);
        let usual = words.clone().next();
        words
            .find(|wording| Some(wording.kind) == kind)
            .or(usual)
            .copied()
    }

    /// How the service words a failure of that type, whatever its status.
    pub(crate) fn of_kind(dialect: Dialect, kind: &str) -> Option<Self> {
        let mut words = table(dialect).iter();
        words.find(|wording| wording.kind == kind).copied()
    }
}

fn table(dialect: Dialect) -> &'static [Wording] {
    match dialect {
        Dialect::OpenAi | Dialect::Responses => OPEN_AI,
        Dialect::OpenRouter => OPEN_ROUTER,
        Dialect::Moonshot => MOONSHOT,
        Dialect::Kimi => KIMI,
        Dialect::Anthropic => anthropic::WORDING,
    }
}

/// What OpenRouter tells beside the message: who failed, and what would help.
pub(crate) fn metadata(status: u16, kind: &str) -> Value {
    let provider = || {
        json!({
            "error_type": kind,
            "raw": "upstream error",
            "provider_name": "mock-server",
            "is_byok": false,
        })
    };
    match status {
        402 => json!({ "error_type": kind, "limit_source": "openrouter_credits" }),
        403 if kind == "content_policy_violation" => json!({
            "error_type": kind,
            "reasons": ["harmful"],
            "flagged_input": "…",
            "provider_name": "mock-server",
            "model_slug": null,
        }),
        429 | 502 | 529 => provider(),
        _other => json!({ "error_type": kind }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(dialect: Dialect, status: u16, kind: Option<&str>, said: Option<(&str, &str)>) {
        let wording = Wording::of(dialect, status, kind);
        let words = wording.map(|wording| (wording.kind, wording.message));
        assert_eq!(words, said);
    }

    #[test]
    fn each_service_has_its_words() {
        check(
            Dialect::OpenRouter,
            401,
            None,
            Some(("authentication", "Missing Authentication header")),
        );
        check(
            Dialect::Moonshot,
            401,
            None,
            Some(("invalid_authentication_error", "Invalid Authentication")),
        );
        check(
            Dialect::Moonshot,
            429,
            Some("exceeded_current_quota_error"),
            Some((
                "exceeded_current_quota_error",
                "Your account is suspended, please check your plan and billing details",
            )),
        );
        check(Dialect::Kimi, 418, None, None);
    }

    #[test]
    fn openrouter_has_words_for_every_documented_status() {
        for status in [
            400, 401, 402, 403, 404, 408, 413, 422, 429, 500, 502, 503, 524, 529,
        ] {
            assert!(Wording::of(Dialect::OpenRouter, status, None).is_some());
        }
    }
}
