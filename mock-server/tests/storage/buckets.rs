//! Buckets over the JSON API.

use serde_json::{Value, json};

use super::stage::{ATTIC, Stage, ok, refused};

#[tokio::test]
async fn buckets_are_made_once_changed_and_deleted_when_empty() {
    let stage = Stage::set().await;
    let again = stage
        .post("/storage/v1/b?project=p")
        .json(&json!({ "name": ATTIC }));
    assert_eq!(refused(again).await, (409, "conflict".to_owned()));
    for wrong in [json!({}), json!({ "name": "No Name" })] {
        let (status, _) = refused(stage.post("/storage/v1/b").json(&wrong)).await;
        assert_eq!(status, 400, "{wrong}");
    }
    let labels = json!({ "labels": { "a": "1", "b": "2" }, "location": "EU" });
    let changed = ok(stage.patch("/storage/v1/b/attic", &labels)).await;
    assert_eq!(
        (&changed["metageneration"], &changed["location"]),
        (&json!("2"), &json!("EU"))
    );
    let less = json!({ "labels": { "a": null } });
    let changed = ok(stage.patch("/storage/v1/b/attic?ifMetagenerationMatch=2", &less)).await;
    assert_eq!(changed["labels"], json!({ "b": "2" }));
    let stale = stage.patch("/storage/v1/b/attic?ifMetagenerationMatch=2", &less);
    assert_eq!(refused(stale).await, (412, "conditionNotMet".to_owned()));

    stage.stored("cat", "Miso").await;
    let full = stage.delete("/storage/v1/b/attic");
    assert_eq!(refused(full).await, (409, "conflict".to_owned()));
    let answer = stage
        .delete("/storage/v1/b/attic/o/cat")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 204);
    let answer = stage.delete("/storage/v1/b/attic").send().await.unwrap();
    assert_eq!(answer.status(), 204);
    let gone = stage.get("/storage/v1/b/attic");
    assert_eq!(refused(gone).await, (404, "notFound".to_owned()));
    stage.ends().await;
}

#[tokio::test]
async fn buckets_are_listed_in_pages_with_and_without_the_prefix_of_the_api() {
    let stage = Stage::set().await;
    for name in ["attic-2", "cellar"] {
        ok(stage.post("/b").json(&json!({ "name": name }))).await;
    }
    let names = |listed: &Value| -> Vec<String> {
        let items = listed["items"].as_array().into_iter().flatten();
        items
            .map(|item| item["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = ok(stage.get("/storage/v1/b?project=p&maxResults=2")).await;
    assert_eq!(names(&first), ["attic", "attic-2"]);
    let token = first["nextPageToken"].as_str().unwrap();
    let second = ok(stage.get(&format!("/b?project=p&maxResults=2&pageToken={token}"))).await;
    assert_eq!(
        (names(&second), &second["nextPageToken"]),
        (vec!["cellar".to_owned()], &Value::Null)
    );
    let prefixed = ok(stage.get("/storage/v1/b?prefix=attic-")).await;
    assert_eq!(names(&prefixed), ["attic-2"]);
    let policy = ok(stage.get("/storage/v1/b/cellar/iam")).await;
    assert_eq!(policy["kind"], "storage#policy");
    stage.ends().await;
}

#[tokio::test]
async fn a_reset_leaves_nothing() {
    let stage = Stage::set().await;
    stage.stored("cat", "Miso").await;
    assert_eq!(
        stage.post("/_mock/reset").send().await.unwrap().status(),
        204
    );
    let gone = stage.get("/storage/v1/b/attic/o/cat");
    assert_eq!(refused(gone).await, (404, "notFound".to_owned()));
    stage.ends().await;
}

#[tokio::test]
async fn what_is_not_served_is_told_and_counted() {
    let stage = Stage::set().await;
    let asked = stage.get("/storage/v1/b/attic/notificationConfigs");
    assert_eq!(refused(asked).await, (404, "notFound".to_owned()));
    // A path is the XML API's only if it begins with a bucket.
    let stray = stage.get("/cellar/cat").send().await.unwrap();
    assert_eq!(stray.status(), 404);
    let unexpected = stage.server.unexpected();
    let events: Vec<_> = unexpected
        .iter()
        .map(|one| (&*one.event, &*one.report))
        .collect();
    assert_eq!(
        events,
        [
            (
                "storage.unexpected",
                "the storage mock does not serve GET /storage/v1/b/attic/notificationConfigs"
            ),
            ("http.unexpected", "no mock serves GET /cellar/cat"),
        ]
    );
}
