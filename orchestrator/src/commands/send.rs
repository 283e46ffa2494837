//! `nanokimi send`: has the one that runs say something in a group's chat.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::timeout;

use super::client::Client;
use super::{CommandError, Shown};
use crate::ids::GroupFolder;

/// What to say, and where.
#[derive(Args, Clone, Debug)]
pub struct SendOptions {
    /// The group's folder.
    group: GroupFolder,
    /// What to say; `-` reads it from standard input.
    text: String,
    /// Return only when it has left, and say so if it has not for as long as this.
    #[arg(long, value_name = "DURATION", value_parser = span)]
    wait: Option<Duration>,
}

#[derive(Serialize)]
struct Said<'a> {
    text: &'a str,
}

/// The answer of the one that runs.
#[derive(Deserialize)]
struct Kept {
    group: String,
    chat: String,
    ids: Vec<String>,
    last_event: u64,
}

#[derive(Serialize)]
struct Row<'a> {
    group: &'a str,
    chat: &'a str,
    /// One for each part.
    ids: &'a [String],
    state: &'static str,
}

fn span(text: &str) -> Result<Duration, String> {
    crate::duration::parse(text)
        .ok_or_else(|| "expected a duration such as `30s` or `5m`".to_owned())
}

pub async fn send(
    root: &Path,
    options: SendOptions,
    input: &mut dyn Read,
    shown: Shown,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let client = Client::of(root)?;
    let mut text = options.text;
    if text == "-" {
        text.clear();
        let read = input.read_to_string(&mut text);
        let unread = |error: io::Error| format!("standard input cannot be read: {error}");
        read.map_err(|error| CommandError::Refused(unread(error)))?;
    }
    let path = format!("v1/groups/{}/messages", options.group);
    let text = text.trim_end_matches('\n');
    let kept: Kept = client.post(&path, &Said { text }).await?;
    let Some(patience) = options.wait else {
        return show(&kept, "kept", shown, out);
    };
    match timeout(patience, left(&client, &kept)).await {
        Ok(left) => left?,
        Err(_elapsed) => {
            let chat = &kept.chat;
            let why = format!(
                "the text has not left for {chat} within {patience:?}; it is kept, and leaves when it can: see `nanokimi status`"
            );
            return Err(CommandError::Refused(why));
        }
    }
    show(&kept, "sent", shown, out)
}

/// Returns when every part has left.
async fn left(client: &Client, kept: &Kept) -> Result<(), CommandError> {
    let query = [
        ("event", "message.sent,message.failed".to_owned()),
        ("group", kept.group.clone()),
    ];
    let mut feed = client.events(kept.last_event, &query).await?;
    let mut waiting: BTreeSet<&str> = kept.ids.iter().map(String::as_str).collect();
    while !waiting.is_empty() {
        let Some(told) = feed.next().await? else {
            let why = "nanokimi has ended before the text had left; it is kept, and leaves after the next start";
            return Err(CommandError::Refused(why.to_owned()));
        };
        let field = |name| told.fields.get(name).and_then(Value::as_str);
        let is_ours = field("id").is_some_and(|id| waiting.remove(id));
        if is_ours && told.name == "message.failed" {
            let why = field("reason").unwrap_or("no reason was given");
            let why = format!("the text will never leave for {}: {why}", kept.chat);
            return Err(CommandError::Refused(why));
        }
    }
    Ok(())
}

fn show(
    kept: &Kept,
    state: &'static str,
    shown: Shown,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let (group, chat, ids) = (&kept.group, &kept.chat, &kept.ids);
    match shown {
        Shown::Json => {
            let row = Row {
                group,
                chat,
                ids,
                state,
            };
            serde_json::to_writer_pretty(&mut *out, &row)?;
            writeln!(out)?;
        }
        Shown::Text => {
            let parts = match ids.len() {
                1 => String::new(),
                parts => format!(" in {parts} parts"),
            };
            let ids = ids.join(" ");
            writeln!(out, "{state} for {group} ({chat}){parts} as {ids}")?;
        }
    }
    Ok(())
}
