//! What both APIs have in common on the wire.

pub(crate) mod body;
pub(crate) mod date;
pub(crate) mod download;
pub(crate) mod params;

use axum::http::HeaderMap;
use axum::http::header::HOST;

use crate::storage::Storage;

/// Where the client reached us, e.g. `http://127.0.0.1:9100`. There are clients that leave the
/// port out of their `Host`, and would follow a place that has none to port 80.
pub(crate) fn base(storage: &Storage, headers: &HeaderMap) -> String {
    let own = storage.authority();
    let told = params::text(headers, &HOST);
    let Some(host) = told.filter(|host| is_authority(host)) else {
        return format!("http://{own}");
    };
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    match own.rsplit_once(':') {
        Some((_, port)) if !has_port => format!("http://{host}:{port}"),
        Some(_) | None => format!("http://{host}"),
    }
}

/// Whether it may stand in a header of ours.
fn is_authority(host: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    !host.is_empty() && host.bytes().all(legal)
}
