//! Makes the store out of the settings, and finds out which groups it holds.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use object_store::aws::AmazonS3Builder;
use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    BackoffConfig, Certificate, ClientOptions, ObjectStore, RetryConfig, StaticCredentialProvider,
};

use super::bucket::{Bucket, StoreFault};
use super::desk::{AT_ONCE, Desk, WorkspaceFault};
use super::index;
use super::manners::Manners;
use crate::clock::Clock;
use crate::config::{Config, StoreUrl, WorkspaceSettings};
use crate::ids::GroupFolder;

const CONNECT: Duration = Duration::from_secs(5);
/// Of one request; none carries more than a part.
const REQUEST: Duration = Duration::from_secs(30);

/// In real time, for what passes in a moment. What lasts longer is the queue's business, which
/// waits on our own clock.
fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_secs(1),
            base: 2.0,
        },
        max_retries: 3,
        retry_timeout: Duration::from_secs(30),
    }
}

/// The store of these settings; none if workspaces stay on this machine.
pub(crate) fn open(config: &Config, clock: &Clock) -> Result<Option<Bucket>, StoreFault> {
    let settings = &config.workspace;
    let Some(url) = &settings.store else {
        return Ok(None);
    };
    let shown = url.to_string();
    let manners = Manners::new(clock);
    let opened = open_url(url, config, &manners).map_err(|source| StoreFault::Open {
        url: shown.clone(),
        source,
    })?;
    let (store, prefix) = opened;
    Ok(Some(Bucket::new(store, prefix, shown, manners)))
}

fn open_url(
    url: &StoreUrl,
    config: &Config,
    manners: &Manners,
) -> Result<(Arc<dyn ObjectStore>, Path), object_store::Error> {
    let settings = &config.workspace;
    match url {
        StoreUrl::Folder(folder) => {
            let failed = |source| object_store::Error::Generic {
                store: "folder",
                source: Box::new(source),
            };
            fs_err::create_dir_all(folder).map_err(failed)?;
            // A version that is told to be there must survive the loss of power.
            let store = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true);
            Ok((Arc::new(store), Path::default()))
        }
        StoreUrl::Google { bucket, prefix } => {
            let store = google(bucket, settings, (client(config)?, manners))?;
            Ok((store, Path::from(prefix.as_str())))
        }
        StoreUrl::Amazon { bucket, prefix } => {
            let store = amazon(bucket, settings, (client(config)?, manners))?;
            Ok((store, Path::from(prefix.as_str())))
        }
    }
}

fn client(config: &Config) -> Result<ClientOptions, object_store::Error> {
    // Refused if somebody installed one before us, which is just as well.
    let (Ok(()) | Err(_)) = rustls::crypto::ring::default_provider().install_default();
    let is_plain = config
        .workspace
        .endpoint
        .as_ref()
        .is_some_and(|endpoint| endpoint.starts_with("http://"));
    let mut options = ClientOptions::new()
        .with_connect_timeout(CONNECT)
        .with_timeout(REQUEST)
        .with_allow_http(is_plain);
    if let Some(file) = &config.extra_ca_file {
        let failed = |source| object_store::Error::Generic {
            store: "extra_ca_file",
            source: Box::new(source),
        };
        let pem = fs_err::read(file).map_err(failed)?;
        for certificate in Certificate::from_pem_bundle(&pem)? {
            options = options.with_root_certificate(certificate);
        }
    }
    Ok(options)
}

fn google(
    bucket: &str,
    settings: &WorkspaceSettings,
    (client, manners): (ClientOptions, &Manners),
) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
    let access = &settings.google;
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(bucket)
        .with_client_options(client)
        .with_http_connector(manners.clone())
        .with_retry(retries());
    if let Some(key) = &access.service_account_key {
        builder = builder.with_service_account_key(key.expose());
    } else if let Some(file) = &access.service_account {
        builder = builder.with_service_account_path(file.to_string_lossy());
    } else if let Some(file) = &access.application_credentials {
        builder = builder.with_application_credentials(file.to_string_lossy());
    } else if settings.endpoint.is_some() {
        // An emulator asks nobody who they are, and no machine has an account there. To be told
        // to leave signatures away is not enough: what is put is signed all the same.
        let nobody = GcpCredential {
            bearer: String::new(),
        };
        builder = builder.with_credentials(Arc::new(StaticCredentialProvider::new(nobody)));
    }
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_base_url(endpoint);
    }
    Ok(Arc::new(builder.build()?))
}

fn amazon(
    bucket: &str,
    settings: &WorkspaceSettings,
    (client, manners): (ClientOptions, &Manners),
) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
    let access = &settings.amazon;
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_client_options(client)
        .with_http_connector(manners.clone())
        .with_retry(retries());
    if let Some(id) = &access.access_key_id {
        builder = builder.with_access_key_id(id);
    }
    if let Some(key) = &access.secret_access_key {
        builder = builder.with_secret_access_key(key.expose());
    }
    if let Some(token) = &access.session_token {
        builder = builder.with_token(token.expose());
    }
    if let Some(region) = &access.region {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    Ok(Arc::new(builder.build()?))
}

/// What is known of the store from the start.
#[derive(Debug)]
pub(crate) struct Known {
    /// The groups that have something there; none if it could not be asked.
    in_store: Option<BTreeSet<GroupFolder>>,
    /// Of these, who is not registered here yet and is to be.
    pub(super) awaited: Vec<GroupFolder>,
}

impl Known {
    /// Whether the store surely holds nothing of a group.
    pub(super) fn has_nothing_of(&self, group: &GroupFolder) -> bool {
        let in_store = self.in_store.as_ref();
        in_store.is_some_and(|groups| !groups.contains(group))
    }
}

/// Registers the groups that this machine has never known: their messages must find them from
/// the start, and what is in their folders follows. A machine that has agreed with the store
/// before starts without it; a fresh one does not, since it would take old groups for new ones, nor
/// without a group of which the store does not answer now. One that cannot be registered for
/// another reason, as damage or a chat that is taken, keeps nobody from starting and is awaited; but
/// for main's, which would be made anew a moment later.
pub(crate) async fn take_over(desk: &Desk) -> Result<Known, WorkspaceFault> {
    let known_here: BTreeSet<GroupFolder> = index::known(&desk.house.root)?.into_iter().collect();
    let groups = match desk.bucket.groups().await {
        Ok(groups) => groups,
        Err(fault) if known_here.is_empty() => return Err(fault.into()),
        Err(fault) => {
            tracing::warn!(
                "the workspace store cannot be asked; starting with what is here: {}",
                crate::chain(&fault)
            );
            return Ok(Known {
                in_store: None,
                awaited: Vec::new(),
            });
        }
    };
    let strangers = groups.iter().filter(|group| !known_here.contains(*group));
    let taking: Vec<_> = stream::iter(strangers.cloned())
        .map(|group| register(desk, group))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let mut awaited = Vec::new();
    for (group, registered) in taking {
        match registered {
            Ok(()) => {}
            Err(WorkspaceFault::Store(fault)) if known_here.is_empty() && fault.is_passing() => {
                return Err(fault.into());
            }
            // It would be made anew a moment later.
            Err(fault) if group.is_main() => return Err(fault),
            Err(fault) => {
                tracing::error!(%group, "the group is not served yet: {}", crate::chain(&fault));
                awaited.push(group);
            }
        }
    }
    let in_store = Some(groups.into_iter().collect());
    Ok(Known { in_store, awaited })
}

async fn register(desk: &Desk, group: GroupFolder) -> (GroupFolder, Result<(), WorkspaceFault>) {
    let registering = async {
        if desk
            .house
            .store
            .group_of_folder(group.clone())
            .await?
            .is_some()
        {
            return Ok(());
        }
        let Some(newest) = desk.bucket.newest(&group, 0).await? else {
            return Ok(());
        };
        let manifest = desk.bucket.read(&group, newest).await?;
        tracing::info!(%group, version = newest, "the group comes from the store");
        desk.take_over_registration(&manifest, true).await
    };
    let registered = registering.await;
    (group, registered)
}
