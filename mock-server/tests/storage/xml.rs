//! The XML API by hand: what `object_store` does not ask for.

use super::stage::{Stage, header};

async fn told(request: reqwest::RequestBuilder) -> (u16, String) {
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// The text of the first element of this name.
fn element<'a>(document: &'a str, name: &str) -> &'a str {
    let (_, behind) = document
        .split_once(&format!("<{name}>"))
        .unwrap_or_else(|| panic!("{document}"));
    behind.split_once('<').unwrap().0
}

#[tokio::test]
async fn an_object_put_by_its_path_is_that_of_the_other_api() {
    let stage = Stage::set().await;
    let put = stage
        .put("/attic/a/b%20c")
        .header("content-type", "a/b")
        .header("x-goog-meta-kind", "tabby")
        .header("x-goog-hash", "crc32c=4waSgw==")
        .body("123456789");
    let answer = put.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(
        header(&answer, "etag"),
        Some("\"25f9e794323b453885f5181f1b624d0b\"")
    );
    let resource = super::stage::ok(stage.get("/storage/v1/b/attic/o/a%2Fb%20c")).await;
    assert_eq!(resource["metadata"]["kind"], "tabby");
    assert_eq!(
        resource["generation"].as_str(),
        header(&answer, "x-goog-generation")
    );
    let head = stage
        .client
        .head(stage.url("/attic/a%2Fb%20c"))
        .send()
        .await
        .unwrap();
    assert_eq!(header(&head, "x-goog-meta-kind"), Some("tabby"));
    let (status, _) = told(stage.delete("/attic/a/b%20c")).await;
    assert_eq!((status, stage.names("").await.len()), (204, 0));
    stage.ends().await;
}

#[tokio::test]
async fn refusals_are_documents_with_a_code() {
    let stage = Stage::set().await;
    stage.stored("cat", "Miso").await;
    for (request, status, code) in [
        (stage.get("/attic/gone"), 404, "NoSuchKey"),
        (stage.get("/cellar?list-type=2"), 404, "NoSuchBucket"),
        (stage.delete("/attic/gone"), 404, "NoSuchKey"),
        (
            stage
                .put("/attic/cat")
                .header("x-goog-if-generation-match", "0"),
            412,
            "PreconditionFailed",
        ),
        (
            stage
                .put("/attic/cat")
                .header("content-md5", "AAAA")
                .body("x"),
            400,
            "BadDigest",
        ),
        (
            stage.get("/attic/cat").header("range", "bytes=9-"),
            416,
            "InvalidRange",
        ),
        (
            stage.get("/attic?list-type=2&max-keys=x"),
            400,
            "InvalidArgument",
        ),
        (
            stage.put("/attic/cat?partNumber=1&uploadId=x"),
            404,
            "NoSuchUpload",
        ),
        (stage.put("/attic"), 409, "BucketAlreadyOwnedByYou"),
        (stage.delete("/attic"), 409, "BucketNotEmpty"),
    ] {
        let (answered, document) = told(request).await;
        assert_eq!((answered, element(&document, "Code")), (status, code));
        assert!(
            document.starts_with("<?xml version='1.0' encoding='UTF-8'?>"),
            "{document}"
        );
    }
    stage.ends().await;
}

#[tokio::test]
async fn names_that_xml_cannot_hold_are_listed_encoded() {
    let stage = Stage::set().await;
    stage.stored("a%26b%3C%01", "x").await;
    let (_, plain) = told(stage.get("/attic?list-type=2&prefix=a%26b")).await;
    assert!(plain.contains("<Key>a&amp;b&lt;"), "{plain}");
    let (_, encoded) = told(stage.get("/attic?list-type=2&encoding-type=url")).await;
    assert_eq!(element(&encoded, "Key"), "a%26b%3C%01");
    stage.ends().await;
}

#[tokio::test]
async fn the_first_kind_of_listing_goes_on_behind_a_marker() {
    let stage = Stage::set().await;
    for name in ["a", "b", "c"] {
        stage.stored(name, "x").await;
    }
    let (_, first) = told(stage.get("/attic?max-keys=2")).await;
    assert_eq!(
        (
            element(&first, "IsTruncated"),
            element(&first, "NextMarker")
        ),
        ("true", "b")
    );
    let (_, second) = told(stage.get("/attic?max-keys=2&marker=b")).await;
    assert_eq!(
        (element(&second, "IsTruncated"), element(&second, "Key")),
        ("false", "c")
    );
    stage.ends().await;
}

#[tokio::test]
async fn an_upload_in_parts_can_be_looked_at_completed_and_given_up() {
    let stage = Stage::set().await;
    let begin = stage
        .post("/attic/cat?uploads")
        .header("x-goog-meta-kind", "tabby");
    let (_, begun) = told(begin).await;
    let id = element(&begun, "UploadId").to_owned();
    let part = |number: u32| format!("/attic/cat?partNumber={number}&uploadId={id}");
    for (number, text) in [(2, "Miso"), (1, "Lola")] {
        let answer = stage.put(&part(number)).body(text).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(
            header(&answer, "x-goog-hash")
                .unwrap()
                .starts_with("crc32c=")
        );
    }
    let (status, _) = told(stage.put(&part(10_001)).body("x")).await;
    assert_eq!(status, 400);
    let upload = format!("/attic/cat?uploadId={id}");
    let (_, parts) = told(stage.get(&upload)).await;
    assert_eq!(parts.matches("<Part>").count(), 2);
    let etag = element(&parts, "ETag");
    let complete = |parts: &str| {
        stage.post(&upload).body(format!(
            "<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>"
        ))
    };
    let named = |number: u32, etag: &str| {
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
    };
    let small = format!(
        "{}{}",
        named(1, etag),
        named(2, "\"8da56c0ed3eb5ef6de13ca0ad7a49b3e\"")
    );
    for (parts, code) in [
        (String::new(), "InvalidArgument"),
        (named(3, etag), "InvalidPart"),
        (named(1, "\"other\""), "InvalidPart"),
        (
            format!("{}{}", named(2, etag), named(1, etag)),
            "InvalidArgument",
        ),
        (small, "EntityTooSmall"),
        ("<Part>".to_owned(), "InvalidArgument"),
    ] {
        let (status, document) = told(complete(&parts)).await;
        assert_eq!((status, element(&document, "Code")), (400, code), "{parts}");
    }
    assert_eq!(stage.names("").await, [""; 0]);
    let (status, _) = told(complete(&named(1, etag))).await;
    assert_eq!(
        (status, stage.names("").await),
        (200, vec!["cat".to_owned()])
    );
    let (status, _) = told(stage.delete(&upload)).await;
    assert_eq!(status, 404);
    let puts = stage.journaled("storage.put", &["how", "object", "size"]);
    assert_eq!(puts, ["multipart cat 4"]);
    stage.ends().await;
}

#[tokio::test]
async fn an_upload_under_way_is_listed_until_it_is_given_up() {
    let stage = Stage::set().await;
    let (_, begun) = told(stage.post("/attic/cat?uploads")).await;
    let id = element(&begun, "UploadId").to_owned();
    let (_, uploads) = told(stage.get("/attic?uploads")).await;
    assert_eq!(
        (element(&uploads, "Key"), element(&uploads, "UploadId")),
        ("cat", &*id)
    );
    let upload = format!("/attic/cat?uploadId={id}");
    assert_eq!(told(stage.delete(&upload)).await.0, 204);
    let (_, uploads) = told(stage.get("/attic?uploads")).await;
    assert!(!uploads.contains("<Upload>"), "{uploads}");
    stage.ends().await;
}

#[tokio::test]
async fn a_copy_takes_what_is_said_of_its_source_unless_told_otherwise() {
    let stage = Stage::set().await;
    stage.stored("a%2Fb", "Miso").await;
    let copy = |to: &str, source: &str| {
        stage
            .put(&format!("/attic/{to}"))
            .header("x-goog-copy-source", source)
    };
    let (status, document) = told(copy("kept", "/attic/a%2Fb")).await;
    assert_eq!(
        (status, element(&document, "ETag").is_empty()),
        (200, false)
    );
    let replaced = copy("replaced", "attic/a/b")
        .header("x-goog-metadata-directive", "REPLACE")
        .header("content-type", "x/y");
    assert_eq!(told(replaced).await.0, 200);
    let kinds = async |name: &str| {
        let resource = super::stage::ok(stage.get(&format!("/storage/v1/b/attic/o/{name}"))).await;
        resource["contentType"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        (&*kinds("kept").await, &*kinds("replaced").await),
        ("text/plain", "x/y")
    );
    let stale = copy("other", "attic/a/b").header("x-goog-copy-source-if-generation-match", "1");
    assert_eq!(told(stale).await.0, 412);
    for (source, status) in [("attic/gone", 404), ("cellar/a", 404), ("attic", 400)] {
        assert_eq!(told(copy("other", source)).await.0, status, "{source}");
    }
    stage.ends().await;
}
