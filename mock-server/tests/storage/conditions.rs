//! Conditions, on every verb of both APIs.

use reqwest::Method;
use serde_json::{Value, json};

use super::stage::{Stage, ok};

/// A verb, and what it answers where its condition holds.
struct Verb {
    method: Method,
    path: &'static str,
    body: Option<Value>,
    done: u16,
}

fn verb(method: Method, path: &'static str, body: Option<Value>, done: u16) -> Verb {
    Verb {
        method,
        path,
        body,
        done,
    }
}

/// Each works on the object `cat`, of which another is made before each.
fn changing() -> Vec<Verb> {
    let source = json!({ "sourceObjects": [{ "name": "source" }] });
    vec![
        verb(
            Method::POST,
            "/upload/storage/v1/b/attic/o?uploadType=media&name=cat",
            None,
            200,
        ),
        verb(
            Method::POST,
            "/upload/storage/v1/b/attic/o?uploadType=resumable&name=cat",
            None,
            200,
        ),
        verb(
            Method::PATCH,
            "/storage/v1/b/attic/o/cat?x",
            Some(json!({})),
            200,
        ),
        verb(
            Method::PUT,
            "/storage/v1/b/attic/o/cat?x",
            Some(json!({})),
            200,
        ),
        verb(
            Method::POST,
            "/storage/v1/b/attic/o/cat/compose?x",
            Some(source),
            200,
        ),
        verb(
            Method::POST,
            "/storage/v1/b/attic/o/source/copyTo/b/attic/o/cat?x",
            None,
            200,
        ),
        verb(
            Method::POST,
            "/storage/v1/b/attic/o/source/rewriteTo/b/attic/o/cat?x",
            None,
            200,
        ),
        verb(
            Method::POST,
            "/storage/v1/b/attic/o/source/moveTo/o/cat?x",
            None,
            200,
        ),
        verb(Method::DELETE, "/storage/v1/b/attic/o/cat?x", None, 204),
    ]
}

fn reading() -> Vec<Verb> {
    vec![
        verb(Method::GET, "/storage/v1/b/attic/o/cat?x", None, 200),
        verb(
            Method::GET,
            "/storage/v1/b/attic/o/cat?alt=media",
            None,
            200,
        ),
        verb(
            Method::GET,
            "/download/storage/v1/b/attic/o/cat?alt=media",
            None,
            200,
        ),
    ]
}

impl Stage {
    async fn status(&self, verb: &Verb, condition: &str) -> u16 {
        self.stored("source", "Lola").await;
        let url = self.url(&format!("{}&{condition}", verb.path));
        let mut request = self.client.request(verb.method.clone(), url);
        if let Some(body) = &verb.body {
            request = request.json(body);
        }
        request.send().await.unwrap().status().as_u16()
    }
}

/// The verbs answer so where a condition on `cat` holds and where it fails; `excluded` is what
/// they answer where what is there is excluded.
async fn check(verbs: Vec<Verb>, excluded: u16) {
    let stage = Stage::set().await;
    for verb in &verbs {
        for (condition, status) in [
            ("ifGenerationMatch=IT", verb.done),
            ("ifGenerationMatch=1", 412),
            ("ifGenerationMatch=0", 412),
            ("ifGenerationNotMatch=1", verb.done),
            ("ifGenerationNotMatch=IT", excluded),
            ("ifMetagenerationMatch=1", verb.done),
            ("ifMetagenerationMatch=2", 412),
            ("ifMetagenerationNotMatch=2", verb.done),
            ("ifMetagenerationNotMatch=1", excluded),
        ] {
            let made = stage.stored("cat", "Miso").await;
            let condition = condition.replace("IT", made["generation"].as_str().unwrap());
            let answered = stage.status(verb, &condition).await;
            assert_eq!(
                answered, status,
                "{} {}&{condition}",
                verb.method, verb.path
            );
            let now = stage.get("/storage/v1/b/attic/o/cat").send().await.unwrap();
            if status == 412 {
                let now: Value = now.json().await.unwrap();
                assert_eq!(now["etag"], made["etag"], "{} was done", verb.path);
            }
        }
    }
    stage.ends().await;
}

#[tokio::test]
async fn every_verb_that_changes_something_heeds_every_condition() {
    check(changing(), 412).await;
}

#[tokio::test]
async fn every_verb_that_reads_heeds_every_condition() {
    check(reading(), 304).await;
}

#[tokio::test]
async fn a_source_has_conditions_of_its_own() {
    let stage = Stage::set().await;
    let made = stage.stored("source", "Lola").await;
    let generation = made["generation"].as_str().unwrap();
    for way in [
        "copyTo/b/attic/o/cat",
        "rewriteTo/b/attic/o/cat",
        "moveTo/o/cat",
    ] {
        for condition in [
            "ifSourceGenerationMatch=1".to_owned(),
            format!("ifSourceGenerationNotMatch={generation}"),
            "ifSourceMetagenerationMatch=2".to_owned(),
            "ifSourceMetagenerationNotMatch=1".to_owned(),
        ] {
            let path = format!("/storage/v1/b/attic/o/source/{way}?{condition}");
            let status = stage.post(&path).send().await.unwrap().status();
            assert_eq!(status, 412, "{path}");
        }
    }
    let composition = |generation: Value| json!({ "sourceObjects": [{ "name": "source", "objectPreconditions": { "ifGenerationMatch": generation } }] });
    let compose = stage
        .post("/storage/v1/b/attic/o/cat/compose")
        .json(&composition(json!("1")));
    assert_eq!(compose.send().await.unwrap().status(), 412);
    assert_eq!(stage.names("").await, ["source"]);
    ok(stage
        .post("/storage/v1/b/attic/o/cat/compose")
        .json(&composition(json!(generation))))
    .await;
    stage.ends().await;
}

impl Stage {
    /// What `GET /attic/cat` is answered, or another request, with this header.
    async fn answered(&self, request: &str, header: &str) -> u16 {
        let (method, path) = request.split_once(' ').unwrap();
        let (name, value) = header.split_once(": ").unwrap();
        let method: Method = method.parse().unwrap();
        let request = self.client.request(method, self.url(path));
        let answer = request.header(name, value).send().await.unwrap();
        answer.status().as_u16()
    }
}

#[tokio::test]
async fn headers_are_conditions_too() {
    let stage = Stage::set().await;
    let made = stage.stored("cat", "Miso").await;
    let tag = made["etag"].as_str().unwrap();
    let xml = stage.get("/attic/cat").send().await.unwrap();
    let xml_tag = xml.headers()["etag"].to_str().unwrap().to_owned();
    let json = "GET /storage/v1/b/attic/o/cat";
    for (request, header, status) in [
        (json, format!("if-none-match: {tag}"), 304),
        (json, format!("if-match: {tag}"), 200),
        (json, "if-match: \"other\"".to_owned(), 412),
        ("GET /attic/cat", format!("if-none-match: {xml_tag}"), 304),
        ("GET /attic/cat", format!("if-match: {xml_tag}"), 200),
        ("HEAD /attic/cat", "if-match: \"other\"".to_owned(), 412),
    ] {
        let answered = stage.answered(request, &header).await;
        assert_eq!(answered, status, "{request} {header}");
    }
    for (header, time, status) in [
        ("if-modified-since", "12:00:00", 304),
        ("if-modified-since", "11:59:59", 200),
        ("if-unmodified-since", "12:00:00", 200),
        ("if-unmodified-since", "11:59:59", 412),
    ] {
        let header = format!("{header}: Mon, 05 Jan 2026 {time} GMT");
        let answered = stage.answered("GET /attic/cat", &header).await;
        assert_eq!(answered, status, "{header}");
    }
    stage.ends().await;
}

#[tokio::test]
async fn generations_are_conditions_of_the_xml_api() {
    let stage = Stage::set().await;
    let made = stage.stored("cat", "Miso").await;
    let generation = made["generation"].as_str().unwrap();
    for (request, name, value, status) in [
        ("GET /attic/cat", "generation", "1", 412),
        ("GET /attic/cat", "metageneration", "2", 412),
        ("PUT /attic/cat", "generation", "0", 412),
        ("DELETE /attic/cat", "generation", "1", 412),
        ("PUT /attic/other", "generation", generation, 412),
        ("PUT /attic/cat", "generation", generation, 200),
    ] {
        let header = format!("x-goog-if-{name}-match: {value}");
        let answered = stage.answered(request, &header).await;
        assert_eq!(answered, status, "{request} {header}");
    }
    stage.ends().await;
}
