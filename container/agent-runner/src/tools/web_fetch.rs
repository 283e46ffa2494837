//! `web_fetch`: the text of one web page, bounded in time and length.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Response, Url};
use tokio::time::timeout;

use super::excerpt::Excerpt;
use super::page_text::page_text;
use super::request::Page;
use crate::http;

const LONGEST: Duration = Duration::from_secs(30);
/// Of a page as it is sent; its text is shorter still.
const MOST_BYTES: usize = 2 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("`{0}` is not an http or https address")]
    Address(String),
    #[error("cannot speak https: are there CA certificates on this machine?")]
    NoTls(#[source] reqwest::Error),
    #[error("the page cannot be fetched")]
    Fetch(#[from] reqwest::Error),
    #[error("the page did not arrive within {} s", LONGEST.as_secs())]
    TooSlow,
    #[error("the page's server answered {0}")]
    Status(reqwest::StatusCode),
    #[error("the page is `{0}`, not text; bash and curl can save it")]
    NotText(String),
}

/// Fetches the page and returns its text.
pub(super) async fn fetch(page: &Page) -> Result<String, FetchError> {
    let address = match Url::parse(&page.url) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => url,
        Ok(_) | Err(_) => return Err(FetchError::Address(page.url.clone())),
    };
    let client = client(&address)?;
    timeout(LONGEST, load(&client, address))
        .await
        .map_err(|_elapsed| FetchError::TooSlow)?
}

/// A plain address may lead to an encrypted one, so TLS is wanted for both; but a machine
/// without certificates can still read plain pages.
fn client(address: &Url) -> Result<Client, FetchError> {
    match http::with_tls().build() {
        Ok(client) => Ok(client),
        Err(_no_certificates) if address.scheme() == "http" => Ok(http::without_tls().build()?),
        Err(error) => Err(FetchError::NoTls(error)),
    }
}

async fn load(client: &Client, address: Url) -> Result<String, FetchError> {
    let mut response = client.get(address).send().await?;
    if !response.status().is_success() {
        return Err(FetchError::Status(response.status()));
    }
    let form = form(&response)?;
    let mut bytes = Vec::new();
    let mut cut = false;
    while let Some(piece) = response.chunk().await? {
        let room = MOST_BYTES - bytes.len();
        cut = piece.len() > room;
        bytes.extend_from_slice(&piece[..piece.len().min(room)]);
        if cut {
            break;
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    let text = match form {
        Form::Html => page_text(&text),
        Form::Plain => text.into_owned(),
    };
    let note = if cut {
        "\n[the page is longer; only its beginning was read]"
    } else {
        ""
    };
    Ok(format!("{}{note}", Excerpt::of(&text)))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Html,
    Plain,
}

fn form(response: &Response) -> Result<Form, FetchError> {
    let header = response.headers().get(CONTENT_TYPE);
    let Some(Ok(kind)) = header.map(|value| value.to_str()) else {
        return Ok(Form::Plain);
    };
    let kind = kind
        .split(';')
        .next()
        .unwrap_or(kind)
        .trim()
        .to_ascii_lowercase();
    let is_text = kind.starts_with("text/")
        || ["json", "xml", "javascript", "yaml"]
            .iter()
            .any(|word| kind.contains(word));
    if kind.contains("html") {
        Ok(Form::Html)
    } else if is_text {
        Ok(Form::Plain)
    } else {
        Err(FetchError::NotText(kind))
    }
}
