//! Embeddings, as clients see them.

use serde_json::{Value, json};

use super::stage::Stage;

async fn embed(stage: &Stage, path: &str, body: &Value) -> (u16, Value) {
    let request = stage.post(path).bearer_auth("sk-1").json(body);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn texts_become_vectors_that_are_the_same_in_every_run() {
    let body =
        json!({"model": "text-embedding-3-small", "input": ["my cat", "is Miso"], "dimensions": 4});
    let mut runs = Vec::new();
    for path in ["/v1/embeddings", "/api/v1/embeddings"] {
        let stage = Stage::with("[]").await;
        let (status, answer) = embed(&stage, path, &body).await;
        assert_eq!(status, 200);
        assert_eq!(stage.events(), ["llm.embeddings"]);
        runs.push(answer);
    }
    assert_eq!(runs[0], runs[1]);
    insta::assert_json_snapshot!(runs[0]);
}

#[tokio::test]
async fn a_vector_has_as_many_numbers_as_its_model_and_may_come_in_base64() {
    let stage = Stage::with("[]").await;
    for (model, numbers) in [
        ("text-embedding-3-small", 1536),
        ("text-embedding-3-large", 3072),
    ] {
        let mut body = json!({"model": model, "input": [1, 2, 3]});
        let (_, answer) = embed(&stage, "/v1/embeddings", &body).await;
        let vector = answer["data"][0]["embedding"].as_array().unwrap();
        assert_eq!(vector.len(), numbers);
        assert_eq!(answer["usage"]["prompt_tokens"], 3);
        body["encoding_format"] = "base64".into();
        let (_, answer) = embed(&stage, "/v1/embeddings", &body).await;
        let text = answer["data"][0]["embedding"].as_str().unwrap();
        assert_eq!(text.len(), (numbers * 4).div_ceil(3) * 4);
    }
}

#[tokio::test]
async fn a_request_without_a_text_is_refused() {
    let stage = Stage::with("[]").await;
    let body = json!({"model": "m", "input": ""});
    let (status, error) = embed(&stage, "/v1/embeddings", &body).await;
    assert_eq!(status, 400);
    assert_eq!(error["error"]["type"], "invalid_request_error");
    assert_eq!(stage.server.unexpected().len(), 1);
}
