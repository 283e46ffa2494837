//! What can be read: health, status, conversations.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;

use super::Api;
use super::problem::{Problem, json};
use crate::agent::{Boxes, EngineStatus};
use crate::channel::{ChannelState, ChannelStatus};
use crate::ids::{ChatJid, GroupFolder};
use crate::store::{HistoryLine, StoreStatus};
use crate::workspace::{Keeping, Standing};

#[derive(Serialize)]
struct Health {
    status: &'static str,
    /// How each channel stands, by its name.
    channels: BTreeMap<String, ChannelState>,
    /// Whether the container engine answers, where agents need it.
    #[serde(skip_serializing_if = "Option::is_none")]
    engine: Option<&'static str>,
    /// `kept`, `pending` or `failing`, where workspaces are kept beyond this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    workspaces: Option<Keeping>,
}

#[derive(Serialize)]
struct Status {
    version: &'static str,
    now: Timestamp,
    time_zone: String,
    agent_runtime: &'static str,
    /// The container engine, where agents need it.
    #[serde(skip_serializing_if = "Option::is_none")]
    engine: Option<EngineStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workspaces: Option<Standing>,
    channels: Vec<ChannelStatus>,
    store: StoreStatus,
}

#[derive(Serialize)]
struct Sessions {
    sessions: Vec<Conversation>,
}

#[derive(Serialize)]
struct Conversation {
    id: String,
    group: GroupFolder,
    name: String,
    is_main: bool,
}

#[derive(Serialize)]
struct History {
    id: String,
    messages: Vec<HistoryLine>,
}

pub(super) async fn health(State(api): State<Api>) -> Response {
    let channels = match api.house.store.channels().await {
        Ok(channels) => channels,
        Err(error) => return Problem::from(error).into_response(),
    };
    let status = if api.stop.is_cancelled() {
        "stopping"
    } else {
        "ok"
    };
    let channels = channels
        .into_iter()
        .map(|status| (status.channel, status.state))
        .collect();
    let standing = Standing::of(&api.house.config, &api.house.store);
    let workspaces = match standing.await {
        Ok(standing) => standing.map(|standing| standing.state()),
        Err(error) => return Problem::from(error).into_response(),
    };
    let engine = api.boxes.map(|boxes| boxes.state().word());
    json(Health {
        status,
        channels,
        engine,
        workspaces,
    })
}

pub(super) async fn status(State(api): State<Api>) -> Result<Response, Problem> {
    Ok(json(Status {
        version: env!("CARGO_PKG_VERSION"),
        now: api.house.clock.now(),
        time_zone: api.house.config.time_zone_name.clone(),
        agent_runtime: api.house.config.agent_runtime.word(),
        engine: api.boxes.as_ref().map(Boxes::status),
        workspaces: Standing::of(&api.house.config, &api.house.store).await?,
        channels: api.house.store.channels().await?,
        store: api.house.store.status().await?,
    }))
}

pub(super) async fn sessions(State(api): State<Api>) -> Result<Response, Problem> {
    let groups = api.house.store.groups().await?;
    let sessions = groups
        .into_iter()
        .filter_map(|group| {
            let id = group.chat.http_conversation()?.to_owned();
            Some(Conversation {
                id,
                group: group.folder,
                name: group.name,
                is_main: group.is_main,
            })
        })
        .collect();
    Ok(json(Sessions { sessions }))
}

/// `/v1/chat/sessions/<id>/history`; an id may hold slashes, and may be a WhatsApp chat's.
pub(super) async fn history(
    State(api): State<Api>,
    Path(rest): Path<String>,
) -> Result<Response, Problem> {
    let no_such = |what: &str| {
        let message = format!("there is no conversation `{what}`; `/v1/chat/sessions` lists them");
        Problem::new(StatusCode::NOT_FOUND, "no_such_session", message)
    };
    let Some(id) = rest.strip_suffix("/history") else {
        return Err(no_such(&rest));
    };
    let mut chats = [ChatJid::http(id), id.parse()].into_iter().flatten();
    let chat = loop {
        let chat = chats.next().ok_or_else(|| no_such(id))?;
        if api.house.store.group_of_chat(chat.clone()).await?.is_some() {
            break chat;
        }
    };
    Ok(json(History {
        id: id.to_owned(),
        messages: api.house.store.history(chat).await?,
    }))
}
