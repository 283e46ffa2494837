//! `/_mock/whatsapp`: the same words over HTTP, for people and other processes.

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Control, ControlError, GroupCast, LinkedAccount, WhatsApp};
use crate::lapse::Lapse;
use crate::refused::Refused;
use crate::yaml;

pub(crate) fn routes<S: Clone + Send + Sync + 'static>(whatsapp: &WhatsApp) -> Router<S> {
    Router::new()
        .route("/_mock/whatsapp", get(describe).post(act))
        .route("/_mock/whatsapp/accounts", get(linked).post(link))
        .route("/_mock/whatsapp/chats", post(stage))
        .route("/_mock/whatsapp/jid", get(jid))
        .route("/_mock/whatsapp/online", get(online))
        .route("/_mock/whatsapp/rest", post(rest))
        .with_state(whatsapp.clone())
}

/// What was posted, called `what` in messages about it.
#[expect(
    clippy::result_large_err,
    reason = "the error is the answer, and is sent at once"
)]
fn read<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, Response> {
    let file = format!("<posted {what}>");
    yaml::read(&file, text).map_err(|mistakes| Refused::Unreadable.with(&mistakes))
}

fn impossible(fault: &ControlError) -> Response {
    let kind = if matches!(fault, ControlError::Closed) {
        Refused::Gone
    } else {
        Refused::Impossible
    };
    kind.with(fault)
}

async fn describe(State(whatsapp): State<WhatsApp>) -> Response {
    match whatsapp.describe().await {
        Ok(state) => {
            let places = json!({
                "socket": whatsapp.socket_url(),
                "media_authority": whatsapp.media_authority(),
            });
            Json(merged(places, state)).into_response()
        }
        Err(ended) => impossible(&ended),
    }
}

async fn act(State(whatsapp): State<WhatsApp>, text: String) -> Response {
    let control: Control = match read("control", &text) {
        Ok(control) => control,
        Err(refused) => return refused,
    };
    match whatsapp.control(control).await {
        Ok(done) => Json(done).into_response(),
        Err(fault) => impossible(&fault),
    }
}

/// The devices that are linked, to be given to another mock.
async fn linked(State(whatsapp): State<WhatsApp>) -> Response {
    Json(whatsapp.linked().await).into_response()
}

async fn link(State(whatsapp): State<WhatsApp>, text: String) -> Response {
    let account: LinkedAccount = match read("account", &text) {
        Ok(account) => account,
        Err(refused) => return refused,
    };
    match whatsapp.link(account).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(fault) => impossible(&fault),
    }
}

/// A chat that was there before anything happened.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Staged {
    Group(GroupCast),
    /// The chat with a person alone gets a name.
    Direct {
        name: String,
        person: String,
    },
}

async fn stage(State(whatsapp): State<WhatsApp>, text: String) -> Response {
    let staged = match read("chat", &text) {
        Ok(Staged::Group(group)) => whatsapp.stage_group(group).await,
        Ok(Staged::Direct { name, person }) => whatsapp.stage_direct(&name, &person).await,
        Err(refused) => return refused,
    };
    match staged {
        Ok(jid) => Json(json!({ "jid": jid })).into_response(),
        Err(fault) => impossible(&fault),
    }
}

#[derive(Debug, Deserialize)]
struct Sought {
    of: String,
}

/// The JID of a chat or of a person; null if nobody has that name.
async fn jid(State(whatsapp): State<WhatsApp>, Query(sought): Query<Sought>) -> Response {
    Json(json!({ "jid": whatsapp.jid_of(&sought.of) })).into_response()
}

async fn online(State(whatsapp): State<WhatsApp>) -> Response {
    Json(json!({ "online": whatsapp.online().await })).into_response()
}

/// How long, in real time, stanzas may be on their way.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Patience {
    within: Lapse,
}

/// Answers when no stanza is on its way.
async fn rest(State(whatsapp): State<WhatsApp>, text: String) -> Response {
    let patience: Patience = match read("patience", &text) {
        Ok(patience) => patience,
        Err(refused) => return refused,
    };
    match whatsapp.at_rest(patience.within.length()).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(unsettled) => Refused::Impossible.with(&unsettled),
    }
}

fn merged(mut first: Value, second: Value) -> Value {
    if let (Value::Object(first), Value::Object(second)) = (&mut first, second) {
        first.extend(second);
    }
    first
}
