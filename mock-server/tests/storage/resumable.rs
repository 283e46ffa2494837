//! Uploads in chunks, of which some are lost.

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::stage::{Stage, header, ok, refused};

const GRAIN: usize = 256 << 10;

impl Stage {
    /// Where the chunks of a new upload go.
    async fn begun(&self, parameters: &str) -> String {
        let path =
            format!("/upload/storage/v1/b/attic/o?uploadType=resumable&name=cat{parameters}");
        let begun = self
            .post(&path)
            .header("x-upload-content-type", "a/b")
            .send()
            .await
            .unwrap();
        assert_eq!(begun.status(), 200);
        header(&begun, "location").unwrap().to_owned()
    }

    fn chunk(&self, place: &str, range: &str, bytes: &[u8]) -> RequestBuilder {
        let chunk = self.client.put(place).header("content-range", range);
        chunk.body(bytes.to_vec())
    }
}

/// 308, and the range that is kept.
async fn kept(request: RequestBuilder) -> Option<String> {
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 308);
    header(&answer, "range").map(str::to_owned)
}

#[tokio::test]
async fn chunks_make_an_object_and_the_last_answer_can_be_asked_for_again() {
    let stage = Stage::set().await;
    let place = stage.begun("").await;
    let content: Vec<u8> = (0..GRAIN * 2 + 10).map(|n| (n % 251) as u8).collect();
    let size = content.len();
    for ask in ["bytes */*", &format!("bytes */{size}")] {
        assert_eq!(kept(stage.chunk(&place, ask, b"")).await, None);
    }
    let first = stage.chunk(
        &place,
        &format!("bytes 0-{}/*", GRAIN - 1),
        &content[..GRAIN],
    );
    assert_eq!(kept(first).await, Some(format!("bytes=0-{}", GRAIN - 1)));
    // Of a chunk that is not the last, whole grains are kept.
    let end = GRAIN * 2 + 4;
    let second = stage.chunk(
        &place,
        &format!("bytes {GRAIN}-{end}/*"),
        &content[GRAIN..=end],
    );
    let so_far = Some(format!("bytes=0-{}", GRAIN * 2 - 1));
    assert_eq!(kept(second).await, so_far);
    assert_eq!(kept(stage.chunk(&place, "bytes */*", b"")).await, so_far);
    assert_eq!(stage.names("").await, [""; 0]);
    // What is sent twice is kept once.
    let last = stage.chunk(
        &place,
        &format!("bytes 100-{}/{size}", size - 1),
        &content[100..],
    );
    let made = ok(last).await;
    assert_eq!(
        (&made["size"], &made["contentType"]),
        (&json!(size.to_string()), &json!("a/b"))
    );
    let again = ok(stage.chunk(&place, &format!("bytes */{size}"), b"")).await;
    assert_eq!(again, made);
    let whole = stage
        .get("/storage/v1/b/attic/o/cat?alt=media")
        .send()
        .await
        .unwrap();
    assert_eq!(whole.bytes().await.unwrap(), content);
    assert_eq!(stage.journaled("storage.finalize", &[]).len(), 1);
    assert_eq!(stage.journaled("storage.put", &["how"]), ["resumable"]);
    stage.ends().await;
}

#[tokio::test]
async fn a_whole_content_may_come_at_once_and_may_be_empty() {
    let stage = Stage::set().await;
    for content in ["Miso", ""] {
        let place = stage.begun("").await;
        let made = ok(stage.client.put(&place).body(content)).await;
        assert_eq!(made["size"], content.len().to_string());
    }
    let place = stage.begun("").await;
    let made = ok(stage.chunk(&place, "bytes */0", b"")).await;
    assert_eq!(made["size"], "0");
    stage.ends().await;
}

#[tokio::test]
async fn a_place_is_told_with_the_port_also_to_who_leaves_it_out() {
    let stage = Stage::set().await;
    let begin = stage.post("/upload/storage/v1/b/attic/o?uploadType=resumable&name=cat");
    let begun = begin.header("host", "127.0.0.1").send().await.unwrap();
    let place = header(&begun, "location").unwrap();
    assert!(place.starts_with(&stage.server.url()), "{place}");
    stage.ends().await;
}

#[tokio::test]
async fn chunks_that_do_not_fit_are_refused_and_change_nothing() {
    let stage = Stage::set().await;
    let place = stage.begun("").await;
    for (range, bytes) in [
        ("bytes 5-8/*", &b"Miso"[..]),
        ("bytes 0-4/5", b"Miso"),
        ("bytes 0-3/3", b"Miso"),
        ("bytes */4", b"Miso"),
        ("pages 0-3/4", b"Miso"),
    ] {
        let (status, _) = refused(stage.chunk(&place, range, bytes)).await;
        assert_eq!(status, 400, "{range}");
    }
    assert_eq!(kept(stage.chunk(&place, "bytes */*", b"")).await, None);
    let unknown = format!("{place}x");
    let (status, _) = refused(stage.chunk(&unknown, "bytes */*", b"")).await;
    assert_eq!(status, 404);
    stage.ends().await;
}

#[tokio::test]
async fn a_cancelled_upload_is_gone() {
    let stage = Stage::set().await;
    let place = stage.begun("").await;
    let cancelled = stage.client.delete(&place).send().await.unwrap();
    assert_eq!(cancelled.status(), 499);
    let (status, _) = refused(stage.chunk(&place, "bytes 0-3/4", b"Miso")).await;
    assert_eq!((status, stage.names("").await.len()), (410, 0));
    stage.ends().await;
}

#[tokio::test]
async fn the_checksum_of_the_last_chunk_is_that_of_the_whole() {
    let stage = Stage::set().await;
    let wrong = stage.begun("").await;
    let chunk = stage.chunk(&wrong, "bytes 0-8/9", b"123456789");
    let (status, reason) = refused(chunk.header("x-goog-hash", "crc32c=AAAAAA==")).await;
    assert_eq!((status, &*reason), (400, "invalid"));
    let right = stage.begun("").await;
    let chunk = stage.chunk(&right, "bytes 0-8/9", b"123456789");
    ok(chunk.header("x-goog-hash", "crc32c=4waSgw==")).await;
    stage.ends().await;
}

#[tokio::test]
async fn conditions_hold_when_it_begins_and_when_it_ends() {
    let stage = Stage::set().await;
    let place = stage.begun("&ifGenerationMatch=0").await;
    stage.stored("cat", "another was faster").await;
    let late: (u16, String) = refused(stage.chunk(&place, "bytes 0-3/4", b"Miso")).await;
    assert_eq!(late, (412, "conditionNotMet".to_owned()));
    let path = "/upload/storage/v1/b/attic/o?uploadType=resumable&name=cat&ifGenerationMatch=0";
    let early: (u16, String) = refused(stage.post(path)).await;
    assert_eq!(early, (412, "conditionNotMet".to_owned()));
    let kept: Value = ok(stage.get("/storage/v1/b/attic/o/cat")).await;
    assert_eq!(kept["size"], "18");
    stage.ends().await;
}
