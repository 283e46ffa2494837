//! A started mock with a bucket, and a client for it.

use std::time::Duration;

use mock_server::{MockOptions, MockServer};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};

/// Real time; only a broken test ever waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// The bucket that is there.
pub(crate) const ATTIC: &str = "attic";
/// When it is.
pub(crate) const NOON: &str = "2026-01-05T12:00:00Z";

pub(crate) struct Stage {
    pub(crate) server: MockServer,
    pub(crate) client: Client,
}

/// In a build of the whole workspace reqwest has TLS, and then wants a provider and certificates
/// whether they are used or not.
pub(crate) fn client() -> Client {
    provider();
    let builder = Client::builder().tls_certs_only([]).timeout(PATIENCE);
    builder
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

pub(crate) fn provider() {
    // The first of several tests in one process has done it.
    let (Ok(()) | Err(_)) = rustls::crypto::ring::default_provider().install_default();
}

impl Stage {
    pub(crate) async fn set() -> Self {
        Self::seeded(0).await
    }

    pub(crate) async fn seeded(seed: u64) -> Self {
        let options = MockOptions {
            seed,
            ..MockOptions::default()
        };
        let server = MockServer::start(options).await.unwrap();
        server.journal().clock_moved(NOON.parse().unwrap());
        let stage = Self {
            server,
            client: client(),
        };
        let made = stage.post("/storage/v1/b").json(&json!({ "name": ATTIC }));
        assert_eq!(made.send().await.unwrap().status(), 200);
        stage
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.url())
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(self.url(path))
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(self.url(path))
    }

    pub(crate) fn put(&self, path: &str) -> RequestBuilder {
        self.client.put(self.url(path))
    }

    pub(crate) fn delete(&self, path: &str) -> RequestBuilder {
        self.client.delete(self.url(path))
    }

    pub(crate) fn patch(&self, path: &str, patch: &Value) -> RequestBuilder {
        self.client.patch(self.url(path)).json(patch)
    }

    /// Uploads a text; the resource that is answered.
    pub(crate) async fn stored(&self, name: &str, text: &str) -> Value {
        let path = format!("/upload/storage/v1/b/{ATTIC}/o?uploadType=media&name={name}");
        let request = self.post(&path).header("content-type", "text/plain");
        ok(request.body(text.to_owned())).await
    }

    /// The names that a listing with these parameters holds, in order.
    pub(crate) async fn names(&self, parameters: &str) -> Vec<String> {
        let listed = ok(self.get(&format!("/storage/v1/b/{ATTIC}/o?{parameters}"))).await;
        let items = listed["items"].as_array().into_iter().flatten();
        items
            .map(|item| item["name"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The journal's entries of this event, as `field field …` of those that are named.
    pub(crate) fn journaled(&self, event: &str, fields: &[&str]) -> Vec<String> {
        let entries = self.server.journal().entries();
        let entries = entries.iter().filter(|entry| entry.event == event);
        entries
            .map(|entry| {
                let shown = fields.iter().map(|field| {
                    let value = &entry.fields[*field];
                    value
                        .as_str()
                        .map_or_else(|| value.to_string(), str::to_owned)
                });
                shown.collect::<Vec<_>>().join(" ")
            })
            .collect()
    }

    /// Nothing unexpected came.
    pub(crate) async fn ends(self) {
        assert_eq!(self.server.unexpected(), []);
        self.server.join().await.unwrap();
    }
}

/// The JSON of an answer that must be 200.
pub(crate) async fn ok(request: RequestBuilder) -> Value {
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// Status and reason of a refusal by the JSON API.
pub(crate) async fn refused(request: RequestBuilder) -> (u16, String) {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    if text.is_empty() {
        return (status, String::new());
    }
    let body: Value = serde_json::from_str(&text).unwrap();
    let error = &body["error"];
    assert_eq!(error["code"], status, "{text}");
    assert!(!error["message"].as_str().unwrap().is_empty());
    (
        status,
        error["errors"][0]["reason"].as_str().unwrap().to_owned(),
    )
}

pub(crate) fn header<'a>(answer: &'a Response, name: &str) -> Option<&'a str> {
    answer
        .headers()
        .get(name)
        .map(|value| value.to_str().unwrap())
}
