//! What the client library writes into its log goes into ours, one step quieter: whether its
//! trouble is ours is decided in `connection.rs`.
//!
//! Only errors and warnings: further down it names people and texts. Addresses lose what stands
//! behind `?`, a token among it, and control characters are spelled out: senders choose parts
//! of what is said.

use std::borrow::Cow;

use log::{Level, LevelFilter, Log, Metadata, Record};

struct Bridge;

impl Log for Bridge {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        let (of, told) = (record.target(), told(&record.args().to_string()));
        match record.level() {
            Level::Error => tracing::warn!(of, "{told}"),
            Level::Warn => tracing::info!(of, "{told}"),
            Level::Info | Level::Debug | Level::Trace => {}
        }
    }

    fn flush(&self) {}
}

/// Connects the two; a second time changes nothing.
pub(super) fn connect() {
    // Refused if somebody connected before us.
    if log::set_logger(&Bridge).is_ok() {
        log::set_max_level(LevelFilter::Warn);
    }
}

/// What the library says, on one line and without secrets.
fn told(said: &str) -> String {
    let words = said.split(' ').map(|word| match word.find("://") {
        Some(scheme) => match word[scheme..].find('?') {
            Some(query) => Cow::from(format!("{}?…", &word[..scheme + query])),
            None => Cow::from(word),
        },
        None => Cow::from(word),
    });
    let words: Vec<Cow<'_, str>> = words.collect();
    let spelled = words.join(" ");
    let mut told = String::with_capacity(spelled.len());
    for c in spelled.chars() {
        if c.is_control() {
            told.extend(c.escape_default());
        } else {
            told.push(c);
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_and_a_forged_line_do_not_come_into_the_log() {
        assert_eq!(
            told("failed to get https://media.example/v/1?auth=secret&token=x: 404"),
            "failed to get https://media.example/v/1?… 404"
        );
        assert_eq!(told("no host\nINFO forged"), "no host\\nINFO forged");
        assert_eq!(told("is it? yes: grüße"), "is it? yes: grüße");
    }
}
