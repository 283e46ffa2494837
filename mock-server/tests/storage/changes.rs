//! Objects made of objects, old generations, and listings.

use serde_json::{Value, json};

use super::stage::{Stage, ok, refused};

async fn content(stage: &Stage, name: &str) -> String {
    let path = format!("/storage/v1/b/attic/o/{name}?alt=media");
    stage.get(&path).send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn objects_are_composed_copied_rewritten_and_moved() {
    let stage = Stage::set().await;
    for (name, text) in [("a", "1234"), ("b", "56789")] {
        stage.stored(name, text).await;
    }
    let sources = json!([{ "name": "a" }, { "name": "b" }]);
    let composition =
        json!({ "sourceObjects": sources, "destination": { "metadata": { "x": "1" } } });
    let made = ok(stage
        .post("/storage/v1/b/attic/o/c/compose")
        .json(&composition))
    .await;
    assert_eq!(
        (&made["componentCount"], &made["crc32c"]),
        (&json!(2), &json!("4waSgw=="))
    );
    assert_eq!(
        (made.get("md5Hash"), &made["metadata"]["x"]),
        (None, &json!("1"))
    );
    assert_eq!(made["contentType"], "text/plain");
    assert_eq!(content(&stage, "c").await, "123456789");

    let copied = ok(stage.post("/storage/v1/b/attic/o/c/copyTo/b/attic/o/folder%2Fd")).await;
    assert_eq!(
        (&copied["name"], &copied["metadata"]["x"]),
        (&json!("folder/d"), &json!("1"))
    );
    let said = json!({ "contentType": "x/y" });
    let rewrite = stage
        .post("/storage/v1/b/attic/o/c/rewriteTo/b/attic/o/e")
        .json(&said);
    let rewritten = ok(rewrite).await;
    assert_eq!(
        (&rewritten["done"], &rewritten["totalBytesRewritten"]),
        (&json!(true), &json!("9"))
    );
    let resource = &rewritten["resource"];
    assert_eq!(
        (&resource["contentType"], resource.get("metadata")),
        (&json!("x/y"), None)
    );
    let moved = ok(stage.post("/storage/v1/b/attic/o/e/moveTo/o/f")).await;
    assert_eq!(moved["contentType"], "x/y");
    assert_eq!(stage.names("").await, ["a", "b", "c", "f", "folder/d"]);
    assert_eq!(content(&stage, "f").await, "123456789");
    let hows = stage.journaled("storage.put", &["how", "object"]);
    assert_eq!(
        hows[2..],
        ["compose c", "copy folder/d", "rewrite e", "move f"]
    );
    stage.ends().await;
}

#[tokio::test]
async fn what_cannot_be_composed_is_refused() {
    let stage = Stage::set().await;
    stage.stored("a", "1").await;
    let many: Vec<Value> = vec![json!({ "name": "a" }); 33];
    for (sources, status) in [
        (json!([]), 400),
        (json!(many), 400),
        (json!([{ "name": "gone" }]), 404),
        (json!([{ "name": "a", "generation": "1" }]), 404),
        (json!([{ "nom": "a" }]), 400),
    ] {
        let composition = json!({ "sourceObjects": sources });
        let request = stage
            .post("/storage/v1/b/attic/o/c/compose")
            .json(&composition);
        assert_eq!(refused(request).await.0, status, "{sources}");
    }
    stage.ends().await;
}

#[tokio::test]
async fn where_versions_are_kept_an_overwritten_object_can_be_had_again() {
    let stage = Stage::set().await;
    let versioned = json!({ "versioning": { "enabled": true } });
    ok(stage.patch("/storage/v1/b/attic", &versioned)).await;
    let first = stage.stored("cat", "Miso").await;
    stage.stored("cat", "Lola").await;
    assert_eq!(
        stage
            .delete("/storage/v1/b/attic/o/cat")
            .send()
            .await
            .unwrap()
            .status(),
        204
    );
    assert_eq!(stage.names("").await, [""; 0]);
    // As Python writes it.
    assert_eq!(stage.names("versions=True").await, ["cat", "cat"]);
    let old = format!(
        "/storage/v1/b/attic/o/cat?generation={}",
        first["generation"].as_str().unwrap()
    );
    let text = stage
        .get(&format!("{old}&alt=media"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert_eq!(text, "Miso");
    let resource = ok(stage.get(&old)).await;
    assert_eq!(resource["timeDeleted"], "2026-01-05T12:00:00.000Z");
    let (status, _) = refused(stage.delete("/storage/v1/b/attic")).await;
    assert_eq!(status, 409);
    // Named by its generation it is deleted for good.
    assert_eq!(stage.delete(&old).send().await.unwrap().status(), 204);
    assert_eq!(stage.names("versions=true").await, ["cat"]);
    stage.ends().await;
}

#[tokio::test]
async fn a_held_object_stays() {
    let stage = Stage::set().await;
    stage.stored("cat", "Miso").await;
    let hold = json!({ "temporaryHold": true });
    ok(stage.patch("/storage/v1/b/attic/o/cat", &hold)).await;
    let forbidden = (403, "forbidden".to_owned());
    assert_eq!(
        refused(stage.delete("/storage/v1/b/attic/o/cat")).await,
        forbidden
    );
    let overwrite = stage.post("/upload/storage/v1/b/attic/o?uploadType=media&name=cat");
    assert_eq!(refused(overwrite).await, forbidden);
    assert_eq!(content(&stage, "cat").await, "Miso");
    stage.ends().await;
}

#[tokio::test]
async fn listings_are_told_what_is_wanted() {
    let stage = Stage::set().await;
    for name in ["a", "f/", "f/1", "f/2/3", "\u{fb00}", "\u{1f600}"] {
        stage.stored(name, "x").await;
    }
    let all = ["a", "f/", "f/1", "f/2/3", "\u{fb00}", "\u{1f600}"];
    assert_eq!(stage.names("").await, all);
    assert_eq!(stage.names("prefix=f/&delimiter=/").await, ["f/", "f/1"]);
    assert_eq!(
        stage
            .names("delimiter=/&includeTrailingDelimiter=True")
            .await,
        ["a", "f/", "\u{fb00}", "\u{1f600}"]
    );
    assert_eq!(
        stage.names("startOffset=f/1&endOffset=f/2/3").await,
        ["f/1"]
    );
    assert_eq!(stage.names("matchGlob=f/**").await, ["f/", "f/1", "f/2/3"]);
    let folders = ok(stage.get("/storage/v1/b/attic/o?delimiter=/&maxResults=2")).await;
    assert_eq!(
        (
            &folders["prefixes"],
            folders["items"].as_array().unwrap().len()
        ),
        (&json!(["f/"]), 1)
    );
    let token = folders["nextPageToken"].as_str().unwrap();
    assert_eq!(
        stage.names(&format!("delimiter=/&pageToken={token}")).await,
        ["\u{fb00}", "\u{1f600}"]
    );
    for wrong in [
        "maxResults=-1",
        "maxResults=x",
        "pageToken=x",
        "versions=perhaps",
        "matchGlob=[",
    ] {
        let (status, _) = refused(stage.get(&format!("/storage/v1/b/attic/o?{wrong}"))).await;
        assert_eq!(status, 400, "{wrong}");
    }
    stage.ends().await;
}
