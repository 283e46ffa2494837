//! `nanokimi status`: does it run, and how much does it have to do?

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde::Serialize;

use super::{CommandError, Shown, open};
use crate::agent::EngineStatus;
use crate::channel::ChannelStatus;
use crate::config::{AgentRuntime, Config};
use crate::instance;
use crate::store::StoreStatus;
use crate::workspace::Standing;

#[derive(Serialize)]
struct Status {
    /// The process id, if an orchestrator runs in the folder.
    running: Option<String>,
    /// The container engine, where agents need it.
    #[serde(skip_serializing_if = "Option::is_none")]
    engine: Option<EngineStatus>,
    channels: Vec<ChannelStatus>,
    /// What is kept beyond this machine, where that is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    workspaces: Option<Standing>,
    #[serde(flatten)]
    store: StoreStatus,
}

pub async fn status(
    root: &Path,
    config: &Config,
    shown: Shown,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let store = open(root)?;
    let running = instance::running(root)?.map(|holder| holder.pid);
    let mut channels = store.channels().await?;
    if running.is_none() {
        for channel in &mut channels {
            channel.state = channel.state.at_rest();
        }
    }
    let engine = match config.agent_runtime {
        AgentRuntime::Docker => Some(EngineStatus::of(config).await),
        AgentRuntime::Host => None,
    };
    let status = Status {
        running,
        engine,
        channels,
        workspaces: Standing::of(config, &store).await?,
        store: store.status().await?,
    };
    match shown {
        Shown::Json => {
            serde_json::to_writer_pretty(&mut *out, &status)?;
            writeln!(out)?;
        }
        Shown::Text => {
            let running = status
                .running
                .map_or_else(|| "no".to_owned(), |pid| format!("yes, process {pid}"));
            writeln!(out, "running:  {running}")?;
            if let Some(engine) = &status.engine {
                let why = engine.problem.as_ref().map(|why| format!(": {why}"));
                writeln!(out, "engine:   {}{}", engine.state, why.unwrap_or_default())?;
            }
            writeln!(out, "groups:   {}", status.store.groups)?;
            writeln!(out, "sessions: {}", status.store.sessions)?;
            for channel in &status.channels {
                let label = format!("{}:", channel.channel);
                writeln!(out, "{label:<9} {}", channel.in_words())?;
            }
            if let Some(workspaces) = &status.workspaces {
                writeln!(out, "workspaces: {workspaces}")?;
            }
            for (name, counts) in [
                ("messages", &status.store.messages),
                ("outbox", &status.store.outbox),
                ("tasks", &status.store.tasks),
                ("runs", &status.store.runs),
            ] {
                let label = format!("{name}:");
                writeln!(out, "{label:<9} {}", in_words(counts))?;
            }
        }
    }
    Ok(())
}

fn in_words(counts: &BTreeMap<String, i64>) -> String {
    if counts.is_empty() {
        return "none".to_owned();
    }
    let counts: Vec<String> = counts
        .iter()
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    counts.join(", ")
}
