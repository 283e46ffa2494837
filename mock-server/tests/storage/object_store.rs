//! The crate `object_store` against the mock: its own integration suite, as it runs it against
//! the real service, and what it leaves out.

use object_store::gcp::{GoogleCloudStorage, GoogleCloudStorageBuilder};
use object_store::integration::{self as suite, MarkerHttpConnector};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use serde_json::json;

use super::stage::{ATTIC, Stage, ok, provider};

/// As an account's file says it, with which the client can be pointed anywhere.
fn account(url: &str) -> String {
    json!({
        "gcs_base_url": url,
        "disable_oauth": true,
        "client_email": "",
        "private_key": "",
        "private_key_id": "",
    })
    .to_string()
}

fn guest(stage: &Stage, bucket: &str) -> GoogleCloudStorage {
    provider();
    let client = object_store::ClientOptions::new().with_allow_http(true);
    GoogleCloudStorageBuilder::new()
        .with_service_account_key(account(&stage.server.url()))
        .with_client_options(client)
        .with_bucket_name(bucket)
        .with_http_connector(MarkerHttpConnector::default())
        .build()
        .unwrap()
}

/// A bucket that keeps versions, as the suite wants it, with a name of letters that must be
/// encoded.
async fn check(play: impl AsyncFnOnce(&GoogleCloudStorage)) {
    let stage = Stage::set().await;
    let bucket = json!({ "name": "os-bucket", "versioning": { "enabled": true } });
    ok(stage.post("/storage/v1/b").json(&bucket)).await;
    play(&guest(&stage, "os-bucket")).await;
    stage.ends().await;
}

#[tokio::test]
async fn objects_are_put_got_deleted_and_listed() {
    check(async |store| {
        suite::put_get_delete_list(store).await;
        suite::get_opts(store).await;
        suite::put_opts(store, true).await;
        suite::put_get_attributes(store).await;
    })
    .await;
}

#[tokio::test]
async fn listings_are_in_folders_and_pages() {
    check(async |store| {
        suite::list_with_offset_exclusivity(store).await;
        suite::list_uses_directories_correctly(store).await;
        suite::list_with_delimiter(store).await;
        suite::list_paginated(store, store).await;
    })
    .await;
}

#[tokio::test]
async fn objects_are_copied_and_renamed() {
    check(async |store| {
        suite::rename_and_copy(store).await;
        suite::copy_if_not_exists(store).await;
        suite::copy_rename_nonexistent_object(store).await;
    })
    .await;
}

#[tokio::test]
async fn large_objects_come_in_parts() {
    check(async |store| {
        suite::stream_get(store).await;
        suite::multipart(store, store).await;
        suite::multipart_with_opts(store, store).await;
        suite::multipart_put_part_out_of_order(store, store).await;
        suite::multipart_out_of_order(store).await;
    })
    .await;
}

#[tokio::test]
async fn uploads_that_race_do_not_mix() {
    check(async |store| {
        suite::multipart_race_condition(store, true).await;
        suite::response_extensions(store, true).await;
    })
    .await;
}

#[tokio::test]
async fn a_second_writer_does_not_overwrite_silently() {
    let stage = Stage::set().await;
    let store = guest(&stage, ATTIC);
    let path = Path::from("manifest");
    let create = || PutOptions::from(PutMode::Create);
    let first = store.put_opts(&path, "one".into(), create()).await.unwrap();
    let again = store.put_opts(&path, "two".into(), create()).await;
    assert!(
        matches!(again, Err(Error::AlreadyExists { .. })),
        "{again:?}"
    );
    let update = || PutOptions::from(PutMode::Update(first.clone().into()));
    store.put_opts(&path, "two".into(), update()).await.unwrap();
    let stale = store.put_opts(&path, "three".into(), update()).await;
    assert!(
        matches!(stale, Err(Error::Precondition { .. })),
        "{stale:?}"
    );
    let held = store.get(&path).await.unwrap().bytes().await.unwrap();
    assert_eq!(held, "two");
    store.delete(&path).await.unwrap();
    let gone = store.head(&path).await;
    assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
    let puts = stage.journaled(
        "storage.put",
        &["how", "bucket", "object", "size", "crc32c"],
    );
    assert_eq!(
        puts,
        [
            "xml attic manifest 3 KpSy6Q==",
            "xml attic manifest 3 Utizow=="
        ]
    );
    assert_eq!(stage.journaled("storage.delete", &["object"]), ["manifest"]);
    stage.ends().await;
}
