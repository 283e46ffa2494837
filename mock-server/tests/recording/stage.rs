//! A recorder in front of a service, a client, and the files that come of it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mock_server::{
    MockOptions, MockServer, RecordOptions, Recorded, Recorder, Script, exchanges_of, yaml,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Real time; only a broken test ever waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
pub(crate) const CHAT: &str = "/v1/chat/completions";

pub(crate) struct Stage {
    pub(crate) client: reqwest::Client,
    pub(crate) url: String,
    /// What the recorder told while it ran.
    pub(crate) told: Arc<Mutex<Vec<String>>>,
    folder: TempDir,
    stop: oneshot::Sender<()>,
    recording: JoinSet<Recorded>,
}

pub(crate) fn client() -> reqwest::Client {
    // The first of several tests in one process has done it.
    let (Ok(()) | Err(_)) = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().tls_certs_only([]);
    // One that Kimi's coding service lets in.
    client.user_agent("KimiCLI/1.51.0").build().unwrap()
}

pub(crate) async fn mock(scripts: Vec<Script>) -> MockServer {
    let server = MockServer::start(MockOptions::default()).await.unwrap();
    for script in scripts {
        server.llm().add(script).unwrap();
    }
    server
}

pub(crate) fn script(text: &str) -> Script {
    yaml::read("script.yaml", text).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// A request with these messages and the tools `bash` and `write_file`.
pub(crate) fn request(messages: &Value, stream: bool) -> Value {
    let tool =
        |name: &str| json!({"type": "function", "function": {"name": name, "parameters": {}}});
    json!({
        "model": "kimi-k2",
        "stream": stream,
        "messages": messages,
        "tools": [tool("bash"), tool("write_file")],
    })
}

pub(crate) fn asking(user: &str) -> Value {
    request(&json!([{ "role": "user", "content": user }]), false)
}

pub(crate) async fn post(client: &reqwest::Client, url: &str, body: &Value) -> (u16, String) {
    let request = client.post(url).bearer_auth("any").json(body);
    let response = timeout(PATIENCE, request.send()).await.unwrap().unwrap();
    let status = response.status().as_u16();
    (
        status,
        timeout(PATIENCE, response.text()).await.unwrap().unwrap(),
    )
}

impl Stage {
    pub(crate) async fn before(upstream: &str) -> Self {
        Self::with(upstream, false).await
    }

    pub(crate) async fn with(upstream: &str, timings: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = RecordOptions {
            address: ([127, 0, 0, 1], 0).into(),
            upstream: upstream.parse().unwrap(),
            out: folder.path().join("recorded.yaml"),
            timings,
            exchanges: true,
        };
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        let tell = move |refused: &mock_server::Refused| {
            tell.lock().unwrap().push(refused.to_string());
        };
        let recorder = Recorder::start(options, tell).await.unwrap();
        let url = recorder.url();
        let (stop, stopped) = oneshot::channel();
        let mut recording = JoinSet::new();
        recording.spawn(async move { recorder.until(stopped).await.unwrap() });
        Self {
            client: client(),
            url,
            told,
            folder,
            stop,
            recording,
        }
    }

    pub(crate) async fn ask(&self, body: &Value) -> (u16, String) {
        post(&self.client, &format!("{}{CHAT}", self.url), body).await
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("recorded.yaml")
    }

    pub(crate) fn exchanges(&self) -> PathBuf {
        exchanges_of(&self.path())
    }

    pub(crate) fn script(&self) -> String {
        fs_err::read_to_string(self.path()).unwrap()
    }

    /// Stops the recorder; its files stay as long as the folder that is returned.
    pub(crate) async fn stop(self) -> (Recorded, TempDir) {
        let Self {
            mut recording,
            stop,
            folder,
            ..
        } = self;
        stop.send(()).unwrap();
        let ended = timeout(PATIENCE, recording.join_next()).await.unwrap();
        (ended.unwrap().unwrap(), folder)
    }
}
