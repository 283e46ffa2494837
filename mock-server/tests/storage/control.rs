//! What people put there and look at, beside the service's own APIs.

use serde_json::json;

use super::stage::{Stage, ok, refused};

#[tokio::test]
async fn storage_is_staged_and_looked_at() {
    let stage = Stage::set().await;
    let staged = "buckets: { cellar: { versioning: true, objects: { a/b.txt: Miso, c: { base64: /w==, content_type: x/y, metadata: { k: v } } } } }";
    let answer = stage
        .post("/_mock/storage")
        .body(staged)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 204, "{}", answer.text().await.unwrap());
    let contents = ok(stage.get("/_mock/storage/cellar")).await;
    assert_eq!(
        contents,
        json!([
            { "object": "a/b.txt", "size": 4, "crc32c": contents[0]["crc32c"], "content_type": "application/octet-stream", "text": "Miso" },
            { "object": "c", "size": 1, "crc32c": contents[1]["crc32c"], "content_type": "x/y", "metadata": { "k": "v" } },
        ])
    );
    let resource = ok(stage.get("/storage/v1/b/cellar/o/c")).await;
    assert_eq!(
        (&resource["crc32c"], &resource["metadata"]["k"]),
        (&contents[1]["crc32c"], &json!("v"))
    );
    let all = ok(stage.get("/_mock/storage")).await;
    assert_eq!((&all["cellar"], &all["attic"]), (&contents, &json!([])));
    assert_eq!(ok(stage.get("/_mock/storage/nowhere")).await, json!(null));
    stage.ends().await;
}

#[tokio::test]
async fn an_object_is_put_got_and_taken_away_by_its_name() {
    let stage = Stage::set().await;
    let path = "/_mock/storage/attic/a/b";
    assert_eq!(
        stage.put(path).body("Miso").send().await.unwrap().status(),
        204
    );
    assert_eq!(
        stage.get(path).send().await.unwrap().text().await.unwrap(),
        "Miso"
    );
    assert_eq!(stage.names("").await, ["a/b"]);
    assert_eq!(stage.delete(path).send().await.unwrap().status(), 204);
    assert_eq!(stage.get(path).send().await.unwrap().status(), 404);
    assert_eq!(
        stage
            .put("/_mock/storage/nowhere/a")
            .send()
            .await
            .unwrap()
            .status(),
        404
    );
    stage.ends().await;
}

#[tokio::test]
async fn what_cannot_lie_there_is_refused() {
    let stage = Stage::set().await;
    for (staged, kind) in [
        ("bucket: {}", "unreadable"),
        ("buckets: { No Name: {} }", "unfit"),
        ("buckets: { attic: { objects: { '..': x } } }", "unfit"),
    ] {
        let answer = stage
            .post("/_mock/storage")
            .body(staged)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 400, "{staged}");
        let body: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(body["error"]["type"], kind, "{staged}");
    }
    let staged = "access: token";
    assert_eq!(
        stage
            .post("/_mock/storage")
            .body(staged)
            .send()
            .await
            .unwrap()
            .status(),
        204
    );
    let (status, _) = refused(stage.get("/storage/v1/b/attic")).await;
    assert_eq!(status, 401);
    stage.ends().await;
}

#[tokio::test]
async fn a_service_that_is_down_does_nothing_until_it_is_up_again() {
    let stage = Stage::set().await;
    let told = async |staged: &'static str| {
        let told = stage.post("/_mock/storage").body(staged).send().await;
        assert_eq!(told.unwrap().status(), 204, "{staged}");
    };
    told("down: true").await;
    let put = async || stage.put("/attic/cat").body("Miso").send().await.unwrap();
    assert_eq!(put().await.status(), 503);
    told("buckets: { attic: {} }").await;
    assert_eq!(put().await.status(), 503);
    told("down: false").await;
    assert_eq!(stage.names("").await.len(), 0);
    assert_eq!(put().await.status(), 200);
    stage.ends().await;
}
