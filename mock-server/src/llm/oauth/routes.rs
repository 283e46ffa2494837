//! The login's HTTP: `/api/oauth/…` for clients, `/_mock/oauth` for who plays the user.

use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::post;
use axum::{Form, Router};
use serde::Deserialize;
use serde_json::json;

use crate::llm::oauth::OAuthAct;
use crate::llm::oauth::ledger::Issued;
use crate::llm::oauth::refusal::NoToken;
use crate::llm::scripted::ScriptedLlm;
use crate::refused::Refused;
use crate::yaml;

const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

pub(crate) fn routes<S: Clone + Send + Sync + 'static>(llm: &ScriptedLlm) -> Router<S> {
    Router::new()
        .route("/api/oauth/device_authorization", post(device))
        .route("/api/oauth/token", post(token))
        .route("/_mock/oauth", post(act))
        .with_state(llm.clone())
}

async fn device(State(llm): State<ScriptedLlm>) -> Response {
    let begun = llm.services().begin_login();
    let fields = json!({ "device": begun.label, "user_code": begun.user_code });
    llm.note("oauth.device", fields);
    let page = "https://auth.kimi.com/device";
    Json(json!({
        "device_code": begun.device_code,
        "user_code": begun.user_code,
        "verification_uri": page,
        "verification_uri_complete": format!("{page}?user_code={}", begun.user_code),
        "expires_in": begun.expires_in,
        "interval": begun.interval,
    }))
    .into_response()
}

#[derive(Debug, Deserialize)]
struct TokenQuestion {
    grant_type: Option<String>,
    refresh_token: Option<String>,
    device_code: Option<String>,
}

async fn token(
    State(llm): State<ScriptedLlm>,
    asked: Result<Form<TokenQuestion>, FormRejection>,
) -> Response {
    let asked = match asked {
        Ok(Form(asked)) => asked,
        Err(fault) => return misread(&llm, fault.status(), &fault.body_text()),
    };
    let issued = match asked.grant_type.as_deref() {
        Some("refresh_token") => refreshed(&llm, asked.refresh_token.as_deref()),
        Some(DEVICE_GRANT) => polled(&llm, asked.device_code.as_deref()),
        Some(_) => Err(NoToken::UnsupportedGrant),
        None => Err(NoToken::Missing("grant_type")),
    };
    match issued {
        Ok(issued) => Json(json!({
            "access_token": issued.access,
            "refresh_token": issued.refresh,
            "expires_in": issued.expires_in,
            "scope": "kimi-code",
            "token_type": "Bearer",
        }))
        .into_response(),
        Err(refusal @ (NoToken::UnsupportedGrant | NoToken::Missing(_))) => {
            let body = refusal.body();
            tell(&llm, body["error_description"].as_str().unwrap_or_default());
            (refusal.status(), Json(body)).into_response()
        }
        Err(refusal) => (refusal.status(), Json(refusal.body())).into_response(),
    }
}

/// A question that is no form.
fn misread(llm: &ScriptedLlm, status: StatusCode, why: &str) -> Response {
    tell(llm, why);
    let body = json!({ "error": "invalid_request", "error_description": why });
    (status, Json(body)).into_response()
}

/// No client of Kimi's asks so.
fn tell(llm: &ScriptedLlm, why: &str) {
    let report = format!("/api/oauth/token: {why}");
    llm.note("llm.unexpected", json!({ "report": report }));
}

fn refreshed(llm: &ScriptedLlm, token: Option<&str>) -> Result<Issued, NoToken> {
    let token = token.ok_or(NoToken::Missing("refresh_token"))?;
    let (label, issued) = llm.services().refresh(token);
    let (outcome, next) = match &issued {
        Ok(issued) => ("rotated", Some(&issued.label)),
        Err(refusal) => (refusal.code(), None),
    };
    let fields = json!({ "token": label, "outcome": outcome, "next": next });
    llm.note("oauth.refresh", fields);
    issued
}

fn polled(llm: &ScriptedLlm, code: Option<&str>) -> Result<Issued, NoToken> {
    let code = code.ok_or(NoToken::Missing("device_code"))?;
    let issued = llm.services().poll(code);
    let (outcome, next) = match &issued {
        Ok(issued) => ("approved", Some(&issued.label)),
        Err(refusal) => (refusal.code(), None),
    };
    llm.note("oauth.poll", json!({ "outcome": outcome, "next": next }));
    issued
}

/// The body is one word.
async fn act(State(llm): State<ScriptedLlm>, text: String) -> Response {
    let act: OAuthAct = match yaml::read("<posted act>", &text) {
        Ok(act) => act,
        Err(mistakes) => return Refused::Unreadable.with(&mistakes),
    };
    match llm.oauth(act) {
        0 => Refused::Impossible
            .with(&"nobody waits to be let in, and no token is affected; let a client begin first"),
        changed => Json(json!({ "act": act.as_str(), "changed": changed })).into_response(),
    }
}
