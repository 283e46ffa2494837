//! Logging in at Kimi, staying logged in, and being logged out.

use mock_server::OAuthAct;
use serde_json::{Value, json};

use super::stage::{Stage, asking, stranger};

const SCRIPT: &str = "
services: { oauth: { tokens: [{ access: at-first, refresh: rt-first }], expires_in: 900 } }
turns: [{ times: any, response: { content: hi } }]
";
const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

async fn ask(stage: &Stage, token: &str) -> (u16, Value) {
    let request = stranger().post(format!("{}/coding/v1/chat/completions", stage.server.url()));
    let request = request
        .bearer_auth(token)
        .header("user-agent", "KimiCLI/1.51.0");
    stage.json(request.json(&asking("hi"))).await
}

async fn token(stage: &Stage, fields: &[(&str, &str)]) -> (u16, Value) {
    let body: Vec<_> = fields
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let request = stage.post("/api/oauth/token").body(body.join("&"));
    stage
        .json(request.header("content-type", "application/x-www-form-urlencoded"))
        .await
}

async fn refresh(stage: &Stage, refresh: &str) -> (u16, Value) {
    token(
        stage,
        &[("grant_type", "refresh_token"), ("refresh_token", refresh)],
    )
    .await
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[tokio::test]
async fn an_access_token_opens_until_the_clock_says_so() {
    let stage = Stage::with("[]").await;
    let journal = stage.server.journal();
    journal.clock_moved("2026-01-05T09:00:00Z".parse().unwrap());
    stage
        .server
        .llm()
        .add(super::stage::script(SCRIPT))
        .unwrap();
    assert_eq!(ask(&stage, "at-first").await.0, 200);
    journal.clock_moved("2026-01-05T09:15:00Z".parse().unwrap());
    let (status, refusal) = ask(&stage, "at-first").await;
    assert_eq!(status, 401);
    let expected = json!({"error": {
        "message": "The API Key appears to be invalid or may have expired. Please verify your credentials and try again.",
        "type": "invalid_authentication_error",
    }});
    assert_eq!(refusal, expected);
    assert_eq!(ask(&stage, "sk-any-key").await.0, 401);

    let (status, renewed) = refresh(&stage, "rt-first").await;
    assert_eq!(status, 200);
    assert_eq!(ask(&stage, text(&renewed["access_token"])).await.0, 200);
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_never_written_down() {
    let stage = Stage::with(SCRIPT).await;
    let (_, renewed) = refresh(&stage, "rt-first").await;
    assert_eq!(renewed["expires_in"], 900);
    let invalid = json!({"error": "invalid_grant", "error_description": "The provided authorization grant is invalid"});
    assert_eq!(refresh(&stage, "rt-first").await, (400, invalid));
    assert_eq!(
        refresh(&stage, text(&renewed["refresh_token"])).await.0,
        200
    );
    let (status, _) = refresh(&stage, "rt-made-up").await;
    assert_eq!(status, 400);
    insta::assert_json_snapshot!(stage.told("oauth.refresh"));

    let new = text(&renewed["access_token"]);
    stage.hear(&asking(&format!("rt-first and {new}"))).await;
    let user = &stage.told("llm.request")[0]["user"];
    assert_eq!(*user, "[secret] and [secret]");
}

#[tokio::test]
async fn a_device_is_let_in_by_its_user() {
    let stage = Stage::with("[{ times: any, response: { content: hi } }]").await;
    assert_eq!(ask(&stage, "sk-any-key").await.0, 200);
    let (_, begun) = stage
        .json(stage.post("/api/oauth/device_authorization"))
        .await;
    let question = [
        ("grant_type", DEVICE_GRANT),
        ("device_code", text(&begun["device_code"])),
    ];
    let (status, pending) = token(&stage, &question).await;
    assert_eq!(
        (status, text(&pending["error"])),
        (400, "authorization_pending")
    );

    let act = stage.post("/_mock/oauth").body("approve");
    assert_eq!(
        stage.json(act).await,
        (200, json!({"act": "approve", "changed": 1}))
    );
    let (_, issued) = token(&stage, &question).await;
    for field in ["access_token", "refresh_token", "scope", "token_type"] {
        assert!(issued[field].is_string(), "{issued}");
    }
    assert_eq!(ask(&stage, text(&issued["access_token"])).await.0, 200);
    // Somebody is logged in now, so that keys are not enough any more.
    assert_eq!(ask(&stage, "sk-any-key").await.0, 401);
    assert_eq!(token(&stage, &question).await.1["error"], "expired_token");
}

#[tokio::test]
async fn a_device_hears_what_is_scripted() {
    let stage =
        Stage::with("{ services: { oauth: { device: { polls: [slow_down, deny] } } }, turns: [] }")
            .await;
    let (_, begun) = stage
        .json(stage.post("/api/oauth/device_authorization"))
        .await;
    let question = [
        ("grant_type", DEVICE_GRANT),
        ("device_code", text(&begun["device_code"])),
    ];
    assert_eq!(token(&stage, &question).await.1["error"], "slow_down");
    assert_eq!(token(&stage, &question).await.1["error"], "access_denied");
}

#[tokio::test]
async fn who_is_logged_out_gets_a_401_everywhere() {
    let stage = Stage::with(SCRIPT).await;
    assert_eq!(stage.server.llm().oauth(OAuthAct::Revoke), 1);
    assert_eq!(ask(&stage, "at-first").await.0, 401);
    assert_eq!(refresh(&stage, "rt-first").await.0, 401);
    // There is nobody left.
    assert_eq!(
        stage
            .json(stage.post("/_mock/oauth").body("expire"))
            .await
            .0,
        409
    );
}

#[tokio::test]
async fn a_question_that_is_none_is_refused() {
    let stage = Stage::with(SCRIPT).await;
    assert_eq!(
        token(&stage, &[("grant_type", "password")]).await.1["error"],
        "unsupported_grant_type"
    );
    assert_eq!(
        token(&stage, &[("client_id", "x")]).await.1["error"],
        "invalid_request"
    );
    let (status, refusal) = stage
        .json(stage.post("/api/oauth/token").body("no form"))
        .await;
    assert_eq!(
        (status, &refusal["error"]),
        (415, &json!("invalid_request"))
    );
    let reports = stage.server.unexpected();
    assert_eq!(reports.len(), 3, "{reports:?}");
    let act = stage.post("/_mock/oauth").body("aprove");
    let (status, mistake) = stage.json(act).await;
    assert_eq!(status, 400);
    assert!(
        text(&mistake["error"]["message"]).contains("approve"),
        "{mistake}"
    );
}
