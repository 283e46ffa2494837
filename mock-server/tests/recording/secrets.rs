//! No file of a recording holds a secret, whoever sent it.

use serde_json::json;

use super::stage::{CHAT, Stage, mock, request, script};

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
