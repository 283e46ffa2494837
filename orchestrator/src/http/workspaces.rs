//! How an agent without our disk gets its workspace and delivers what it has changed:
//!
//! - `GET /internal/workspace/provision?scope=group`: the files of a scope, as gzipped lines of
//!   JSON, each `{"path", "executable", "size", "content_base64"}`;
//! - `POST /internal/workspace/release`: gzipped JSON with changes (see [`Delivery`]), or
//!   `{"staging_key"}` for what was staged; answers `{"ok": true, "change_count"}` when they are
//!   made here, and released like any other;
//! - `POST /internal/workspace-staging`: the same body, kept until it is told to be released by
//!   the key in the answer, `{"staging_key"}`, once.
//!
//! Who asks is the token of a run, and whose workspace it is the run's group: nothing in a body
//! or a query can name another.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Query, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::Api;
use super::problem::{Problem, json};
use crate::clock::Work;
use crate::ids::GroupFolder;
use crate::safe_dir::SafeDir;
use crate::workspace::{
    Delivery, DeliveryFault, EntryPath, Found, Limits, NotStaged, Place, STAGED, Scope,
};

/// Bytes of a body, packed and unpacked alike.
const LARGEST: usize = 50 * 1024 * 1024;
/// Chunks of a provision that wait for a slow reader.
const CHUNKS: usize = 4;
const CHUNK: usize = 64 * 1024;

#[derive(Serialize)]
struct Staged {
    staging_key: String,
}

#[derive(Serialize)]
struct Done {
    ok: bool,
    change_count: usize,
}

/// What was staged is to be released.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    staging_key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    scope: String,
}

/// One file of a provision.
#[derive(Serialize)]
struct Provided {
    path: String,
    executable: bool,
    size: u64,
    content_base64: String,
}

pub(super) async fn release(State(api): State<Api>, request: Request) -> Result<Response, Problem> {
    let (token, group) = admitted(&api, request.headers())?;
    let body = unpacked(request).await?;
    let delivery = match serde_json::from_slice::<Key>(&body) {
        Ok(key) => staged(&api, &token, &key.staging_key)?,
        Err(_no_key) => changes(&body)?,
    };
    let change_count = make(&api, group, delivery).await?;
    Ok(json(Done {
        ok: true,
        change_count,
    }))
}

pub(super) async fn stage(State(api): State<Api>, request: Request) -> Result<Response, Problem> {
    let (token, _group) = admitted(&api, request.headers())?;
    let body = unpacked(request).await?;
    // Told now, while somebody listens.
    changes(&body)?
        .checked(limits(&api))
        .map_err(|fault| refused(&fault))?;
    let name = format!("{}.json", uuid::Uuid::new_v4().simple());
    let folder = api.house.root.join(STAGED);
    let kept = SafeDir::open(&folder).and_then(|dir| dir.replace(&name, &body));
    kept.map_err(unkept)?;
    let file: PathBuf = folder.join(name);
    match api.house.tickets.stage(&token, file.clone()) {
        Ok(staging_key) => Ok(json(Staged { staging_key })),
        Err(why) => {
            fs_err::remove_file(file).map_err(unkept)?;
            Err(match why {
                NotStaged::NoRun => unknown_token(),
                NotStaged::Full => Problem::new(
                    StatusCode::CONFLICT,
                    "staging_full",
                    "release what was staged before",
                ),
            })
        }
    }
}

pub(super) async fn provision(
    State(api): State<Api>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (_token, folder) = admitted(&api, &headers)?;
    let scope = Scope::ALL
        .into_iter()
        .find(|scope| scope.word() == wanted.scope);
    let Some(scope) = scope else {
        return Err(other_scope(format!(
            "`{}` is not a scope of this run; expected `group` or `home`",
            wanted.scope
        )));
    };
    let place = Place {
        root: api.house.root.clone(),
        folder,
    };
    let limits = limits(&api);
    let (chunks, body) = mpsc::channel(CHUNKS);
    let writing = tokio::task::spawn_blocking(move || {
        let sent = chunks.clone();
        if let Err(error) = provide(&place, scope, limits, Chunks::new(chunks)) {
            // Whoever reads sees that the end is missing.
            let (Ok(()) | Err(_)) = sent.blocking_send(Err(error));
        }
    });
    // It ends with its reader.
    drop(writing);
    let headers = [
        (CONTENT_TYPE, "application/x-ndjson"),
        (CONTENT_ENCODING, "gzip"),
    ];
    Ok((headers, Body::from_stream(ReceiverStream::new(body))).into_response())
}

/// Writes the files of a scope, one at a time.
fn provide(place: &Place, scope: Scope, limits: Limits, out: Chunks) -> io::Result<()> {
    let mut out = GzEncoder::new(out, Compression::fast());
    for (path, found) in place.look(limits)?.found {
        let Found::File(stamp) = found else { continue };
        // A name that is no text cannot be told.
        let Some(name) = inside(&path).filter(|_| path.scope() == scope) else {
            continue;
        };
        let Some((file, now)) = place.open_file(&path)? else {
            continue;
        };
        let mut content = Vec::new();
        // It may grow while we read.
        file.take(stamp.size).read_to_end(&mut content)?;
        let provided = Provided {
            path: name,
            executable: now.executable,
            size: content.len() as u64,
            content_base64: STANDARD.encode(&content),
        };
        serde_json::to_writer(&mut out, &provided)?;
        out.write_all(b"\n")?;
    }
    out.finish()?.flush()
}

/// The path below its scope, as it stands on the disk.
fn inside(path: &EntryPath) -> Option<String> {
    let (mut names, last) = path.names();
    names.push(last);
    let names: Option<Vec<&str>> = names.iter().map(|name| name.to_str()).collect();
    names.map(|names| names.join("/"))
}

/// The token, and the group of its run.
fn admitted(api: &Api, headers: &HeaderMap) -> Result<(String, GroupFolder), Problem> {
    let token = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "))
        .map(|token| String::from_utf8_lossy(token).trim().to_owned());
    let token = token.ok_or_else(unknown_token)?;
    let group = api.house.tickets.group_of(&token);
    group.map(|group| (token, group)).ok_or_else(unknown_token)
}

/// The body, unpacked if it is packed.
async fn unpacked(request: Request) -> Result<Vec<u8>, Problem> {
    let is_packed = request
        .headers()
        .get(CONTENT_ENCODING)
        .is_some_and(|encoding| encoding.as_bytes() == b"gzip");
    let body: Bytes = match to_bytes(request.into_body(), LARGEST).await {
        Ok(body) => body,
        Err(_too_large_or_cut_off) => return Err(too_large()),
    };
    // Some pack it and do not say so.
    if !is_packed && !body.starts_with(&[0x1f, 0x8b]) {
        return Ok(body.into());
    }
    let unpacking = tokio::task::spawn_blocking(move || {
        let mut unpacked = Vec::new();
        let most = LARGEST as u64 + 1;
        let read = GzDecoder::new(&*body).take(most).read_to_end(&mut unpacked);
        read.map(|_length| unpacked)
    });
    let unpacked = match unpacking.await {
        Ok(Ok(unpacked)) => unpacked,
        Ok(Err(error)) => return Err(Problem::bad_request(format!("it is not gzip: {error}"))),
        Err(error) => return Err(unkept(io::Error::other(error))),
    };
    if unpacked.len() > LARGEST {
        return Err(too_large());
    }
    Ok(unpacked)
}

fn changes(body: &[u8]) -> Result<Delivery, Problem> {
    serde_json::from_slice(body)
        .map_err(|error| Problem::bad_request(format!("these are no changes: {error}")))
}

/// What was staged under a key, which is used up.
fn staged(api: &Api, token: &str, key: &str) -> Result<Delivery, Problem> {
    let Some(file) = api.house.tickets.unstage(token, key) else {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "no_such_staging_key",
            "nothing is staged under this key, or it was released already",
        ));
    };
    let read = fs_err::read(&file).and_then(|body| fs_err::remove_file(&file).map(|()| body));
    changes(&read.map_err(unkept)?)
}

/// Makes the changes here, and has them released.
async fn make(api: &Api, group: GroupFolder, delivery: Delivery) -> Result<usize, Problem> {
    let busy = api.house.clock.busy(Work::Workspace);
    let changes = delivery
        .checked(limits(api))
        .map_err(|fault| refused(&fault))?;
    let count = changes.count();
    let place = Place {
        root: api.house.root.clone(),
        folder: group.clone(),
    };
    let made = tokio::task::spawn_blocking(move || changes.make(&place)).await;
    match made {
        Ok(made) => made.map_err(|fault| refused(&fault))?,
        Err(error) => return Err(unkept(io::Error::other(error))),
    }
    api.house.workspace.changed(&group, busy).await;
    Ok(count)
}

fn limits(api: &Api) -> Limits {
    Limits::from(&api.house.config.workspace)
}

fn unknown_token() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "invalid_token",
        "send `Authorization: Bearer <token>` with the token of a run that is at work",
    )
}

fn other_scope(message: String) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "other_scope", message)
}

fn too_large() -> Problem {
    let message = format!("a body has at most {LARGEST} bytes, packed and unpacked");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
}

fn refused(fault: &DeliveryFault) -> Problem {
    let message = crate::chain(fault);
    match fault {
        DeliveryFault::OtherScope { .. } => other_scope(message),
        DeliveryFault::Path { .. } | DeliveryFault::Content { .. } | DeliveryFault::TooMany(_) => {
            Problem::bad_request(message)
        }
        DeliveryFault::Io(_) => {
            tracing::error!(message, "a delivery cannot be kept");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "workspace", message)
        }
    }
}

fn unkept(error: io::Error) -> Problem {
    refused(&DeliveryFault::Io(error))
}

/// Sends what is written, a chunk at a time, to a reader that may be slow.
struct Chunks {
    to: mpsc::Sender<io::Result<Bytes>>,
    kept: Vec<u8>,
}

impl Chunks {
    fn new(to: mpsc::Sender<io::Result<Bytes>>) -> Self {
        Self {
            to,
            kept: Vec::with_capacity(CHUNK),
        }
    }
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.kept.extend_from_slice(bytes);
        if self.kept.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let chunk = Bytes::from(std::mem::take(&mut self.kept));
        if chunk.is_empty() {
            return Ok(());
        }
        let gone = |_closed| io::Error::new(io::ErrorKind::BrokenPipe, "nobody reads");
        self.to.blocking_send(Ok(chunk)).map_err(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_provision_is_lines_of_files() {
        let root = tempfile::tempdir().unwrap();
        let group = root.path().join("groups/family");
        fs_err::create_dir_all(group.join("logs")).unwrap();
        fs_err::write(group.join("logs/run.log"), "ours").unwrap();
        fs_err::write(group.join("a 100%.md"), "hi").unwrap();
        let place = Place {
            root: root.path().to_owned(),
            folder: "family".parse().unwrap(),
        };
        let limits = Limits {
            files: 10,
            file_size: 10,
            size: 100,
        };
        let (chunks, mut body) = mpsc::channel(CHUNKS);
        let chunks = Chunks::new(chunks);
        let writing =
            tokio::task::spawn_blocking(move || provide(&place, Scope::Group, limits, chunks));
        let mut packed = Vec::new();
        while let Some(chunk) = body.recv().await {
            packed.extend_from_slice(&chunk.unwrap());
        }
        writing.await.unwrap().unwrap();

        let mut lines = String::new();
        GzDecoder::new(packed.as_slice())
            .read_to_string(&mut lines)
            .unwrap();
        assert_eq!(
            lines,
            "{\"path\":\"a 100%.md\",\"executable\":false,\"size\":2,\"content_base64\":\"aGk=\"}\n"
        );
    }
}
