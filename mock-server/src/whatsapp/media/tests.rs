//! The media host as clients use it, over HTTPS.

use reqwest::{Certificate, Client, StatusCode};
use serde_json::Value;

use super::seal::{UnreadableFile, open, seal};
use super::{MediaHost, SealedFile};
use crate::advertised::Beside;
use crate::journal::Journal;
use crate::whatsapp::controls::{FileFault, MediaKind, UploadRefusal};
use crate::whatsapp::phone::{Seed, sha256};

const KINDS: [MediaKind; 6] = [
    MediaKind::Image,
    MediaKind::Video,
    MediaKind::Document,
    MediaKind::Audio,
    MediaKind::Sticker,
    MediaKind::Voice,
];

fn file_of(kind: MediaKind, content: &[u8]) -> (SealedFile, Vec<u8>) {
    let media_key = [7; 32];
    let sealed = seal(kind, &media_key, content);
    let file = SealedFile {
        url: String::new(),
        direct_path: String::new(),
        media_key,
        sha256: sha256(content),
        sealed_sha256: sha256(&sealed),
        length: content.len() as u64,
    };
    (file, sealed)
}

#[test]
fn every_kind_opens_what_it_sealed_and_the_client_opens_it_too() {
    use wacore::download::{DownloadUtils, MediaType};
    let client_kinds = [
        MediaType::Image,
        MediaType::Video,
        MediaType::Document,
        MediaType::Audio,
        MediaType::Sticker,
        MediaType::Audio,
    ];
    for (kind, client_kind) in KINDS.into_iter().zip(client_kinds) {
        let (file, sealed) = file_of(kind, b"a small file");
        assert_eq!(open(kind, &file, &sealed).unwrap(), b"a small file");
        let opened = DownloadUtils::verify_and_decrypt(&sealed, &file.media_key, client_kind);
        assert_eq!(opened.unwrap(), b"a small file", "{kind:?}");
    }
}

#[test]
fn what_was_changed_on_the_way_does_not_open() {
    let (file, sealed) = file_of(MediaKind::Image, b"a small file");
    let refused = |file: &SealedFile, sealed: &[u8]| open(MediaKind::Image, file, sealed);
    assert_eq!(refused(&file, &sealed[1..]), Err(UnreadableFile::OtherFile));
    let mut broken = sealed.clone();
    broken[0] ^= 1;
    let told = SealedFile {
        sealed_sha256: sha256(&broken),
        ..file.clone()
    };
    assert_eq!(refused(&told, &broken), Err(UnreadableFile::Mac));
    let told = SealedFile {
        sealed_sha256: sha256(&[1]),
        ..file.clone()
    };
    assert_eq!(refused(&told, &[1]), Err(UnreadableFile::Mac));
    let told = SealedFile { length: 1, ..file };
    assert_eq!(refused(&told, &sealed), Err(UnreadableFile::OtherContent));
}

/// In a container the host listens on all interfaces and is known by a name.
#[tokio::test]
async fn a_host_that_is_known_by_a_name_proves_to_be_it() {
    let advertised = "http://mock:9100".parse().unwrap();
    let beside = Beside::new([0, 0, 0, 0].into(), Some(&advertised));
    let visit = Visit::at(beside, "mock").await;
    assert!(visit.host.library().url("/x").starts_with("https://mock:"));
    let (status, _) = visit.upload(&visit.auth(), b"sealed".to_vec()).await;
    assert_eq!(status, StatusCode::OK);
}

struct Visit {
    host: MediaHost,
    client: Client,
    journal: Journal,
}

impl Visit {
    async fn new() -> Self {
        Self::at(Beside::default(), "localhost").await
    }

    /// `name` is looked up on this machine.
    async fn at(beside: Beside, name: &str) -> Self {
        // Another test of this process may have been first.
        drop(rustls::crypto::ring::default_provider().install_default());
        let journal = Journal::open();
        let host = MediaHost::start(&journal, &Seed::of_scenario(1), beside)
            .await
            .unwrap();
        let authority = Certificate::from_pem(host.authority().as_bytes()).unwrap();
        let client = Client::builder()
            .tls_certs_only([authority])
            .resolve(name, ([127, 0, 0, 1], 0).into())
            .build()
            .unwrap();
        Self {
            host,
            client,
            journal,
        }
    }

    async fn upload(&self, query: &str, body: Vec<u8>) -> (StatusCode, Value) {
        let token = super::library::token(&sha256(&body));
        let url = self
            .host
            .library()
            .url(&format!("/mms/image/{token}?{query}"));
        let answer = self.client.post(url).body(body).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    async fn get(&self, path: &str, range: Option<&str>) -> (StatusCode, Vec<u8>) {
        let request = self.client.get(self.host.library().url(path));
        let request = match range {
            Some(range) => request.header("range", range),
            None => request,
        };
        let answer = request.send().await.unwrap();
        (answer.status(), answer.bytes().await.unwrap().to_vec())
    }

    fn auth(&self) -> String {
        format!("auth={}&token=x", self.host.library().auth())
    }

    fn unexpected(&self) -> Vec<String> {
        let entries = self.journal.entries();
        let reports = entries
            .iter()
            .filter(|entry| entry.event.ends_with(".unexpected"));
        reports
            .map(|entry| entry.text("report").unwrap_or("").to_owned())
            .collect()
    }
}

#[tokio::test]
async fn an_upload_is_kept_and_can_be_opened_with_the_key_of_its_message() {
    let visit = Visit::new().await;
    let (file, sealed) = file_of(MediaKind::Image, b"a small file");
    let (status, answer) = visit.upload(&visit.auth(), sealed.clone()).await;
    assert_eq!(status, StatusCode::OK);
    let path = answer["direct_path"].as_str().unwrap();
    assert_eq!(visit.get(path, None).await, (StatusCode::OK, sealed));
    let told = SealedFile {
        direct_path: path.to_owned(),
        ..file
    };
    let content = visit.host.library().fetch(MediaKind::Image, &told);
    assert_eq!(content.unwrap(), b"a small file");
    assert_eq!(visit.unexpected(), [""; 0]);
    visit.host.join().await.unwrap();
}

#[tokio::test]
async fn an_upload_says_where_it_stands() {
    let visit = Visit::new().await;
    let resume = format!("{}&resume=1", visit.auth());
    assert_eq!(
        visit.upload(&resume, b"sealed".to_vec()).await.1["resume"],
        "0"
    );
    visit.upload(&visit.auth(), b"sealed".to_vec()).await;
    assert_eq!(
        visit.upload(&resume, b"sealed".to_vec()).await.1["resume"],
        "complete"
    );
}

#[tokio::test]
async fn ranges_are_given_as_asked() {
    let visit = Visit::new().await;
    let file = visit
        .host
        .library()
        .keep(MediaKind::Audio, b"0123456789", &Seed::constant());
    let (_, whole) = visit.get(&file.direct_path, None).await;
    let cases: [(&str, u16, &[u8]); 5] = [
        ("bytes=0-3", 206, &whole[..4]),
        ("bytes=4-", 206, &whole[4..]),
        ("bytes=-5", 206, &whole[whole.len() - 5..]),
        ("bytes=10-9999", 206, &whole[10..]),
        ("bytes=9999-", 416, b""),
    ];
    for (range, status, expected) in cases {
        let (seen, part) = visit.get(&file.direct_path, Some(range)).await;
        assert_eq!(
            (seen.as_u16(), part.as_slice()),
            (status, expected),
            "{range}"
        );
    }
}

#[tokio::test]
async fn what_no_client_should_ask_is_refused_and_reported() {
    let visit = Visit::new().await;
    assert_eq!(
        visit.upload("token=x", b"x".to_vec()).await.0,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        visit.get("/v/t62.7118-24/none.enc", None).await.0,
        StatusCode::NOT_FOUND
    );
    assert_eq!(visit.get("/elsewhere", None).await.0, StatusCode::NOT_FOUND);
    assert_eq!(
        visit.unexpected(),
        [
            "an upload of image shows no auth, or not what media_conn gave out",
            "no file lies at /v/t62.7118-24/none.enc",
            "the media host does not serve GET /elsewhere",
        ]
    );
}

#[tokio::test]
async fn a_file_with_a_fault_is_not_the_file() {
    let visit = Visit::new().await;
    let library = visit.host.library();
    let file = library.keep(MediaKind::Image, b"a small file", &Seed::constant());
    let (_, whole) = visit.get(&file.direct_path, None).await;

    library.spoil(&file.direct_path, FileFault::Status(410));
    assert_eq!(visit.get(&file.direct_path, None).await.0, StatusCode::GONE);
    library.spoil(&file.direct_path, FileFault::Corrupt);
    let (status, changed) = visit.get(&file.direct_path, None).await;
    assert_eq!((status, changed.len()), (StatusCode::OK, whole.len()));
    let differing = changed.iter().zip(&whole).filter(|(a, b)| a != b);
    assert_eq!(differing.count(), 1);
    library.spoil(&file.direct_path, FileFault::Cut);
    let cut = visit.client.get(library.url(&file.direct_path)).send();
    let cut = match cut.await {
        Ok(answer) => answer.bytes().await.map(drop),
        Err(fault) => Err(fault),
    };
    assert!(cut.is_err(), "all of it came");
    assert_eq!(visit.unexpected(), [""; 0], "somebody wanted it so");
}

#[tokio::test]
async fn uploads_are_refused_as_often_as_it_is_said() {
    let visit = Visit::new().await;
    visit.host.library().refuse_uploads(UploadRefusal {
        status: 413,
        times: Some(1),
    });
    let (status, _) = visit.upload(&visit.auth(), b"sealed".to_vec()).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let (status, _) = visit.upload(&visit.auth(), b"sealed".to_vec()).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(visit.unexpected(), [""; 0], "somebody wanted it so");
}
