//! Files that come with messages are kept in the group's folder, and files from there go out.
//!
//! The agent owns that folder and may have planted links in it, so every step goes through
//! `safe_dir`. A file that cannot be fetched costs the file, never the message.

use std::path::{Component, Path};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use waproto::whatsapp as wa;
use whatsapp_rust::Client;
use whatsapp_rust::anyhow;
use whatsapp_rust::download::{DownloadUtils, MediaType};
use whatsapp_rust::error::ErrorChainExt;
use whatsapp_rust::media::{self, AudioOptions, DocumentOptions, ImageOptions, VideoOptions};
use whatsapp_rust::upload::UploadOptions;

use super::attachment::Attachment;
use crate::house::House;
use crate::ids::GroupFolder;
use crate::safe_dir::SafeDir;
use crate::store::OutboxMedia;

/// The folder of received files below the group's.
const FOLDER: &str = "media";
/// For a file to come.
const PATIENCE: Duration = Duration::from_secs(60);
/// A network that carries less than this, in bytes a second, carries no file.
const SLOWEST: u64 = 32 * 1024;

/// Why a file was not kept, or did not leave.
#[derive(Debug, thiserror::Error)]
pub(super) enum MediaError {
    #[error("it has {size} bytes, and media_limit is {limit}")]
    TooLarge { size: u64, limit: u64 },
    #[error("the message does not say where it is")]
    NoSource,
    #[error("WhatsApp's media host did not deliver it within {} s", PATIENCE.as_secs())]
    Slow,
    #[error("it could not be fetched: {0}")]
    Fetch(String),
    #[error("it is not what was announced")]
    Changed,
    #[error("it could not be kept: {0}")]
    Keep(String),
    #[error("`{path}` cannot be sent: {why}")]
    Unsendable { path: String, why: String },
    #[error("`{path}` could not be handed to WhatsApp: {why}")]
    Upload { path: String, why: String },
    #[error("WhatsApp does not take `{path}`: {why}")]
    Unwanted { path: String, why: String },
}

/// Files that come in together come from one host. When it has kept us waiting once, the others
/// are not waited for: until all have been read, no message is acknowledged.
#[derive(Debug, Default)]
pub(super) struct Together {
    is_slow: AtomicBool,
}

/// Whom to ask for the files of messages that came in together.
#[derive(Clone, Copy)]
pub(super) struct Batch<'a> {
    pub client: &'a Client,
    pub together: &'a Together,
}

/// Fetches a file and keeps it; returns its path below the group's folder.
pub(super) async fn keep(
    Batch { client, together }: Batch<'_>,
    house: &House,
    group: &GroupFolder,
    attachment: &Attachment,
    name: String,
) -> Result<String, MediaError> {
    let limit = house.config.media_limit;
    if attachment.length > limit {
        let size = attachment.length;
        return Err(MediaError::TooLarge { size, limit });
    }
    if together.is_slow.load(Ordering::Relaxed) {
        return Err(MediaError::Slow);
    }
    let fetched = fetch(client, attachment).await;
    if matches!(fetched, Err(MediaError::Slow)) {
        together.is_slow.store(true, Ordering::Relaxed);
    }
    let bytes = fetched?;
    let groups = house.root.join("groups");
    let group = group.clone();
    let path = format!("{FOLDER}/{name}");
    let written = tokio::task::spawn_blocking(move || {
        let folder = SafeDir::open(&groups)?
            .enter(group.as_str())?
            .enter(FOLDER)?;
        folder.replace_durably(&name, &bytes)
    });
    match written.await {
        Ok(Ok(())) => Ok(path),
        Ok(Err(error)) => Err(MediaError::Keep(error.to_string())),
        Err(error) => Err(MediaError::Keep(error.to_string())),
    }
}

/// Removes a file that its sender has taken back, if it still is one.
pub(super) async fn forget(house: &House, group: &GroupFolder, path: String) {
    let groups = house.root.join("groups");
    let group = group.clone();
    let removed = tokio::task::spawn_blocking(move || {
        let Some(name) = Path::new(&path).file_name() else {
            return Ok(());
        };
        match SafeDir::open(&groups)?
            .enter(group.as_str())?
            .enter_existing(FOLDER)?
        {
            Some(folder) => folder.remove(name),
            None => Ok(()),
        }
    });
    let why = match removed.await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    tracing::warn!(why, "a file that was taken back is still there");
}

async fn fetch(client: &Client, attachment: &Attachment) -> Result<Vec<u8>, MediaError> {
    let source = attachment.source.as_ref().ok_or(MediaError::NoSource)?;
    // The library checks the authentication code of what it decrypts.
    let fetched = tokio::time::timeout(PATIENCE, Box::pin(client.download(source))).await;
    let bytes = fetched
        .map_err(|_elapsed| MediaError::Slow)?
        .map_err(|error| MediaError::Fetch(format!("{error:#}")))?;
    let announced = &source.file_sha256;
    if !announced.is_empty() && DownloadUtils::validate_plaintext_sha256(&bytes, announced).is_err()
    {
        return Err(MediaError::Changed);
    }
    Ok(bytes)
}

/// Hands a file of a group to WhatsApp; returns the message that carries it.
pub(super) async fn upload(
    client: &Client,
    house: &House,
    file: &OutboxMedia,
    caption: &str,
) -> Result<wa::Message, MediaError> {
    let bytes = read(house, file).await?;
    let (shape, mime) = match shape_of(&file.path) {
        // A sound carries no words; a document does.
        (Shape::Sound, mime) if !caption.is_empty() => (Shape::Document, mime),
        shape => shape,
    };
    let patience = PATIENCE + Duration::from_secs(bytes.len() as u64 / SLOWEST);
    let uploaded = Box::pin(client.upload(bytes, shape.kind(), UploadOptions::new()));
    let uploaded = tokio::time::timeout(patience, uploaded)
        .await
        .map_err(|_elapsed| MediaError::Upload {
            path: file.path.clone(),
            why: format!("it took longer than {} s", patience.as_secs()),
        })?
        .map_err(|error| not_uploaded(&file.path, &error))?;
    let caption = (!caption.is_empty()).then(|| caption.to_owned());
    let mimetype = Some(mime.to_owned());
    Ok(match shape {
        Shape::Picture => {
            let options = ImageOptions {
                caption,
                mimetype,
                ..ImageOptions::default()
            };
            media::image_message(uploaded, options)
        }
        Shape::Film => {
            let options = VideoOptions {
                caption,
                mimetype,
                ..VideoOptions::default()
            };
            media::video_message(uploaded, options)
        }
        Shape::Sound => {
            let options = AudioOptions {
                mimetype,
                ..AudioOptions::default()
            };
            media::audio_message(uploaded, options)
        }
        Shape::Document => {
            let name = Path::new(&file.path).file_name();
            let file_name = name.map(|name| name.to_string_lossy().into_owned());
            let options = DocumentOptions {
                caption,
                mimetype,
                file_name,
                ..DocumentOptions::default()
            };
            media::document_message(uploaded, options)
        }
    })
}

/// A host that says no to this file says no again; anything else may pass.
fn not_uploaded(path: &str, error: &anyhow::Error) -> MediaError {
    let (path, why) = (path.to_owned(), format!("{error:#}"));
    match error.http_status() {
        Some(400 | 404 | 405 | 406 | 410..=417 | 422) => MediaError::Unwanted { path, why },
        Some(_) | None => MediaError::Upload { path, why },
    }
}

async fn read(house: &House, file: &OutboxMedia) -> Result<Vec<u8>, MediaError> {
    let limit = house.config.media_limit;
    let groups = house.root.join("groups");
    let file = file.clone();
    let path = file.path.clone();
    let read = tokio::task::spawn_blocking(move || read_below(&groups, &file, limit));
    let why = match read.await {
        Ok(Ok(bytes)) => return Ok(bytes),
        Ok(Err(why)) => why,
        Err(error) => error.to_string(),
    };
    Err(MediaError::Unsendable { path, why })
}

fn read_below(groups: &Path, file: &OutboxMedia, limit: u64) -> Result<Vec<u8>, String> {
    let path = Path::new(&file.path);
    let name = path.file_name().ok_or("it names no file")?;
    let open = |dir: &SafeDir, name: &str| match dir.enter_existing(name) {
        Ok(Some(dir)) => Ok(dir),
        Ok(None) => Err(format!("`{name}` is not a folder")),
        Err(error) => Err(error.to_string()),
    };
    let mut dir = SafeDir::open(groups).map_err(|error| error.to_string())?;
    dir = open(&dir, file.group.as_str())?;
    for step in path.parent().into_iter().flat_map(Path::components) {
        let Component::Normal(step) = step else {
            return Err("it must lie below the group's folder".to_owned());
        };
        dir = open(&dir, &step.to_string_lossy())?;
    }
    match dir.read(name, limit) {
        None => Err("it is not there".to_owned()),
        Some(Err(unreadable)) => Err(unreadable.to_string()),
        Some(Ok(file)) => Ok(file.bytes),
    }
}

/// How WhatsApp shows a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Picture,
    Film,
    Sound,
    Document,
}

impl Shape {
    fn kind(self) -> MediaType {
        match self {
            Self::Picture => MediaType::Image,
            Self::Film => MediaType::Video,
            Self::Sound => MediaType::Audio,
            Self::Document => MediaType::Document,
        }
    }
}

/// The shape of a file, and its type, by its ending.
fn shape_of(path: &str) -> (Shape, &'static str) {
    let ending = Path::new(path).extension().unwrap_or_default();
    match ending.to_string_lossy().to_ascii_lowercase().as_str() {
        "jpg" | "jpeg" => (Shape::Picture, "image/jpeg"),
        "png" => (Shape::Picture, "image/png"),
        "webp" => (Shape::Picture, "image/webp"),
        "mp4" => (Shape::Film, "video/mp4"),
        "3gp" => (Shape::Film, "video/3gpp"),
        "ogg" | "opus" => (Shape::Sound, "audio/ogg; codecs=opus"),
        "mp3" => (Shape::Sound, "audio/mpeg"),
        "m4a" => (Shape::Sound, "audio/mp4"),
        "pdf" => (Shape::Document, "application/pdf"),
        "txt" | "md" => (Shape::Document, "text/plain"),
        "csv" => (Shape::Document, "text/csv"),
        "json" => (Shape::Document, "application/json"),
        "zip" => (Shape::Document, "application/zip"),
        _unknown => (Shape::Document, "application/octet-stream"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[track_caller]
    fn check(groups: &Path, path: &str, wanted: Result<&str, &str>) {
        let file = OutboxMedia {
            group: "family".parse().unwrap(),
            path: path.to_owned(),
        };
        let read = read_below(groups, &file, 8);
        let read = read.map(|bytes| String::from_utf8(bytes).unwrap());
        match (&read, wanted) {
            (Ok(read), Ok(wanted)) => assert_eq!(read, wanted, "{path}"),
            (Err(why), Err(wanted)) => assert!(why.contains(wanted), "{path}: {why}"),
            (Ok(_) | Err(_), Ok(_) | Err(_)) => panic!("{path}: {read:?}"),
        }
    }

    #[test]
    fn only_plain_files_below_the_groups_folder_leave() {
        let root = tempfile::tempdir().unwrap();
        let groups = root.path().join("groups");
        let family = groups.join("family");
        fs_err::create_dir_all(family.join("out")).unwrap();
        fs_err::create_dir_all(groups.join("others")).unwrap();
        fs_err::write(family.join("out/plan.txt"), "plan").unwrap();
        fs_err::write(family.join("long.txt"), "123456789").unwrap();
        fs_err::write(groups.join("others/secret.txt"), "secret").unwrap();
        symlink(groups.join("others"), family.join("link")).unwrap();
        symlink(groups.join("others/secret.txt"), family.join("file")).unwrap();

        check(&groups, "out/plan.txt", Ok("plan"));
        check(&groups, "long.txt", Err("at most 8 are read"));
        check(&groups, "gone.txt", Err("not there"));
        check(
            &groups,
            "../others/secret.txt",
            Err("below the group's folder"),
        );
        check(&groups, "/etc/passwd", Err("below the group's folder"));
        check(&groups, "link/secret.txt", Err("not a folder"));
        check(&groups, "file", Err("symbolic link"));
        check(&groups, "..", Err("names no file"));
    }
}
