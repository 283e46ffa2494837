//! The client library, put together: one client on one store, which connects only when it is
//! told to.
//!
//! It would reconnect by itself, show its owner as online, and process years of history; it
//! does the first two never and the third not at all. When it connects is decided in
//! `connection.rs`, and its words reach us through `notices.rs`.

use std::fs::Permissions;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use wacore::store::DevicePropsOverride;
use waproto::whatsapp::device_props::PlatformType;
use whatsapp_rust::http::HttpClient;
use whatsapp_rust::store::SqliteStore;
use whatsapp_rust::store::persistence_manager::PersistenceManager;
use whatsapp_rust::{CacheConfig, CacheEntryConfig, Client, InboundDurabilityHook};

use super::dialling::{Dialler, Missed};
use super::http::HttpsClient;
use super::tasks::{OwnedTasks, TasksOwner};
use super::version::Versions;
use crate::config::{Config, WhatsAppSettings};

/// How often what the library knows about itself is written down.
const SAVE_EVERY: Duration = Duration::from_secs(30);

/// How soon phones that cannot read a text ask for it again; later, the library's store has it.
const ASKED_AGAIN: Duration = Duration::from_secs(10 * 60);

/// The version we are on a server that is ours: such a one does not say which it wants. The
/// real one is asked.
const VERSION_ON_LOOPBACK: (u32, u32, u32) = (2, 3000, 1_043_857_760);

/// A client that is not connected yet.
pub(super) struct Built {
    pub client: Arc<Client>,
    /// Ends the client's tasks.
    pub tasks: TasksOwner,
    pub missed: Missed,
    /// None where the version is given.
    pub versions: Option<Versions>,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("store/auth cannot be made")]
    Folder(#[source] std::io::Error),
    #[error(
        "store/auth/device.db cannot be used; if it is damaged, link anew with `nanokimi auth --reset`"
    )]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the WhatsApp client cannot be built")]
    Build(#[source] whatsapp_rust::ClientBuilderError),
}

/// Where the linked device is kept.
#[must_use]
pub(crate) fn auth_folder(root: &Path) -> PathBuf {
    root.join("store/auth")
}

#[must_use]
pub(super) fn device_file(root: &Path) -> PathBuf {
    auth_folder(root).join("device.db")
}

/// Builds the client of the installation in `root`. With a `hook` every message waits for it
/// before it is acknowledged.
pub(super) async fn build(
    root: &Path,
    config: &Config,
    hook: Option<Arc<dyn InboundDurabilityHook>>,
) -> Result<Built, ClientError> {
    make_private(&auth_folder(root)).map_err(ClientError::Folder)?;
    let (runtime, tasks) = OwnedTasks::new();
    let device = Arc::new(open(root).await?);
    let settings = &config.whatsapp;
    let https = HttpsClient::new(config.extra_ca_file.clone(), config.media_limit);
    let https: Arc<dyn HttpClient> = Arc::new(https);
    let (dialler, missed) = Dialler::new(&settings.url);
    let mut builder = Client::builder()
        .with_runtime(runtime)
        .with_persistence_manager(Arc::clone(&device))
        .with_transport_factory(dialler)
        .with_http_client_arc(Arc::clone(&https))
        .with_skip_history_sync(true)
        .with_cache_config(caches())
        .with_background_saver_interval(SAVE_EVERY);
    let version = version(settings);
    if let Some(version) = version {
        builder = builder.with_version_override(version);
    }
    if let Some(hook) = hook {
        builder = builder.with_inbound_durability_hook_arc(hook);
    }
    let client = builder
        .build()
        .await
        .map_err(ClientError::Build)?
        .into_client();
    client.enable_auto_reconnect.store(false, Ordering::Relaxed);
    let called = DevicePropsOverride::new()
        .with_os(settings.device_name.clone())
        .with_platform_type(PlatformType::CHROME);
    if client.pn().is_none() {
        client.set_device_props(called).await;
    }
    Ok(Built {
        client,
        tasks,
        missed,
        versions: version.is_none().then(|| Versions::new(device, https)),
    })
}

async fn open(root: &Path) -> Result<PersistenceManager, ClientError> {
    let file = device_file(root).to_string_lossy().into_owned();
    let store = SqliteStore::new(&file)
        .await
        .map_err(|error| ClientError::Store(error.into()))?;
    PersistenceManager::new(Arc::new(store))
        .await
        .map_err(|error| ClientError::Store(error.into()))
}

/// As the library has them, but for what we sent: without a memory of it, two phones that ask for
/// the same text again at the same time take it from each other, and one never gets it.
fn caches() -> CacheConfig {
    CacheConfig {
        recent_messages: CacheEntryConfig::new(Some(ASKED_AGAIN), 500),
        ..CacheConfig::default()
    }
}

/// None where WhatsApp is to be asked for it.
fn version(settings: &WhatsAppSettings) -> Option<(u32, u32, u32)> {
    settings
        .version
        .or(settings.is_close_by().then_some(VERSION_ON_LOOPBACK))
}

/// The keys in there speak for the owner.
fn make_private(folder: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    // It may have been put there by hand.
    fs_err::set_permissions(folder, Permissions::from_mode(0o700))
}
