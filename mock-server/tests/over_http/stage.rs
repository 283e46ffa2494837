//! A started server with a script, and a client for it.

use std::time::Duration;

use mock_server::{MockOptions, MockServer, Script, yaml};
use serde_json::{Value, json};

/// Real time; only a broken test ever waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Stage {
    pub(crate) server: MockServer,
    pub(crate) client: reqwest::Client,
}

/// A client for plain HTTP, with a key. In a build of the whole workspace reqwest has TLS, because the agent
/// needs it, and then wants a provider and certificates whether they are used or not.
pub(crate) fn client() -> reqwest::Client {
    let key = (
        "authorization".parse().unwrap(),
        "Bearer sk-test".parse().unwrap(),
    );
    let client = builder().default_headers([key].into_iter().collect());
    // One that Kimi's coding service lets in.
    client.user_agent("KimiCLI/1.51.0").build().unwrap()
}

/// A client without a key and a name.
pub(crate) fn stranger() -> reqwest::Client {
    builder().build().unwrap()
}

fn builder() -> reqwest::ClientBuilder {
    // The first of several tests in one process has done it.
    let (Ok(()) | Err(_)) = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().tls_certs_only([])
}

pub(crate) fn script(text: &str) -> Script {
    yaml::read("script.yaml", text).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// A request with one user text, and the tools `bash` and `write_file`.
pub(crate) fn asking(user: &str) -> Value {
    following(&json!([{"role": "user", "content": user}]))
}

/// A request with these messages.
pub(crate) fn following(messages: &Value) -> Value {
    let tool =
        |name: &str| json!({"type": "function", "function": {"name": name, "parameters": {}}});
    json!({
        "model": "gpt-5",
        "messages": messages,
        "tools": [tool("bash"), tool("write_file")],
    })
}

impl Stage {
    pub(crate) async fn with(text: &str) -> Self {
        let server = MockServer::start(MockOptions::default()).await.unwrap();
        server.llm().add(script(text)).unwrap();
        Self {
            server,
            client: client(),
        }
    }

    pub(crate) fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.post(format!("{}{path}", self.server.url()))
    }

    pub(crate) fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.get(format!("{}{path}", self.server.url()))
    }

    /// Status and JSON of an answer in OpenAI's dialect.
    pub(crate) async fn ask(&self, body: &Value) -> (u16, Value) {
        let response = self
            .post("/v1/chat/completions")
            .json(body)
            .send()
            .await
            .unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// The text that the model says.
    pub(crate) async fn hear(&self, body: &Value) -> String {
        let (status, answer) = self.ask(body).await;
        assert_eq!(status, 200, "{answer:#}");
        answer["choices"][0]["message"]["content"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// The message of the error that the model answers with.
    pub(crate) async fn refused(&self, status: u16, body: &Value) -> String {
        let (actual, answer) = self.ask(body).await;
        assert_eq!(actual, status, "{answer:#}");
        answer["error"]["message"].as_str().unwrap().to_owned()
    }

    /// The names of all entries of the journal, in order.
    pub(crate) fn events(&self) -> Vec<String> {
        let entries = self.server.journal().entries();
        entries
            .iter()
            .map(|entry| entry.event.to_string())
            .collect()
    }

    /// Waits for the first entry of that name.
    pub(crate) async fn wait_for(&self, event: &str) {
        let journal = self.server.journal();
        let found = journal.wait_for(event, PATIENCE, |entry| {
            (entry.event == event).then_some(())
        });
        found.await.unwrap();
    }

    /// Status and JSON of the answer to a request.
    pub(crate) async fn json(&self, request: reqwest::RequestBuilder) -> (u16, Value) {
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// The fields of all entries with that name, in order.
    pub(crate) fn told(&self, event: &str) -> Vec<Value> {
        let entries = self.server.journal().entries();
        let named = entries.iter().filter(|entry| entry.event == event);
        named.map(|entry| entry.fields.clone().into()).collect()
    }
}
