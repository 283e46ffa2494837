//! What both APIs have in common on the wire.

pub(crate) mod body;
pub(crate) mod date;
pub(crate) mod download;
pub(crate) mod params;

use axum::http::HeaderMap;
use axum::http::header::{FORWARDED, HOST};

use crate::storage::Storage;

/// Where the client reached us, e.g. `http://127.0.0.1:9100`; by `Forwarded` that is said of TLS.
/// There are clients that leave the port out of their `Host`, and would follow a place that has
/// none to port 80.
pub(crate) fn base(storage: &Storage, headers: &HeaderMap) -> String {
    let forwarded = params::text(headers, &FORWARDED);
    let (scheme, own) = match forwarded.as_deref().and_then(by_tls) {
        Some(own) => ("https", own),
        None => ("http", storage.authority()),
    };
    let told = params::text(headers, &HOST);
    let Some(host) = told.filter(|host| is_authority(host)) else {
        return format!("{scheme}://{own}");
    };
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    match own.rsplit_once(':') {
        Some((_, port)) if !has_port => format!("{scheme}://{host}:{port}"),
        Some(_) | None => format!("{scheme}://{host}"),
    }
}

/// The host of `host="…";proto=https`.
fn by_tls(forwarded: &str) -> Option<&str> {
    let host = forwarded.strip_suffix("\";proto=https")?;
    host.strip_prefix("host=\"")
}

/// Whether it may stand in a header of ours.
fn is_authority(host: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    !host.is_empty() && host.bytes().all(legal)
}
