//! Tokens: where they come from, and what they open.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mock_server::Access;
use serde_json::{Value, json};

use super::stage::{Stage, header, ok, refused};

const SCOPE: &str = "https://www.googleapis.com/auth/devstorage.read_only";
const JWT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

fn assertion(alg: &str, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.c2lnbmVk", part(&json!({ "alg": alg })), part(claims))
}

fn claims(life: i64) -> Value {
    // 2026-01-05T12:00:00Z.
    let now = 1_767_614_400;
    json!({ "iss": "kai@example", "scope": SCOPE, "aud": "x", "iat": now, "exp": now + life })
}

fn form(fields: &[(&str, &str)]) -> String {
    let fields = fields
        .iter()
        .map(|(name, value)| format!("{name}={}", value.replace(':', "%3A")));
    fields.collect::<Vec<_>>().join("&")
}

impl Stage {
    async fn token(&self, fields: &[(&str, &str)]) -> (u16, Value) {
        let request = self.post("/token").body(form(fields));
        let kind = "application/x-www-form-urlencoded";
        let answer = request.header("content-type", kind).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }
}

#[tokio::test]
async fn a_service_account_gets_a_token_that_opens_what_its_scope_says() {
    let stage = Stage::set().await;
    stage.stored("cat", "Miso").await;
    stage.server.storage().set_access(Access::Token);
    let signed = assertion("RS256", &claims(3_600));
    let (status, granted) = stage
        .token(&[("grant_type", JWT), ("assertion", &signed)])
        .await;
    assert_eq!(
        (status, &granted["token_type"], &granted["expires_in"]),
        (200, &json!("Bearer"), &json!(3599))
    );
    let token = granted["access_token"].as_str().unwrap();

    let cat = || stage.get("/storage/v1/b/attic/o/cat");
    assert_eq!(refused(cat()).await, (401, "required".to_owned()));
    assert_eq!(
        refused(cat().bearer_auth("ya29.other")).await,
        (401, "authError".to_owned())
    );
    ok(cat().bearer_auth(token)).await;
    let delete = stage.delete("/storage/v1/b/attic/o/cat").bearer_auth(token);
    assert_eq!(
        refused(delete).await,
        (403, "insufficientPermissions".to_owned())
    );
    let xml = stage.get("/attic/cat").send().await.unwrap();
    assert_eq!(xml.status(), 401);
    assert!(
        header(&xml, "www-authenticate")
            .unwrap()
            .starts_with("Bearer")
    );
    let put = stage
        .put("/attic/cat")
        .bearer_auth(token)
        .body("Lola")
        .send()
        .await
        .unwrap();
    assert_eq!(put.status(), 403);
    stage
        .server
        .journal()
        .clock_moved("2026-01-05T13:00:00Z".parse().unwrap());
    assert_eq!(
        refused(cat().bearer_auth(token)).await,
        (401, "authError".to_owned())
    );

    let journal = format!("{:?}", stage.server.journal().entries());
    assert!(!journal.contains(token), "the token is written down");
    assert_eq!(
        stage.journaled("storage.token", &["to", "scope"]),
        [format!("kai@example {SCOPE}")]
    );
    stage.ends().await;
}

#[tokio::test]
async fn a_grant_that_is_none_is_refused_and_tells_why() {
    let stage = Stage::set().await;
    let none = assertion("none", &claims(3_600));
    let long = assertion("RS256", &claims(7_200));
    let backward = assertion("RS256", &claims(-1));
    for (fields, error) in [
        (
            &[("grant_type", JWT), ("assertion", "x")][..],
            "invalid_grant",
        ),
        (
            &[("grant_type", JWT), ("assertion", "a.b.c")],
            "invalid_grant",
        ),
        (
            &[("grant_type", JWT), ("assertion", &none)],
            "invalid_grant",
        ),
        (
            &[("grant_type", JWT), ("assertion", &long)],
            "invalid_grant",
        ),
        (
            &[("grant_type", JWT), ("assertion", &backward)],
            "invalid_grant",
        ),
        (&[("grant_type", JWT)], "invalid_request"),
        (&[("grant_type", "refresh_token")], "invalid_request"),
        (&[("grant_type", "password")], "unsupported_grant_type"),
        (&[], "invalid_request"),
    ] {
        let (status, refused) = stage.token(fields).await;
        assert_eq!(
            (status, &refused["error"]),
            (400, &json!(error)),
            "{fields:?}"
        );
        assert!(!refused["error_description"].as_str().unwrap().is_empty());
    }
    stage.ends().await;
}

#[tokio::test]
async fn a_machine_in_the_cloud_asks_who_it_is() {
    let stage = Stage::set().await;
    stage.server.storage().set_access(Access::Token);
    let ask = |path: &str| {
        stage
            .get(&format!("/computeMetadata/v1/{path}"))
            .header("metadata-flavor", "Google")
    };
    let token = ok(ask("instance/service-accounts/default/token")).await;
    let token = token["access_token"].as_str().unwrap();
    ok(stage.get("/storage/v1/b?project=p").bearer_auth(token)).await;
    for (path, text) in [
        (
            "instance/service-accounts/default/email",
            "mock@mock-project.iam.gserviceaccount.com",
        ),
        ("project/project-id", "mock-project"),
        ("universe/universe_domain", "googleapis.com"),
    ] {
        let answer = ask(path).send().await.unwrap();
        assert_eq!(header(&answer, "metadata-flavor"), Some("Google"));
        assert_eq!(answer.text().await.unwrap(), text);
    }
    let root = stage
        .get("/")
        .header("metadata-flavor", "Google")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (root.status().as_u16(), header(&root, "metadata-flavor")),
        (200, Some("Google"))
    );
    let stranger = stage
        .get("/computeMetadata/v1/project/project-id")
        .send()
        .await
        .unwrap();
    assert_eq!(stranger.status(), 403);
    stage.ends().await;
}
