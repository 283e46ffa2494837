//! `GET /v1/events`: every state change as server-sent events, resumable by `Last-Event-ID`.
//!
//! `?event=message.sent,run` tells only what has one of these names, or begins with one and a dot;
//! `?group=<folder>` only what concerns that group; `?last=<count>` only the newest so many of what
//! is there; `?follow=false` ends behind what is there.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event as Frame, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;

use super::Api;
use super::naming::group_named;
use super::problem::Problem;
use crate::events::{Event, EventReader, NAMES, Numbered};
use crate::store::Group;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    event: Option<String>,
    group: Option<String>,
    last: Option<usize>,
    follow: Option<bool>,
}

/// Which events are told.
struct Filter {
    /// None: whatever it is called.
    names: Option<Vec<&'static str>>,
    /// None: whoever's it is.
    group: Option<Group>,
}

/// A reader of what is wanted.
struct Telling {
    reader: EventReader,
    filter: Filter,
    /// The number of the last event that was read.
    read: u64,
    /// The number of the last that is told; none goes on.
    until: Option<u64>,
}

pub(super) async fn events(
    State(api): State<Api>,
    headers: HeaderMap,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(wanted) = wanted.map_err(|rejected| Problem::bad_request(rejected.body_text()))?;
    let filter = Filter {
        names: wanted.event.as_deref().map(names).transpose()?,
        group: match &wanted.group {
            Some(folder) => Some(group_named(&api, folder).await?),
            None => None,
        },
    };
    let log = &api.house.events;
    let newest_wanted = wanted
        .last
        .map(|count| log.before_newest(count, |event| filter.takes(event)));
    // Who goes on has had the newest before.
    let read = match resumed(&api, &headers)? {
        0 => newest_wanted.unwrap_or(0),
        resumed => resumed,
    };
    let until = (wanted.follow == Some(false)).then(|| log.newest());
    let telling = Telling {
        reader: log.read_after(read),
        filter,
        read,
        until,
    };
    let frames = stream::unfold(telling, |mut telling| async move {
        let event = telling.next().await?;
        Some((Ok::<_, Infallible>(frame(&event)), telling))
    });
    Ok(Sse::new(frames)
        .keep_alive(KeepAlive::default())
        .into_response())
}

/// The number behind which a reader goes on.
fn resumed(api: &Api, headers: &HeaderMap) -> Result<u64, Problem> {
    let after = match headers.get("last-event-id") {
        None => 0,
        Some(value) => String::from_utf8_lossy(value.as_bytes())
            .trim()
            .parse()
            .map_err(|_foreign| Problem::bad_request("`Last-Event-ID` is no number of ours"))?,
    };
    // A number from before our start means nothing here; the reader has missed all there is.
    let known = after <= api.house.events.newest();
    Ok(if known { after } else { 0 })
}

fn frame(event: &Numbered) -> Frame {
    // Every event is made of text and numbers, which always serialise.
    let text = serde_json::to_string(event).unwrap_or_else(|error| error.to_string());
    Frame::default()
        .id(event.number.to_string())
        .event(event.event.name())
        .data(text)
}

/// The names that a list of names, or of what they begin with, stands for.
fn names(list: &str) -> Result<Vec<&'static str>, Problem> {
    let mut wanted = Vec::new();
    for asked in list.split(',').map(str::trim) {
        let fits = |name: &&str| {
            let rest = name.strip_prefix(asked);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let known = wanted.len();
        wanted.extend(NAMES.into_iter().filter(fits));
        if wanted.len() == known {
            let names = NAMES.join(", ");
            let message = format!("there is no event `{asked}`; there are: {names}");
            return Err(Problem::bad_request(message));
        }
    }
    Ok(wanted)
}

impl Filter {
    fn takes(&self, event: &Event) -> bool {
        let names = self.names.as_ref();
        let group = self.group.as_ref();
        names.is_none_or(|names| names.contains(&event.name()))
            && group.is_none_or(|group| event.concerns(&group.folder, &group.chat))
    }
}

impl Telling {
    async fn next(&mut self) -> Option<Arc<Numbered>> {
        while self.until.is_none_or(|until| self.read < until) {
            let event = self.reader.next().await?;
            self.read = event.number;
            // What was to be the last may have been forgotten meanwhile.
            let is_told = self.until.is_none_or(|until| event.number <= until);
            if is_told && self.filter.takes(&event.event) {
                return Some(event);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_names(list: &str, expected: &[&str]) {
        assert_eq!(names(list).unwrap(), expected, "{list}");
    }

    #[test]
    fn a_name_stands_for_itself_and_for_what_it_begins() {
        check_names("message.sent", &["message.sent"]);
        check_names(
            "ipc, task.due",
            &["ipc.done", "ipc.refused", "ipc.quarantined", "task.due"],
        );
        for wrong in ["", "mess", "message.", "message.sent.", "task.due,,"] {
            let told = names(wrong).unwrap_err().message;
            assert!(told.contains("there is no event `"), "{told}");
            assert!(told.contains("message.received, "), "{told}");
        }
    }
}
