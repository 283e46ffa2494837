//! `POST /v1/groups/<folder>/messages`: has the assistant say something in a group's chat.
//!
//! Body: `{"text": "…"}`. The answer comes when the text is kept, in as many parts as its channel
//! wants: from then on it leaves by itself, a crash or a network that is away notwithstanding.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::Api;
use super::naming::group_named;
use super::problem::{Problem, json};
use crate::clock::Work;
use crate::ids::{ChatJid, GroupFolder};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    text: String,
}

#[derive(Serialize)]
struct Kept {
    group: GroupFolder,
    chat: ChatJid,
    /// The message id of each part, as `message.sent` and `message.failed` name it.
    ids: Vec<String>,
    /// The newest event by then: what becomes of the text is told behind it.
    last_event: u64,
}

pub(super) async fn say(
    State(api): State<Api>,
    Path(folder): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body =
        body.map_err(|rejected| Problem::new(rejected.status(), "body", rejected.body_text()))?;
    if api.stop.is_cancelled() {
        return Err(Problem::stopping());
    }
    let Said { text } = serde_json::from_slice(&body)
        .map_err(|error| Problem::bad_request(format!("the body is not a message: {error}")))?;
    if text.trim().is_empty() {
        return Err(Problem::bad_request("`text` is empty"));
    }
    let group = group_named(&api, &folder).await?;
    let Some(parts) = api.fits.parts(&group.chat, &text) else {
        let chat = &group.chat;
        let message = format!(
            "no channel reaches `{chat}`: link WhatsApp with `nanokimi auth`, then start nanokimi again"
        );
        return Err(Problem::new(StatusCode::CONFLICT, "no_channel", message));
    };
    let busy = api.house.clock.busy(Work::Outbox);
    let last_event = api.house.events.newest();
    let (chat, now) = (group.chat.clone(), api.house.clock.now());
    // Also when the client goes before it has the answer: what is kept is to leave.
    let knock = api.outbox.knock(busy);
    let ids = api.house.store.queue_texts(chat, parts, now).await?;
    drop(knock);
    tracing::info!(group = %group.folder, parts = ids.len(), "a text of the operator's is kept");
    let kept = Kept {
        group: group.folder,
        chat: group.chat,
        ids,
        last_event,
    };
    Ok((StatusCode::ACCEPTED, json(kept)).into_response())
}
