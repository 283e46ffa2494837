//! Which version of WhatsApp Web we say we are. The library reads it once a day from WhatsApp's
//! page and does not connect if it cannot. A page that is blocked or rewritten is no reason for
//! that: then the version known before is good enough, and the server says when it is not.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::timeout;
use whatsapp_rust::anyhow::{self, anyhow};
use whatsapp_rust::http::HttpClient;
use whatsapp_rust::store::commands::DeviceCommand;
use whatsapp_rust::store::persistence_manager::PersistenceManager;
use whatsapp_rust::version::fetch_latest_app_version;

type Version = (u32, u32, u32);

/// The library's own measure; a little less, so that it never finds the version stale.
const FRESH: SignedDuration = SignedDuration::from_hours(23);
const PATIENCE: Duration = Duration::from_secs(15);

/// Sees to it that the library knows a version.
#[derive(Clone)]
pub(super) struct Versions {
    device: Arc<PersistenceManager>,
    https: Arc<dyn HttpClient>,
}

impl Versions {
    #[must_use]
    pub(super) fn new(device: Arc<PersistenceManager>, https: Arc<dyn HttpClient>) -> Self {
        Self { device, https }
    }

    /// Reads the version anew if it is a day old, or leaves it as it was.
    pub(super) async fn refresh(&self, now: Timestamp) {
        let device = self.device.get_device_snapshot();
        let read_at = Timestamp::from_millisecond(device.app_version_last_fetched_ms);
        if read_at.is_ok_and(|read_at| now.duration_since(read_at) < FRESH) {
            return;
        }
        let known = (
            device.app_version_primary,
            device.app_version_secondary,
            device.app_version_tertiary,
        );
        let version = self.read().await.unwrap_or_else(|error| {
            let error = format!("{error:#}");
            tracing::warn!(
                error,
                ?known,
                "WhatsApp's version cannot be read; the one known before has to do"
            );
            known
        });
        let command = DeviceCommand::SetAppVersion(version);
        self.device.process_command(command).await;
    }

    async fn read(&self) -> anyhow::Result<Version> {
        let version = timeout(PATIENCE, fetch_latest_app_version(&self.https))
            .await
            .map_err(|_elapsed| {
                anyhow!("the page did not come within {} s", PATIENCE.as_secs())
            })??;
        match version {
            // What the library makes of a page in which it finds no number.
            (_, _, 0) => Err(anyhow!("the page names no version")),
            version => Ok(version),
        }
    }
}

#[cfg(test)]
mod tests {
    use whatsapp_rust::async_trait;
    use whatsapp_rust::http::{HttpRequest, HttpResponse};
    use whatsapp_rust::store::SqliteStore;

    use super::*;

    struct Page(Option<&'static str>);

    #[async_trait]
    impl HttpClient for Page {
        async fn execute(&self, _page: HttpRequest) -> anyhow::Result<HttpResponse> {
            let page = self.0.ok_or_else(|| anyhow!("the network is away"))?;
            Ok(HttpResponse {
                status_code: 200,
                body: page.into(),
            })
        }
    }

    /// The version that is known after it was read from `page`, and whether that is noted as new.
    async fn check(page: Option<&'static str>, wanted: Option<Version>) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("device.db");
        let store = SqliteStore::new(&file.to_string_lossy()).await.unwrap();
        let device = Arc::new(PersistenceManager::new(Arc::new(store)).await.unwrap());
        let before = device.get_device_snapshot();
        let versions = Versions::new(Arc::clone(&device), Arc::new(Page(page)));

        versions.refresh(Timestamp::now()).await;

        let after = device.get_device_snapshot();
        let known = |device: &whatsapp_rust::store::Device| {
            (
                device.app_version_primary,
                device.app_version_secondary,
                device.app_version_tertiary,
            )
        };
        assert_eq!(known(&after), wanted.unwrap_or(known(&before)));
        assert!(
            after.app_version_last_fetched_ms > 0,
            "it is asked for again at once"
        );
    }

    #[tokio::test]
    async fn a_page_that_cannot_be_read_leaves_the_version_as_it_was() {
        let page = r#"self.x={"client_revision":1045678901}"#;
        check(Some(page), Some((2, 3000, 1_045_678_901))).await;
        check(Some("<html>rewritten</html>"), None).await;
        check(Some("assets-manifest-98765;"), None).await;
        check(None, None).await;
    }
}
