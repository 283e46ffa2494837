//! No file of a recording holds a secret, whoever sent it.

use serde_json::json;

use super::canned::Canned;
use super::stage::{CHAT, Stage, asking, mock, request, script};

const KEY: &str = "sk-or-v1-0123456789abcdef";

#[tokio::test]
async fn no_key_is_written_down() {
    let service = mock(vec![script(&format!(
        "[{{ stream: {{ chunk: 3 }}, response: {{ content: 'it is {KEY} yes', tool_calls: [{{ name: bash, arguments: {{ command: 'echo {KEY}' }} }}] }} }}]"
    ))])
    .await;
    let stage = Stage::before(&service.url()).await;
    let messages = json!([
        { "role": "system", "content": format!("The key:\n{KEY}") },
        { "role": "user", "content": format!("which key opens {KEY} here") },
    ]);
    let asked = stage
        .client
        .post(format!("{}{CHAT}?key={KEY}", stage.url))
        .bearer_auth(KEY)
        .header("x-api-key", KEY)
        .header("cookie", "session=1")
        .json(&request(&messages, true));
    let heard = asked.send().await.unwrap().text().await.unwrap();
    // The client gets it as it is, in pieces.
    assert!(heard.contains("sk-") && heard.contains("cde"), "{heard}");

    let files = [
        stage.script(),
        fs_err::read_to_string(stage.exchanges()).unwrap(),
    ];
    for file in files {
        assert!(file.contains("[secret]"), "{file}");
        for piece in [KEY, "session=1", "0123456789abcdef", "sk-or"] {
            assert!(!file.contains(piece), "{piece} in {file}");
        }
        // Three characters of it make no word.
        assert!(!file.contains("\"cde\""), "{file}");
    }
    let (recorded, _folder) = stage.stop().await;
    assert_eq!(recorded.refused, []);
}

/// What is written down of a request to `path` and of its answer.
async fn written(path: &str, content_type: &str, body: &str, answer: &str) -> String {
    let length = answer.len();
    let service = Canned::saying(&format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{answer}"
    ))
    .await;
    let stage = Stage::before(&service.url).await;
    let asked = stage.client.post(format!("{}{path}", stage.url));
    let asked = asked
        .bearer_auth("open-sesame")
        .header("content-type", content_type)
        .body(body.to_owned());
    asked.send().await.unwrap().text().await.unwrap();
    fs_err::read_to_string(stage.exchanges()).unwrap()
}

#[track_caller]
fn check_is_hidden(file: &str, secrets: &[&str]) {
    for secret in secrets {
        assert!(!file.contains(secret), "{secret} in {file}");
    }
}

#[tokio::test]
async fn what_is_called_a_secret_is_one_whatever_it_looks_like() {
    let form = "grant_type=device&device_code=apple&Client_Secret=pear&name=plum";
    let answer = r#"{"access_token":"quince","refreshToken":"medlar","fruit":"plum","inner":[{"password":"date"}],"uri":"https://a/?user_key=fig&b=plum","text":"{\"apiKey\": \"lemon\"}"}"#;
    let path = "/oauth/token?key=olive&page=plum";
    let file = written(path, "application/x-www-form-urlencoded", form, answer).await;
    check_is_hidden(
        &file,
        &[
            "apple", "pear", "quince", "medlar", "date\\\"", "fig", "lemon", "olive",
        ],
    );
    assert_eq!(file.matches("plum").count(), 4, "{file}");
}

#[tokio::test]
async fn a_credential_of_a_header_is_found_wherever_it_stands() {
    let body = asking("say open-sesame to the rock").to_string();
    let answer = r#"{"choices":[{"message":{"content":"open-sesame!"},"finish_reason":"stop"}]}"#;
    let file = written(CHAT, "application/json", &body, answer).await;
    check_is_hidden(&file, &["open-sesame"]);
    assert!(file.contains("[secret]!"), "{file}");
}

#[tokio::test]
async fn the_reason_of_a_refusal_holds_no_secret() {
    let stage = Stage::before("http://127.0.0.1:1").await;
    let url = format!("{}/v1/files?key=olive-oil", stage.url);
    let asked = stage.client.post(url).bearer_auth("open-sesame");
    asked.send().await.unwrap();
    let said = r#"data: {"choices":[{"delta":{"content":"a"}}]}"#;
    let quoting = r#"data: {"choices":[{"delta":{},"finish_reason":"no such key: open-sesame"}]}"#;
    let service = Canned::saying(&format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n{said}\n\n{quoting}\n\n"
    ))
    .await;
    let other = Stage::before(&service.url).await;
    let asked = other.client.post(format!("{}{CHAT}", other.url));
    let asked = asked.bearer_auth("open-sesame").json(&asking("hi"));
    asked.send().await.unwrap().text().await.unwrap();
    for stage in [stage, other] {
        let (recorded, _folder) = stage.stop().await;
        let told = recorded.refused[0].to_string();
        assert_eq!(recorded.refused.len(), 1);
        check_is_hidden(&told, &["olive", "sesame"]);
    }
}
