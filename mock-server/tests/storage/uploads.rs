//! Uploads in one request, and what is said of an object afterwards.

use serde_json::json;

use super::stage::{Stage, ok, refused};

#[tokio::test]
async fn an_upload_is_answered_with_all_that_clients_verify() {
    let stage = Stage::set().await;
    let made = stage.stored("a%2Fb%20c%3F", "123456789").await;
    let url = stage.server.url();
    let generation = made["generation"].as_str().unwrap();
    assert_eq!(
        made,
        json!({
            "kind": "storage#object",
            "id": format!("attic/a/b c?/{generation}"),
            "selfLink": format!("{url}/storage/v1/b/attic/o/a%2Fb%20c%3F"),
            "mediaLink": format!("{url}/download/storage/v1/b/attic/o/a%2Fb%20c%3F?generation={generation}&alt=media"),
            "name": "a/b c?",
            "bucket": "attic",
            "generation": generation,
            "metageneration": "1",
            "contentType": "text/plain",
            "storageClass": "STANDARD",
            "size": "9",
            "md5Hash": "JfnnlDI7RTiF9RgfG2JNCw==",
            "crc32c": "4waSgw==",
            "etag": made["etag"],
            "timeCreated": "2026-01-05T12:00:00.000Z",
            "updated": "2026-01-05T12:00:00.000Z",
            "timeStorageClassUpdated": "2026-01-05T12:00:00.000Z",
            "timeFinalized": "2026-01-05T12:00:00.000Z",
        })
    );
    // Microseconds of the scenario's clock.
    assert_eq!(generation, "1767614400000000");
    let puts = stage.journaled("storage.put", &["how", "object", "size", "crc32c"]);
    assert_eq!(puts, ["media a/b c? 9 4waSgw=="]);
    stage.ends().await;
}

#[tokio::test]
async fn generations_rise_while_the_clock_stands_still_and_belong_to_the_seed() {
    let generations = async |seed| {
        let stage = Stage::seeded(seed).await;
        let mut seen = Vec::new();
        for _ in 0..5 {
            let made = stage.stored("cat", "Miso").await;
            seen.push(made["generation"].as_str().unwrap().parse::<u64>().unwrap());
        }
        stage.ends().await;
        seen
    };
    let first = generations(1).await;
    assert!(first.is_sorted_by(|one, next| one < next), "{first:?}");
    assert_eq!(first, generations(1).await);
    assert_ne!(first, generations(2).await);
}

/// A body of two parts, as gsutil writes it.
fn related(resource: &str, content: &[u8], line: &str) -> Vec<u8> {
    let head = format!(
        "--==x=={line}Content-Type: application/json{line}{line}{resource}{line}--==x=={line}Content-Type: a/b{line}{line}"
    );
    [head.as_bytes(), content, line.as_bytes(), b"--==x==--"].concat()
}

#[tokio::test]
async fn a_body_of_two_parts_holds_what_is_said_of_the_object() {
    let stage = Stage::set().await;
    for (line, quote) in [("\r\n", ""), ("\n", "'"), ("\r\n", "\"")] {
        let content = b"one\r\n--==x==\r\ntwo\0\xff\n";
        let resource = json!({ "name": "cat", "metadata": { "Kind_Of": "tabby" }, "cacheControl": "no-store" });
        let kind = format!("multipart/related; boundary={quote}==x=={quote}");
        let request = stage
            .post("/upload/storage/v1/b/attic/o?uploadType=multipart")
            .header("content-type", kind)
            .body(related(&resource.to_string(), content, line));
        let made = ok(request).await;
        assert_eq!(made["metadata"], json!({ "Kind_Of": "tabby" }));
        assert_eq!(
            (&made["contentType"], &made["cacheControl"]),
            (&json!("a/b"), &json!("no-store"))
        );
        let kept = stage
            .get("/storage/v1/b/attic/o/cat?alt=media")
            .send()
            .await
            .unwrap();
        assert_eq!(kept.bytes().await.unwrap(), content.as_slice());
    }
    stage.ends().await;
}

#[tokio::test]
async fn a_wrong_checksum_is_refused_wherever_it_stands_and_nothing_is_kept() {
    let stage = Stage::set().await;
    let wrong = (400, "invalid".to_owned());
    let media = || {
        stage
            .post("/upload/storage/v1/b/attic/o?uploadType=media&name=cat")
            .body("123456789")
    };
    assert_eq!(
        refused(media().header("x-goog-hash", "crc32c=AAAAAA==")).await,
        wrong
    );
    assert_eq!(refused(media().header("content-md5", "AAAA")).await, wrong);
    for resource in [
        json!({ "name": "cat", "md5Hash": "AAAA" }),
        json!({ "name": "cat", "crc32c": "AAAAAA==" }),
    ] {
        let request = stage
            .post("/upload/storage/v1/b/attic/o?uploadType=multipart")
            .header("content-type", "multipart/related; boundary===x==")
            .body(related(&resource.to_string(), b"Miso", "\r\n"));
        assert_eq!(refused(request).await, wrong);
    }
    assert_eq!(stage.names("").await, [""; 0]);
    ok(media().header(
        "x-goog-hash",
        "crc32c=4waSgw==,md5=JfnnlDI7RTiF9RgfG2JNCw==",
    ))
    .await;
    stage.ends().await;
}

#[tokio::test]
async fn an_upload_that_says_too_little_is_refused() {
    let stage = Stage::set().await;
    for (path, reason) in [
        ("/upload/storage/v1/b/attic/o?name=cat", "required"),
        ("/upload/storage/v1/b/attic/o?uploadType=media", "required"),
        (
            "/upload/storage/v1/b/attic/o?uploadType=pigeon&name=cat",
            "invalid",
        ),
        (
            "/upload/storage/v1/b/attic/o?uploadType=media&name=a%0Ab",
            "invalid",
        ),
        (
            "/upload/storage/v1/b/attic/o?uploadType=multipart&name=cat",
            "invalid",
        ),
        (
            "/upload/storage/v1/b/attic/o?uploadType=media&name=cat&ifGenerationMatch=x",
            "invalid",
        ),
    ] {
        assert_eq!(
            refused(stage.post(path)).await,
            (400, reason.to_owned()),
            "{path}"
        );
    }
    let nowhere = stage.post("/upload/storage/v1/b/cellar/o?uploadType=media&name=cat");
    assert_eq!(refused(nowhere).await, (404, "notFound".to_owned()));
    stage.ends().await;
}

#[tokio::test]
async fn what_is_said_of_an_object_is_patched_and_replaced() {
    let stage = Stage::set().await;
    let made = stage.stored("cat", "Miso").await;
    let patch = json!({ "metadata": { "A": "1", "b": "2" }, "contentLanguage": "de" });
    let patched = ok(stage.patch("/storage/v1/b/attic/o/cat", &patch)).await;
    assert_eq!(
        (&patched["generation"], &patched["metageneration"]),
        (&made["generation"], &json!("2"))
    );
    let patch = json!({ "metadata": { "A": null }, "contentLanguage": null });
    let patched =
        ok(stage.patch("/storage/v1/b/attic/o/cat?ifMetagenerationMatch=2", &patch)).await;
    assert_eq!(
        (&patched["metadata"], patched.get("contentLanguage")),
        (&json!({ "b": "2" }), None)
    );
    assert_ne!(patched["etag"], made["etag"]);
    let replaced = stage
        .put("/storage/v1/b/attic/o/cat")
        .json(&json!({ "contentType": "x/y" }));
    let replaced = ok(replaced).await;
    assert_eq!(
        (&replaced["contentType"], replaced.get("metadata")),
        (&json!("x/y"), None)
    );
    let cut = ok(stage.get("/storage/v1/b/attic/o/cat?fields=name,metageneration")).await;
    assert_eq!(cut, json!({ "name": "cat", "metageneration": "4" }));
    stage.ends().await;
}
