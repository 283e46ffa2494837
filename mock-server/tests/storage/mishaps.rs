//! What goes wrong by number, over sockets: the words that the model's faults have, and two that
//! only the storage has.

use std::time::Duration;

use reqwest::{Error, Response};
use serde_json::{Value, json};

use super::stage::{Stage, header, ok, refused};

const CAT: &str = "/storage/v1/b/attic/o/cat?alt=media";

impl Stage {
    /// The next request that `on` means goes wrong so.
    pub(crate) async fn fault(&self, on: &Value, fault: &Value) {
        let rule = json!({ "on": on, "fault": fault });
        let added = self.post("/_mock/faults").json(&rule).send().await.unwrap();
        assert_eq!(added.status(), 200, "{}", added.text().await.unwrap());
    }

    /// Every fault came that had to, and the storage told of so many.
    async fn faults_came(self, count: usize) {
        assert_eq!(self.server.llm().unfired(), []);
        assert_eq!(self.journaled("storage.fault", &[]).len(), count);
        self.ends().await;
    }
}

/// Body and error of a response that breaks off.
async fn broken(sent: Result<Response, Error>) -> (Vec<u8>, bool) {
    let Ok(mut answer) = sent else {
        return (Vec::new(), false);
    };
    let mut got = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) => got.extend_from_slice(&chunk),
            Ok(None) => return (got, true),
            Err(_broken) => return (got, false),
        }
    }
}

#[tokio::test]
async fn a_refusal_speaks_the_language_of_who_asked_and_nothing_is_done() {
    let stage = Stage::set().await;
    stage.stored("cat", "Miso").await;
    let put = json!({ "storage": { "verb": "put", "object": "/^cat$/" } });
    let busy = json!({ "status": 429, "headers": { "retry-after": 7 } });
    stage.fault(&put, &busy).await;
    stage.stored("dog", "another object is not meant").await;
    let upload = stage.post("/upload/storage/v1/b/attic/o?uploadType=media&name=cat");
    let answer = upload.body("Lola").send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), header(&answer, "retry-after")),
        (429, Some("7"))
    );
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["error"]["errors"][0]["reason"], "rateLimitExceeded");
    stage.fault(&put, &json!({ "status": 503 })).await;
    let answer = stage.put("/attic/cat").body("Lola").send().await.unwrap();
    assert_eq!(answer.status(), 503);
    let document = answer.text().await.unwrap();
    assert!(
        document.contains("<Code>ServiceUnavailable</Code>"),
        "{document}"
    );
    stage
        .fault(
            &json!("storage"),
            &json!({ "status": 404, "type": "x", "message": "m" }),
        )
        .await;
    assert_eq!(refused(stage.get(CAT)).await, (404, "x".to_owned()));
    let kept = stage.get(CAT).send().await.unwrap().text().await.unwrap();
    assert_eq!(kept, "Miso");
    stage.faults_came(3).await;
}

#[tokio::test]
async fn who_is_refused_is_heard_out_first() {
    let stage = Stage::set().await;
    // Far more than a socket holds.
    let content = vec![7; 20 << 20];
    stage
        .fault(&json!("storage"), &json!({ "status": 503 }))
        .await;
    let answer = stage
        .put("/attic/cat")
        .body(content.clone())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 503);
    let answer = stage.put("/attic/cat").body(content).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    stage.faults_came(1).await;
}

#[tokio::test]
async fn an_answer_that_is_lost_was_given_and_one_that_is_cut_before_was_not() {
    for (fault, expected) in [
        (json!({ "lost": "answer" }), "Lola"),
        (json!({ "reset": "request" }), "Miso"),
        (json!({ "close": "request" }), "Miso"),
    ] {
        let stage = Stage::set().await;
        stage.stored("cat", "Miso").await;
        stage
            .fault(&json!({ "storage": { "verb": "put" } }), &fault)
            .await;
        let sent = stage.put("/attic/cat").body("Lola").send().await;
        assert_eq!(broken(sent).await, (Vec::new(), false), "{fault}");
        let kept = stage.get(CAT).send().await.unwrap().text().await.unwrap();
        assert_eq!(kept, expected, "{fault}");
        stage.faults_came(1).await;
    }
}

#[tokio::test]
async fn a_download_breaks_ends_and_changes_where_it_is_told() {
    for (fault, got, whole) in [
        (json!({ "reset": { "bytes": 4 } }), "0123", false),
        (json!({ "close": { "bytes": 4 } }), "0123", false),
        (json!({ "close": "headers" }), "", false),
        (json!({ "end": { "bytes": 4 } }), "0123", true),
        (json!({ "corrupt": { "bytes": 4 } }), "0123556789", true),
        (json!({ "empty": "nothing" }), "", true),
        (
            json!({ "slow": { "bytes": 3, "every": "0s" } }),
            "0123456789",
            true,
        ),
    ] {
        for path in [CAT, "/attic/cat"] {
            let stage = Stage::set().await;
            stage.stored("cat", "0123456789").await;
            stage
                .fault(&json!({ "storage": { "verb": "get" } }), &fault)
                .await;
            let answer = broken(stage.get(path).send().await).await;
            assert_eq!(answer, (got.as_bytes().to_vec(), whole), "{path} {fault}");
            let again = stage.get(path).send().await.unwrap().text().await.unwrap();
            assert_eq!(again, "0123456789");
            stage.faults_came(1).await;
        }
    }
}

#[tokio::test]
async fn a_stalled_download_is_ended_by_the_client_or_with_the_mock() {
    let stage = Stage::set().await;
    stage.stored("cat", "0123456789").await;
    stage
        .fault(&json!("storage"), &json!({ "stall": { "bytes": 4 } }))
        .await;
    let mut answer = stage.get(CAT).send().await.unwrap();
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "0123");
    let next = tokio::time::timeout(Duration::from_millis(100), answer.chunk()).await;
    assert!(next.is_err(), "{next:?}");
    let began = std::time::Instant::now();
    stage.server.join().await.unwrap();
    // What stalls does not use up the grace that slow readers have.
    assert!(began.elapsed() < Duration::from_secs(1));
    assert!(answer.chunk().await.is_err());
}

#[tokio::test]
async fn a_slow_download_is_paced_by_the_scenarios_clock() {
    let stage = Stage::set().await;
    stage.stored("cat", "0123").await;
    let slow = json!({ "slow": { "bytes": 2, "every": "1h" } });
    stage.fault(&json!("storage"), &slow).await;
    let mut answer = stage.get(CAT).send().await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(50), answer.chunk()).await;
    assert!(early.is_err(), "{early:?}");
    let noon: jiff::Timestamp = super::stage::NOON.parse().unwrap();
    stage
        .server
        .journal()
        .clock_moved(noon + jiff::SignedDuration::from_hours(2));
    assert_eq!(answer.text().await.unwrap(), "0123");
    stage.faults_came(1).await;
}

#[tokio::test]
async fn a_lost_last_answer_of_an_upload_in_chunks_can_be_asked_for() {
    let stage = Stage::set().await;
    let begin = stage.post("/upload/storage/v1/b/attic/o?uploadType=resumable&name=cat");
    let begun = begin.send().await.unwrap();
    let place = header(&begun, "location").unwrap().to_owned();
    stage
        .fault(
            &json!({ "storage": { "verb": "chunk" } }),
            &json!({ "lost": "answer" }),
        )
        .await;
    let sent = stage
        .client
        .put(&place)
        .header("content-range", "bytes 0-3/4")
        .body("Miso")
        .send();
    assert_eq!(broken(sent.await).await, (Vec::new(), false));
    let asked = stage
        .client
        .put(&place)
        .header("content-range", "bytes */4");
    assert_eq!(ok(asked).await["size"], "4");
    stage.faults_came(1).await;
}

#[tokio::test]
async fn a_rule_that_cannot_be_is_refused() {
    let stage = Stage::set().await;
    for rule in [
        json!({ "on": "storage", "fault": { "invalid": 1 } }),
        json!({ "on": "model", "fault": { "lost": "answer" } }),
        json!({ "on": { "storage": { "verb": "fetch" } }, "fault": { "html": 502 } }),
    ] {
        let refused = stage
            .post("/_mock/faults")
            .json(&rule)
            .send()
            .await
            .unwrap();
        assert_eq!(refused.status(), 400, "{rule}");
    }
    stage.ends().await;
}
