//! Google's own Rust client against the mock: its data plane, for its listings and copies speak
//! gRPC.

use google_cloud_auth::credentials::anonymous;
use google_cloud_storage::client::Storage;
use google_cloud_storage::model_ext::ReadRange;
use google_cloud_storage::read_object::ReadObjectResponse;
use serde_json::json;

use super::stage::{Stage, provider};

const BUCKET: &str = "projects/_/buckets/attic";
/// Names that a path, a header and a query each would write another way.
const NAME: &str = "folder/名前 with spaces?#&.txt";

async fn guest(stage: &Stage) -> Storage {
    provider();
    let builder = Storage::builder().with_endpoint(stage.server.url());
    let builder = builder.with_credentials(anonymous::Builder::new().build());
    builder.build().await.unwrap()
}

async fn read(mut answer: ReadObjectResponse) -> Vec<u8> {
    let mut content = Vec::new();
    while let Some(chunk) = answer.next().await {
        content.extend_from_slice(&chunk.unwrap());
    }
    content
}

fn letters(count: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(count).collect()
}

#[tokio::test]
async fn an_object_is_put_in_one_request_and_got() {
    let stage = Stage::set().await;
    let guest = guest(&stage).await;
    let sent = guest.write_object(BUCKET, NAME, "Miso, the cat. 🦀\r\n");
    let sent = sent
        .set_content_type("text/plain; charset=utf-8")
        .set_metadata([("Kind_Of", "tabby")])
        .compute_md5();
    let put = Box::pin(sent.send_buffered()).await.unwrap();
    assert_eq!((put.size, put.metageneration), (21, 1));
    assert_eq!(put.metadata["Kind_Of"], "tabby");
    let answer = guest.read_object(BUCKET, NAME).compute_md5().send().await;
    let answer = answer.unwrap();
    let told = answer.object();
    assert_eq!(told.generation, put.generation);
    assert_eq!(told.content_type, "text/plain; charset=utf-8");
    assert_eq!(told.checksums, put.checksums);
    assert_eq!(read(answer).await, "Miso, the cat. 🦀\r\n".as_bytes());
    let puts = stage.journaled("storage.put", &["how", "object", "size"]);
    assert_eq!(puts, [format!("multipart {NAME} 21")]);
    stage.ends().await;
}

#[tokio::test]
async fn a_large_object_goes_up_in_chunks_and_survives_a_busy_service() {
    let stage = Stage::set().await;
    let guest = guest(&stage).await;
    let content = letters(3 * 1024 * 1024 + 11);
    let chunk = json!({ "storage": { "verb": "chunk" } });
    stage.fault(&chunk, &json!({ "status": 503 })).await;
    let payload = bytes::Bytes::from(content.clone());
    let upload = guest
        .write_object(BUCKET, "large", payload)
        .with_resumable_upload_threshold(0_usize)
        .with_resumable_upload_buffer_size(1024_usize * 1024)
        .set_if_generation_match(0);
    let put = Box::pin(upload.send_unbuffered()).await.unwrap();
    assert_eq!(put.size, 3 * 1024 * 1024 + 11);
    let answer = guest.read_object(BUCKET, "large").send().await.unwrap();
    assert!(read(answer).await == content);
    assert_eq!(stage.server.llm().unfired(), []);
    assert_eq!(stage.journaled("storage.put", &["how"]), ["resumable"]);
    stage.ends().await;
}

#[tokio::test]
async fn ranges_are_read_from_either_end() {
    let stage = Stage::set().await;
    let guest = guest(&stage).await;
    stage.stored("alphabet", "abcdefghijklmnopqrstuvwxyz").await;
    for (range, expected) in [
        (ReadRange::segment(3, 4), "defg"),
        (ReadRange::offset(23), "xyz"),
        (ReadRange::tail(2), "yz"),
        (ReadRange::head(2), "ab"),
        (ReadRange::all(), "abcdefghijklmnopqrstuvwxyz"),
    ] {
        let reading = guest.read_object(BUCKET, "alphabet");
        let answer = reading.set_read_range(range).send().await.unwrap();
        assert_eq!(read(answer).await, expected.as_bytes());
    }
    let beyond = guest.read_object(BUCKET, "alphabet");
    let beyond = beyond.set_read_range(ReadRange::offset(26)).send().await;
    assert_eq!(beyond.unwrap_err().http_status_code(), Some(416));
    stage.ends().await;
}

#[tokio::test]
async fn a_download_that_breaks_off_goes_on_where_it_was() {
    let stage = Stage::set().await;
    let guest = guest(&stage).await;
    let content = String::from_utf8(letters(300_000)).unwrap();
    stage.stored("long", &content).await;
    let get = json!({ "storage": { "verb": "get", "object": "long" } });
    let cut = json!({ "reset": { "bytes": 100_000 } });
    stage.fault(&get, &cut).await;
    let answer = guest.read_object(BUCKET, "long").send().await.unwrap();
    assert!(read(answer).await == content.as_bytes());
    assert_eq!(stage.server.llm().unfired(), []);
    assert_eq!(stage.journaled("storage.get", &["object"]).len(), 2);
    stage.ends().await;
}

#[tokio::test]
async fn a_condition_that_does_not_hold_changes_nothing() {
    let stage = Stage::set().await;
    let guest = guest(&stage).await;
    let first = guest.write_object(BUCKET, "manifest", "one");
    let first = first.set_if_generation_match(0);
    let first = Box::pin(first.send_buffered()).await.unwrap();
    let again = guest.write_object(BUCKET, "manifest", "two");
    let again = again.set_if_generation_match(0);
    let again = Box::pin(again.send_buffered()).await;
    assert_eq!(again.unwrap_err().http_status_code(), Some(412));
    let next = guest.write_object(BUCKET, "manifest", "three");
    let next = next.set_if_generation_match(first.generation);
    let next = Box::pin(next.send_buffered()).await.unwrap();
    assert!(next.generation > first.generation);
    let stale = guest.read_object(BUCKET, "manifest");
    let stale = stale.set_if_generation_match(first.generation).send().await;
    assert_eq!(stale.unwrap_err().http_status_code(), Some(412));
    let held = guest.read_object(BUCKET, "manifest").send().await.unwrap();
    assert_eq!(read(held).await, b"three");
    stage.ends().await;
}

#[tokio::test]
async fn what_is_wrong_is_refused_by_what_it_is() {
    let stage = Stage::set().await;
    let guest = guest(&stage).await;
    let nothing = guest.read_object(BUCKET, "nothing").send().await;
    assert_eq!(nothing.unwrap_err().http_status_code(), Some(404));
    let nowhere = guest.write_object("projects/_/buckets/nowhere", "cat", "Miso");
    let nowhere = Box::pin(nowhere.send_buffered()).await.unwrap_err();
    assert_eq!(nowhere.http_status_code(), Some(404));
    let wrong = guest.write_object(BUCKET, "cat", "Miso");
    let wrong = wrong.with_known_crc32c(1_u32).send_unbuffered();
    let wrong = Box::pin(wrong).await;
    assert_eq!(wrong.unwrap_err().http_status_code(), Some(400));
    assert_eq!(stage.names("").await, <[&str; 0]>::default());
    stage.ends().await;
}
