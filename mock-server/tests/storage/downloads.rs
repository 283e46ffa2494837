//! Contents over both APIs: whole, in ranges, packed and unpacked.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::stage::{Stage, header, ok, refused};

const JSON: &str = "/storage/v1/b/attic/o/cat?alt=media";
const PATHS: [&str; 3] = [
    JSON,
    "/download/storage/v1/b/attic/o/cat?alt=media",
    "/attic/cat",
];

#[tokio::test]
async fn ranges_are_cut_out_and_impossible_ones_refused() {
    let stage = Stage::set().await;
    stage.stored("cat", "0123456789").await;
    for path in PATHS {
        for (range, status, text, told) in [
            ("bytes=2-4", 206, "234", Some("bytes 2-4/10")),
            ("bytes=7-", 206, "789", Some("bytes 7-9/10")),
            ("bytes=-2", 206, "89", Some("bytes 8-9/10")),
            ("bytes=5-500", 206, "56789", Some("bytes 5-9/10")),
            ("bytes=4-2", 200, "0123456789", None),
            ("lines=1-2", 200, "0123456789", None),
        ] {
            let answer = stage.get(path).header("range", range).send().await.unwrap();
            assert_eq!(answer.status(), status, "{path} {range}");
            assert_eq!(header(&answer, "content-range"), told);
            assert_eq!(answer.text().await.unwrap(), text);
        }
        let outside = stage
            .get(path)
            .header("range", "bytes=10-")
            .send()
            .await
            .unwrap();
        assert_eq!(outside.status(), 416, "{path}");
        assert_eq!(header(&outside, "content-range"), Some("bytes */10"));
    }
    let range = stage.get(JSON).header("range", "bytes=10-");
    assert_eq!(
        refused(range).await,
        (416, "requestedRangeNotSatisfiable".to_owned())
    );
    stage.ends().await;
}

#[tokio::test]
async fn a_download_says_what_clients_verify() {
    let stage = Stage::set().await;
    let made = stage.stored("cat", "123456789").await;
    for path in PATHS {
        let answer = stage.get(path).send().await.unwrap();
        for (name, value) in [
            ("content-type", "text/plain"),
            ("content-length", "9"),
            ("last-modified", "Mon, 05 Jan 2026 12:00:00 GMT"),
            ("x-goog-generation", made["generation"].as_str().unwrap()),
            ("x-goog-metageneration", "1"),
            ("x-goog-stored-content-length", "9"),
            ("x-goog-stored-content-encoding", "identity"),
            ("x-goog-storage-class", "STANDARD"),
        ] {
            assert_eq!(header(&answer, name), Some(value), "{path} {name}");
        }
        let sums = answer.headers().get_all("x-goog-hash").iter();
        let sums: Vec<_> = sums.map(|sum| sum.to_str().unwrap()).collect();
        let sums = sums.join(if path == "/attic/cat" { "," } else { "" });
        assert_eq!(sums, "crc32c=4waSgw==,md5=JfnnlDI7RTiF9RgfG2JNCw==");
        assert!(header(&answer, "etag").is_some());
    }
    assert_eq!(
        stage.journaled("storage.get", &["how", "object"]),
        ["media cat", "media cat", "xml cat"]
    );
    let head = stage
        .client
        .head(stage.url("/attic/cat"))
        .send()
        .await
        .unwrap();
    assert_eq!(header(&head, "content-length"), Some("9"));
    stage.ends().await;
}

fn packed(text: &str) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(text.as_bytes()).unwrap();
    packer.finish().unwrap()
}

#[tokio::test]
async fn what_is_kept_packed_is_unpacked_for_who_does_not_take_it_so() {
    let stage = Stage::set().await;
    let content = packed("Miso, Miso, Miso");
    let upload = "/upload/storage/v1/b/attic/o?uploadType=media&name=cat&contentEncoding=gzip";
    ok(stage.post(upload).body(content.clone())).await;
    for path in PATHS {
        let plain = stage
            .get(path)
            .header("range", "bytes=0-3")
            .send()
            .await
            .unwrap();
        assert_eq!(
            (plain.status().as_u16(), header(&plain, "content-encoding")),
            (200, None)
        );
        assert_eq!(
            header(&plain, "x-goog-stored-content-encoding"),
            Some("gzip")
        );
        assert_eq!(plain.text().await.unwrap(), "Miso, Miso, Miso");
        let raw = stage
            .get(path)
            .header("accept-encoding", "deflate, gzip;q=0.5");
        let raw = raw.send().await.unwrap();
        assert_eq!(header(&raw, "content-encoding"), Some("gzip"));
        assert_eq!(raw.bytes().await.unwrap(), content);
    }
    let fixed = serde_json::json!({ "cacheControl": "no-transform" });
    ok(stage.patch("/storage/v1/b/attic/o/cat", &fixed)).await;
    let answer = stage.get(JSON).send().await.unwrap();
    assert_eq!(answer.bytes().await.unwrap(), content);
    stage.ends().await;
}

#[tokio::test]
async fn what_only_says_that_it_is_packed_is_left_alone() {
    let stage = Stage::set().await;
    let put = stage
        .put("/attic/cat")
        .header("content-encoding", "gzip")
        .body("not packed");
    assert_eq!(put.send().await.unwrap().status(), 200);
    for path in PATHS {
        let answer = stage.get(path).send().await.unwrap();
        assert_eq!(header(&answer, "content-encoding"), Some("gzip"));
        assert_eq!(answer.bytes().await.unwrap(), "not packed");
    }
    stage.ends().await;
}

#[tokio::test]
async fn large_contents_come_back_as_they_went() {
    let stage = Stage::set().await;
    let content: Vec<u8> = (0..5_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let upload = stage.post("/upload/storage/v1/b/attic/o?uploadType=media&name=cat");
    ok(upload.body(content.clone())).await;
    for path in PATHS {
        let answer = stage.get(path).send().await.unwrap();
        assert!(answer.bytes().await.unwrap() == content, "{path}");
    }
    stage.ends().await;
}
