//! The client's way to the media host: HTTPS that trusts the mock's authority and no other.

use reqwest::{Certificate, Client, Method};
use whatsapp_rust::http::{HttpClient, HttpRequest, HttpResponse};
use whatsapp_rust::{anyhow, async_trait};

pub(crate) struct Https(Client);

impl Https {
    pub(crate) fn trusting(authority: &str) -> Self {
        // The first of several tests in one process has done it.
        let (Ok(()) | Err(_)) = rustls::crypto::ring::default_provider().install_default();
        let authority = Certificate::from_pem(authority.as_bytes()).unwrap();
        Self(
            Client::builder()
                .tls_certs_only([authority])
                .build()
                .unwrap(),
        )
    }
}

#[async_trait]
impl HttpClient for Https {
    async fn execute(&self, request: HttpRequest) -> anyhow::Result<HttpResponse> {
        let method = Method::from_bytes(request.method.as_bytes())?;
        let mut sent = self.0.request(method, &request.url);
        for (name, value) in &request.headers {
            sent = sent.header(name, value);
        }
        if let Some(body) = request.body {
            sent = sent.body(body);
        }
        let answer = sent.send().await?;
        let status_code = answer.status().as_u16();
        Ok(HttpResponse {
            status_code,
            body: answer.bytes().await?.to_vec(),
        })
    }
}
