//! `/_mock/whatsapp`: what people and misfortune do, said over HTTP.

use mock_server::whatsapp::{Base64, LinkedAccount, SignedPrekey};
use mock_server::{MockOptions, MockServer};
use serde_json::{Value, json};

use super::stage::{Stage, client};

async fn told(stage: &Stage, control: &str) -> (u16, Value) {
    let request = stage.post("/_mock/whatsapp").body(control.to_owned());
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// A device with these keys could not be spoken with, but it can be linked.
fn account() -> LinkedAccount {
    LinkedAccount {
        device: 3,
        registration_id: 1,
        noise_key: Base64(vec![1; 32]),
        identity_key: Base64(vec![2; 32]),
        signed_prekey: SignedPrekey {
            id: 1,
            key: Base64(vec![3; 32]),
            signature: Base64(vec![4; 64]),
        },
        prekeys: Vec::new(),
        device_identity: Base64(Vec::new()),
        sessions: Vec::new(),
    }
}

#[tokio::test]
async fn a_control_is_the_same_as_yaml_and_as_json() {
    let stage = Stage::with("[]").await;
    let yaml = "create_group: { name: family, id: '120363000000000001', members: [ada] }";
    assert_eq!(told(&stage, yaml).await.0, 200);
    let rename = json!({"rename": {"chat": "family", "subject": "We"}}).to_string();
    assert_eq!(told(&stage, &rename).await.0, 200);
    assert_eq!(told(&stage, "hold: { what: receipts }").await.0, 200);

    let state: Value = stage
        .get("/_mock/whatsapp")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(state["socket"], stage.server.whatsapp().socket_url());
    assert_eq!(
        state["groups"],
        json!([{"jid": "120363000000000001@g.us", "subject": "We", "members": ["owner", "ada"]}])
    );
    assert_eq!(state["held"], json!(["receipts"]));
}

#[tokio::test]
async fn a_reset_clears_the_weather() {
    let stage = Stage::with("[]").await;
    assert_eq!(told(&stage, "hold: { what: receipts }").await.0, 200);
    assert_eq!(told(&stage, "offline:").await.0, 200);
    let reset = stage.post("/_mock/reset").send().await.unwrap();
    assert_eq!(reset.status(), 204);

    let state = stage.get("/_mock/whatsapp").send().await.unwrap();
    let state: Value = state.json().await.unwrap();
    assert_eq!(state["held"], json!([]));
    assert_eq!(state["network_is_away"], false);
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_the_way_out() {
    let stage = Stage::with("[]").await;
    let refused = async |control: &str| {
        let (status, body) = told(&stage, control).await;
        (
            status,
            body["error"]["message"].as_str().unwrap().to_owned(),
        )
    };
    let (status, message) = refused("say: { chat: ada, frm: ada, text: hello }").await;
    assert_eq!(status, 400);
    assert!(
        message.contains("unknown key `frm`") && message.contains("`from`"),
        "{message}"
    );
    let (status, message) = refused("say: { chat: ada, from: ada, text: hello }").await;
    assert_eq!(
        (status, message.as_str()),
        (
            409,
            "no device is linked; pair one, or give the mock a linked account"
        )
    );
    let (_, message) = refused("scan_qr: { code: hello }").await;
    assert_eq!(
        message,
        "it has 1 fields, not the four or five of a QR code to be linked by"
    );
    let (_, message) = refused("drop:").await;
    assert_eq!(message, "no connection of a linked device is up");
}

#[tokio::test]
async fn an_account_can_be_given_and_taken_along() {
    let stage = Stage::with("[]").await;
    let given = stage.post("/_mock/whatsapp/accounts").json(&account());
    assert_eq!(given.send().await.unwrap().status(), 204);
    let taken = stage.get("/_mock/whatsapp/accounts").send().await.unwrap();
    assert_eq!(
        taken.json::<Vec<LinkedAccount>>().await.unwrap(),
        [account()]
    );

    let mut broken = account();
    broken.device = 4;
    broken.noise_key = Base64(vec![1; 31]);
    let refused = stage.post("/_mock/whatsapp/accounts").json(&broken);
    assert_eq!(refused.send().await.unwrap().status(), 409);
}

#[tokio::test]
async fn chats_can_be_there_from_the_beginning() {
    let stage = Stage::with("[]").await;
    let made = async |chat: &str| {
        let posted = stage.post("/_mock/whatsapp/chats").body(chat.to_owned());
        stage.json(posted).await
    };
    let jid = async |name: &str| {
        let asked = stage.get(&format!("/_mock/whatsapp/jid?of={name}"));
        stage.json(asked).await.1["jid"].clone()
    };
    let group = "group: { name: family, id: '120363000000000001', members: [ada] }";
    let (_, family) = made(group).await;
    assert_eq!(family, json!({"jid": "120363000000000001@g.us"}));
    let (_, direct) = made("direct: { name: talk, person: ada }").await;
    assert_eq!(jid("family").await, family["jid"]);
    assert_eq!(jid("talk").await, direct["jid"]);
    assert_eq!(jid("ada").await, direct["jid"]);
    assert_eq!(jid("nobody").await, Value::Null);

    let (status, again) = made(group).await;
    assert_eq!(status, 409);
    let error = json!({
        "type": "impossible",
        "message": "`120363000000000001` is already the name of another chat",
    });
    assert_eq!(again["error"], error);
}

#[tokio::test]
async fn who_is_there_and_whether_all_is_at_rest_can_be_asked() {
    let stage = Stage::with("[]").await;
    let (_, online) = stage.json(stage.get("/_mock/whatsapp/online")).await;
    assert_eq!(online, json!({"online": false}));
    let rest = async |patience: &str| {
        let rest = stage.post("/_mock/whatsapp/rest").body(patience.to_owned());
        rest.send().await.unwrap().status().as_u16()
    };
    assert_eq!(rest("within: 5s").await, 204);
    assert_eq!(rest("within: 5").await, 400);
}

#[tokio::test]
async fn without_whatsapp_there_is_nobody_to_ask() {
    let options = MockOptions {
        whatsapp: false,
        ..MockOptions::default()
    };
    let stage = Stage {
        server: MockServer::start(options).await.unwrap(),
        client: client(),
    };
    let (status, body) = told(&stage, "drop:").await;
    assert_eq!((status, &body["error"]["type"]), (410, &json!("gone")));
}
