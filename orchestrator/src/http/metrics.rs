//! `GET /metrics`: Prometheus text, made from the store and the record of events when asked.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Api;
use super::problem::Problem;
use crate::channel::ChannelStatus;
use crate::store::OwedRelease;

type Labels = Vec<(&'static str, String)>;

pub(super) async fn metrics(State(api): State<Api>) -> Result<Response, Problem> {
    let status = api.house.store.status().await?;
    let mut registry = Registry::with_prefix("nanokimi");
    count_events(&mut registry, &api.house.events.counts());
    let gauges = [
        ("messages", "Messages by state", "state", &status.messages),
        ("outbox", "Texts to send, by state", "state", &status.outbox),
        (
            "tasks",
            "Scheduled tasks by status",
            "status",
            &status.tasks,
        ),
        ("runs", "Agent runs by state", "state", &status.runs),
    ];
    for (name, help, label, counts) in gauges {
        let family = Family::<Labels, Gauge>::default();
        for (state, count) in counts {
            let gauge = family.get_or_create_owned(&vec![(label, state.clone())]);
            gauge.set(*count);
        }
        registry.register(name, help, family);
    }
    show_load(&mut registry, api.waiting.count());
    show_channels(&mut registry, &api.house.store.channels().await?);
    if api.house.config.workspace.store.is_some() {
        show_releases(&mut registry, &api.house.store.owed_releases().await?);
    }
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|error| {
        let status = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
        Problem::new(status, "metrics", error.to_string())
    })?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(CONTENT_TYPE, kind)], text).into_response())
}

/// What a client leaves behind if it leaves anything.
fn show_load(registry: &mut Registry, waiting: usize) {
    let tasks = tokio::runtime::Handle::current().metrics();
    let gauges = [
        (
            "clients_waiting",
            "HTTP clients that wait for an answer",
            waiting,
        ),
        (
            "runtime_tasks",
            "What the process is at, connections included",
            tasks.num_alive_tasks(),
        ),
    ];
    for (name, help, count) in gauges {
        let gauge: Gauge = Gauge::default();
        gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    }
}

/// 1 for the state that each channel is in.
fn show_channels(registry: &mut Registry, channels: &[ChannelStatus]) {
    let family = Family::<Labels, Gauge>::default();
    for status in channels {
        let labels = vec![
            ("channel", status.channel.clone()),
            ("state", status.state.word().to_owned()),
        ];
        family.get_or_create_owned(&labels).set(1);
    }
    registry.register("channel", "How each channel stands", family);
}

/// What is not kept beyond this machine yet; `failing` was tried in vain.
fn show_releases(registry: &mut Registry, owed: &[OwedRelease]) {
    let family = Family::<Labels, Gauge>::default();
    for state in ["pending", "failing"] {
        let is_failing = state == "failing";
        let count = owed
            .iter()
            .filter(|release| (release.attempts > 0) == is_failing)
            .count();
        let gauge = family.get_or_create_owned(&vec![("state", state.to_owned())]);
        gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    let help = "Workspaces that are to be released, by state";
    registry.register("workspace_releases", help, family);
}

fn count_events(registry: &mut Registry, counts: &BTreeMap<&'static str, u64>) {
    let family = Family::<Labels, Counter>::default();
    for (event, count) in counts {
        let counter = family.get_or_create_owned(&vec![("event", (*event).to_owned())]);
        counter.inc_by(*count);
    }
    registry.register(
        "events",
        "What has happened since the start, by event",
        family,
    );
}
