//! The HTTPS client for WhatsApp's media hosts: the machine's authorities and those of
//! `extra_ca_file`, nothing unencrypted, nothing endless.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use fs_err as fs;
use futures_util::StreamExt;
use reqwest::{Certificate, Client, Method, Response};
use whatsapp_rust::anyhow::{self, Context, bail};
use whatsapp_rust::async_trait;
use whatsapp_rust::http::{HttpClient, HttpRequest, HttpResponse};

const CONNECT: Duration = Duration::from_secs(10);
/// A host that falls silent is given up; a slow one is not.
const SILENCE: Duration = Duration::from_secs(30);
/// What encryption adds, and what is no media at all: a page with a version in it.
const ALLOWANCE: u64 = 4 * 1024 * 1024;

/// Built when it is first used: reading the machine's certificates takes longer than starting.
#[derive(Debug)]
pub(super) struct HttpsClient {
    extra_authorities: Option<PathBuf>,
    largest_answer: u64,
    client: OnceLock<Client>,
}

impl HttpsClient {
    /// Answers may be as large as `media_limit`, and a little larger.
    #[must_use]
    pub(super) fn new(extra_authorities: Option<PathBuf>, media_limit: u64) -> Self {
        Self {
            extra_authorities,
            largest_answer: media_limit.saturating_add(ALLOWANCE),
            client: OnceLock::new(),
        }
    }

    fn client(&self) -> anyhow::Result<&Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let built = self.build().context("no HTTPS client can be built")?;
        Ok(self.client.get_or_init(|| built))
    }

    fn build(&self) -> anyhow::Result<Client> {
        // Refused if somebody installed one before us, which is just as well.
        let (Ok(()) | Err(_)) = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .https_only(true)
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE);
        if let Some(file) = &self.extra_authorities {
            let pem = fs::read(file)?;
            let extra = Certificate::from_pem_bundle(&pem)
                .with_context(|| format!("extra_ca_file: `{}` is not PEM", file.display()))?;
            builder = builder.tls_certs_merge(extra);
        }
        Ok(builder.build()?)
    }

    async fn body(&self, answer: Response) -> anyhow::Result<Vec<u8>> {
        let mut body = Vec::new();
        let mut chunks = answer.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            if body.len() as u64 + chunk.len() as u64 > self.largest_answer {
                bail!("the answer is larger than {} bytes", self.largest_answer);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

#[async_trait]
impl HttpClient for HttpsClient {
    async fn execute(&self, request: HttpRequest) -> anyhow::Result<HttpResponse> {
        let method = Method::from_bytes(request.method.as_bytes())?;
        let mut sent = self.client()?.request(method, &request.url);
        for (name, value) in &request.headers {
            sent = sent.header(name, value);
        }
        if let Some(body) = request.body {
            sent = sent.body(body);
        }
        // The URL carries a token.
        let answer = sent.send().await.map_err(reqwest::Error::without_url)?;
        Ok(HttpResponse {
            status_code: answer.status().as_u16(),
            body: self.body(answer).await?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_fetched_unencrypted() {
        let client = HttpsClient::new(None, 1);
        let refused = client
            .execute(HttpRequest::get("http://127.0.0.1:9/secret-token"))
            .await;
        let refused = format!("{:#}", refused.err().unwrap());
        assert!(refused.contains("scheme"), "{refused}");
        assert!(!refused.contains("secret-token"), "{refused}");
    }

    #[test]
    fn an_authority_that_is_none_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "-----BEGIN CERTIFICATE-----\n!\n").unwrap();
        let client = HttpsClient::new(Some(file.path().to_owned()), 1);
        let refused = format!("{:#}", client.client().unwrap_err());
        assert!(refused.contains("extra_ca_file"), "{refused}");
    }
}
