//! The same storage over HTTPS, for clients that speak nothing else.

use ::object_store::gcp::GoogleCloudStorageBuilder;
use ::object_store::path::Path;
use ::object_store::{Certificate as Trusted, ClientOptions, ObjectStoreExt};
use mock_server::{MockOptions, MockServer};
use reqwest::{Certificate, Client};
use serde_json::{Value, json};

use super::stage::{PATIENCE, client, header, provider};

async fn server() -> MockServer {
    let options = MockOptions {
        https: Some(([127, 0, 0, 1], 0).into()),
        ..MockOptions::default()
    };
    MockServer::start(options).await.unwrap()
}

/// One that trusts who signs for the mocks, which it was told over plain HTTP.
async fn trusting(server: &MockServer) -> Client {
    let told = format!("{}/_mock/authority.pem", server.url());
    let pem = client().get(told).send().await.unwrap();
    assert_eq!(pem.status(), 200);
    let pem = pem.bytes().await.unwrap();
    let authority = Certificate::from_pem(&pem).unwrap();
    let builder = Client::builder().tls_certs_only([authority]);
    builder.timeout(PATIENCE).build().unwrap()
}

async fn make_bucket(client: &Client, url: &str) {
    let bucket = client.post(format!("{url}/storage/v1/b"));
    let made = bucket.json(&json!({ "name": "attic" })).send();
    assert_eq!(made.await.unwrap().status(), 200);
}

#[tokio::test]
async fn what_is_put_over_https_is_there_over_both_and_its_places_can_be_followed() {
    let server = server().await;
    let secure = trusting(&server).await;
    let url = server.https_url().unwrap();
    make_bucket(&secure, &url).await;

    let begun = secure.post(format!(
        "{url}/upload/storage/v1/b/attic/o?uploadType=resumable&name=cat"
    ));
    let begun = begun.send().await.unwrap();
    let place = header(&begun, "location").unwrap().to_owned();
    assert!(place.starts_with(&url), "{place}");
    let put = secure.put(place).body("Miso").send().await.unwrap();
    let stored: Value = put.json().await.unwrap();
    let link = stored["selfLink"].as_str().unwrap();
    assert!(link.starts_with(&url), "{stored}");

    let plain = format!("{}/storage/v1/b/attic/o/cat", server.url());
    let plain = client().get(plain).send().await.unwrap();
    let seen: Value = plain.json().await.unwrap();
    let link = seen["selfLink"].as_str().unwrap();
    assert!(link.starts_with(&server.url()), "{seen}");
    assert_eq!(server.unexpected(), []);
    server.join().await.unwrap();
}

#[tokio::test]
async fn faults_befall_who_comes_over_https_too() {
    let server = server().await;
    let secure = trusting(&server).await;
    let url = server.https_url().unwrap();
    make_bucket(&secure, &url).await;
    let upload = format!("{url}/upload/storage/v1/b/attic/o?uploadType=media&name=cat");
    let put = secure.post(upload).body("Miso").send().await.unwrap();
    assert_eq!(put.status(), 200);
    let rule =
        json!({ "on": { "storage": { "verb": "get" } }, "fault": { "reset": { "bytes": 2 } } });
    let added = secure
        .post(format!("{url}/_mock/faults"))
        .json(&rule)
        .send();
    assert_eq!(added.await.unwrap().status(), 200);

    let cat = format!("{url}/storage/v1/b/attic/o/cat?alt=media");
    let cut = secure.get(&cat).send().await.unwrap();
    assert_eq!(cut.status(), 200);
    assert!(cut.bytes().await.is_err());
    let whole = secure.get(&cat).send().await.unwrap();
    assert_eq!(whole.text().await.unwrap(), "Miso");
    assert_eq!(server.llm().unfired(), []);
    server.join().await.unwrap();
}

#[tokio::test]
async fn who_has_not_been_told_of_the_authority_does_not_get_in() {
    let server = server().await;
    let url = server.https_url().unwrap();
    let asked = client().get(format!("{url}/_mock/health")).send().await;
    let error = asked.unwrap_err();
    assert!(error.is_connect(), "{error:?}");
    assert_eq!(server.unexpected(), []);
    server.join().await.unwrap();

    let plain = MockServer::start(MockOptions::default()).await.unwrap();
    assert_eq!(plain.https_url(), None);
    let told = format!("{}/_mock/authority.pem", plain.url());
    let told = client().get(told).send().await.unwrap();
    assert_eq!(told.status(), 404);
    let words = told.text().await.unwrap();
    assert!(words.contains("start the mocks with --https"), "{words}");
    plain.join().await.unwrap();
}

/// A client that refuses plain HTTP unless it is told otherwise.
#[tokio::test]
async fn object_store_gets_on_with_it_without_being_allowed_plain_http() {
    let server = server().await;
    let url = server.https_url().unwrap();
    provider();
    let authority = Trusted::from_pem(server.https_authority().unwrap().as_bytes()).unwrap();
    let key = json!({
        "gcs_base_url": url,
        "disable_oauth": true,
        "client_email": "",
        "private_key": "",
        "private_key_id": "",
    });
    let guest = GoogleCloudStorageBuilder::new()
        .with_service_account_key(key.to_string())
        .with_client_options(ClientOptions::new().with_root_certificate(authority))
        .with_bucket_name("attic")
        .build()
        .unwrap();
    make_bucket(&client(), &server.url()).await;

    let place = Path::from("cats/miso");
    guest.put(&place, "tabby".into()).await.unwrap();
    let got = guest.get(&place).await.unwrap().bytes().await.unwrap();
    assert_eq!(got, "tabby");
    assert_eq!(server.unexpected(), []);
    server.join().await.unwrap();
}
