//! Google's retry tests, as the conformance suites of its clients use them.

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::stage::{Stage, ok, refused};

impl Stage {
    async fn retry_test(&self, instructions: Value) -> String {
        let asked = json!({ "instructions": instructions, "transport": "HTTP" });
        let made = ok(self.post("/retry_test").body(asked.to_string())).await;
        assert_eq!(
            (&made["instructions"], &made["completed"]),
            (&asked["instructions"], &json!(false))
        );
        made["id"].as_str().unwrap().to_owned()
    }
}

fn of(test: &str, request: RequestBuilder) -> RequestBuilder {
    request.header("x-retry-test-id", test)
}

#[tokio::test]
async fn each_method_fails_as_it_is_told_and_then_no_more() {
    let stage = Stage::set().await;
    stage.stored("cat", "0123456789").await;
    let path = "/storage/v1/b/attic/o/cat?alt=media";
    let test = stage
        .retry_test(json!({
            "storage.objects.get": ["return-503", "return-broken-stream-after-4B"],
            "storage.buckets.list": ["return-reset-connection"],
        }))
        .await;
    ok(stage.get("/storage/v1/b/attic/o/cat")).await;
    let first = refused(of(&test, stage.get(path))).await;
    assert_eq!(first, (503, "backendError".to_owned()));
    let mut second = of(&test, stage.get(path)).send().await.unwrap();
    assert_eq!(second.chunk().await.unwrap().unwrap(), "0123");
    assert!(second.chunk().await.is_err());
    let third = of(&test, stage.get(path)).send().await.unwrap();
    assert_eq!(third.text().await.unwrap(), "0123456789");
    let told = ok(stage.get(&format!("/retry_test/{test}"))).await;
    assert_eq!(told["completed"], false);
    assert!(
        of(&test, stage.get("/storage/v1/b?project=p"))
            .send()
            .await
            .is_err()
    );
    let told = ok(stage.get(&format!("/retry_test/{test}"))).await;
    assert_eq!(told["completed"], true);
    let all = ok(stage.get("/retry_tests")).await;
    assert_eq!(all["retry_test"].as_array().unwrap().len(), 1);
    let path = format!("/retry_test/{test}");
    assert_eq!(stage.delete(&path).send().await.unwrap().status(), 200);
    assert_eq!(refused(stage.get(&path)).await.0, 404);
    assert_eq!(
        stage.journaled("storage.fault", &["fault", "word"]).len(),
        3
    );
    stage.ends().await;
}

#[tokio::test]
async fn an_upload_that_fails_after_some_bytes_has_kept_these() {
    let stage = Stage::set().await;
    let grain = 256 << 10;
    let content = vec![7; grain + 10];
    let test = stage
        .retry_test(json!({ "storage.objects.insert": ["return-503-after-256K"] }))
        .await;
    let begin = "/upload/storage/v1/b/attic/o?uploadType=resumable&name=cat";
    let begun = of(&test, stage.post(begin)).send().await.unwrap();
    assert_eq!(begun.status(), 200, "it is not the beginning that fails");
    let place = begun.headers()["location"].to_str().unwrap().to_owned();
    let chunk = |range: &str, bytes: &[u8]| {
        let chunk = stage.client.put(&place).header("content-range", range);
        of(&test, chunk.body(bytes.to_vec()))
    };
    let last = grain + 9;
    let whole = chunk(&format!("bytes 0-{last}/{}", grain + 10), &content);
    assert_eq!(refused(whole).await.0, 503);
    let asked = chunk("bytes */*", b"").send().await.unwrap();
    let kept = asked.headers()["range"].to_str().unwrap().to_owned();
    assert_eq!(kept, format!("bytes=0-{}", grain - 1));
    let rest = format!("bytes {grain}-{last}/{}", grain + 10);
    ok(chunk(&rest, &content[grain..])).await;
    let told = ok(stage.get(&format!("/retry_test/{test}"))).await;
    assert_eq!(told["completed"], true);
    stage.ends().await;
}

#[tokio::test]
async fn an_answer_that_stalls_comes_as_a_whole() {
    let stage = Stage::set().await;
    stage.stored("cat", "0123456789").await;
    let test = stage
        .retry_test(json!({ "storage.objects.get": ["stall-for-1s-after-4B"] }))
        .await;
    let get = stage.get("/storage/v1/b/attic/o/cat?alt=media");
    let mut stalled = of(&test, get).send().await.unwrap();
    assert_eq!(stalled.chunk().await.unwrap().unwrap(), "0123");
    let noon: jiff::Timestamp = super::stage::NOON.parse().unwrap();
    let later = noon + jiff::SignedDuration::from_secs(1);
    stage.server.journal().clock_moved(later);
    assert_eq!(stalled.chunk().await.unwrap().unwrap(), "456789");
    assert_eq!(stalled.chunk().await.unwrap(), None);
    stage.ends().await;
}

#[tokio::test]
async fn an_instruction_that_nobody_knows_is_refused() {
    let stage = Stage::set().await;
    for asked in [
        json!({ "instructions": { "storage.objects.get": ["explode"] } }),
        json!({ "instruction": {} }),
    ] {
        let (status, _) = refused(stage.post("/retry_test").body(asked.to_string())).await;
        assert_eq!(status, 400, "{asked}");
    }
    stage.ends().await;
}
