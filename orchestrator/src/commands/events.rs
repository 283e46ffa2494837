//! `nanokimi events`: shows what has happened in the one that runs, and what happens.

use std::io::{self, Write};
use std::path::Path;

use clap::Args;
use serde_json::{Map, Value};

use super::client::{Client, Told};
use super::{CommandError, Shown};
use crate::ids::GroupFolder;

/// Which events to show.
#[derive(Args, Clone, Debug)]
pub struct EventsOptions {
    /// Go on with what happens, until nanokimi ends.
    #[arg(long)]
    follow: bool,
    /// How many of those that have happened since it was started, the newest.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    last: usize,
    /// Only these, such as `message.sent`, or `run` for all whose names begin so.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    event: Vec<String>,
    /// Only what concerns this group.
    #[arg(long, value_name = "FOLDER")]
    group: Option<GroupFolder>,
}

pub async fn events(
    root: &Path,
    options: EventsOptions,
    shown: Shown,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let client = Client::of(root)?;
    let mut query = vec![
        ("last", options.last.to_string()),
        ("follow", options.follow.to_string()),
    ];
    if !options.event.is_empty() {
        query.push(("event", options.event.join(",")));
    }
    query.extend(options.group.map(|group| ("group", group.to_string())));
    let mut feed = client.events(0, &query).await?;
    let mut is_empty = true;
    while let Some(told) = feed.next().await? {
        is_empty = false;
        let line = match shown {
            Shown::Json => serde_json::to_string(&object(told))?,
            Shown::Text => line(&told),
        };
        match writeln!(out, "{line}") {
            // Whoever reads has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
    }
    if is_empty && shown == Shown::Text {
        writeln!(
            out,
            "nothing of that has happened since nanokimi was started"
        )?;
    }
    Ok(())
}

/// `{"number": 7, "event": "message.sent", "at": "…", …}`.
fn object(mut told: Told) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("number".to_owned(), told.number.into());
    object.insert("event".to_owned(), told.name.into());
    object.extend(told.fields.shift_remove_entry("at"));
    object.extend(told.fields);
    object
}

/// `2027-03-01T12:00:00Z message.sent chat=http:ada text="Hello there."`.
fn line(told: &Told) -> String {
    let at = told.fields.get("at").and_then(Value::as_str);
    let mut line = format!("{} {}", at.unwrap_or("-"), told.name);
    for (key, value) in told.fields.iter().filter(|(key, _)| *key != "at") {
        let word = value.as_str().filter(|text| is_word(text));
        let value = word.map_or_else(|| value.to_string(), str::to_owned);
        line.extend([" ", key, "=", &harmless(&value)]);
    }
    line
}

/// What a terminal would obey, or turn around, is shown by its number.
fn harmless(text: &str) -> String {
    let is_obeyed = |c: char| {
        let turns = ['\u{200e}', '\u{200f}', '\u{61c}'].contains(&c);
        turns
            || c.is_control()
            || ('\u{202a}'..='\u{202e}').contains(&c)
            || ('\u{2066}'..='\u{2069}').contains(&c)
    };
    let mut shown = String::new();
    for c in text.chars() {
        match is_obeyed(c) {
            true => shown.extend(c.escape_unicode()),
            false => shown.push(c),
        }
    }
    shown
}

/// What cannot be mistaken for more than one value needs no quotes.
fn is_word(text: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || "._:/@+-".contains(c);
    !text.is_empty() && text.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(fields: &str) -> Told {
        Told {
            number: 7,
            name: "message.sent".to_owned(),
            fields: serde_json::from_str(fields).unwrap(),
        }
    }

    #[test]
    fn nothing_that_a_terminal_obeys_comes_through() {
        let told = told(r#"{"text":"a\u009b2J\u202eb\u2069 日本 é"}"#);
        assert_eq!(
            line(&told),
            r#"- message.sent text="a\u{9b}2J\u{202e}b\u{2069} 日本 é""#
        );
    }

    #[test]
    fn an_event_is_one_line_whatever_was_said() {
        let told = told(
            r#"{"chat":"http:ada","text":"a\n\u001b[2Jb=\"c\"","parts":[1],"id":"","at":"2027-03-01T12:00:00Z"}"#,
        );
        assert_eq!(
            line(&told),
            r#"2027-03-01T12:00:00Z message.sent chat=http:ada text="a\n\u001b[2Jb=\"c\"" parts=[1] id="""#
        );
        assert_eq!(
            serde_json::to_string(&object(told)).unwrap(),
            r#"{"number":7,"event":"message.sent","at":"2027-03-01T12:00:00Z","chat":"http:ada","text":"a\n\u001b[2Jb=\"c\"","parts":[1],"id":""}"#
        );
    }
}
