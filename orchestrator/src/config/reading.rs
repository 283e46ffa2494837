//! How the texts of some settings are read.

use jiff::tz::TimeZone;

use super::{parsed, table};

pub(super) fn zone(text: &str) -> Option<(String, TimeZone)> {
    if text == table::SYSTEM_ZONE {
        let zone = TimeZone::system();
        let name = zone.iana_name().unwrap_or("UTC").to_owned();
        return Some((name, zone));
    }
    match TimeZone::get(text) {
        // Its own spelling: what agents are told must suit their C library, which tells
        // `europe/paris` from `Europe/Paris`.
        Ok(zone) => Some((zone.iana_name().unwrap_or(text).to_owned(), zone)),
        Err(_unknown) => None,
    }
}

pub(super) fn level(text: &str) -> Option<tracing::Level> {
    let known = ["trace", "debug", "info", "warn", "error"].contains(&text);
    if known { parsed(text) } else { None }
}

pub(super) fn url(text: &str) -> Option<String> {
    let fits = ["http://", "https://"].iter().any(|scheme| {
        text.strip_prefix(scheme)
            .is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace))
    });
    fits.then(|| text.trim_end_matches('/').to_owned())
}
