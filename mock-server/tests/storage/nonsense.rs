//! Whatever is sent, the mock answers, and goes on.

use reqwest::Method;

use super::stage::{Stage, header};

/// Numbers that look like chance.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[(self.next() % choices.len() as u64) as usize]
    }

    fn bytes(&mut self) -> Vec<u8> {
        let pieces: [&[u8]; 12] = [
            b"--x",
            b"\r\n",
            b"\n",
            b"{",
            b"}",
            b"\"name\":",
            b"\0\xff",
            b"<Part>",
            b"PATCH / HTTP/1.1",
            b"null",
            b"bytes",
            b": ",
        ];
        let length = self.next() % 12;
        (0..length)
            .flat_map(|_| self.of(&pieces).to_vec())
            .collect()
    }
}

/// Stands for the place of an upload that was begun.
const UPLOAD: &str = "upload";
const PATHS: [&str; 13] = [
    "/upload/storage/v1/b/attic/o?uploadType=media&name=x",
    "/upload/storage/v1/b/attic/o?uploadType=multipart",
    "/upload/storage/v1/b/attic/o?uploadType=resumable&name=x",
    "/batch/storage/v1",
    "/storage/v1/b",
    "/storage/v1/b/attic",
    "/storage/v1/b/attic/o/cat",
    "/storage/v1/b/attic/o/cat/compose",
    "/storage/v1/b/attic/o/cat/copyTo/b/attic/o/x",
    "/attic/cat",
    "/attic/cat?uploadId=1",
    "/attic?list-type=2&continuation-token=%00",
    UPLOAD,
];
const KINDS: [&str; 4] = [
    "multipart/related; boundary=x",
    "multipart/mixed; boundary=x",
    "application/json",
    ";",
];
const HEADERS: [(&str, &[&str]); 5] = [
    (
        "content-range",
        &[
            "bytes 0-0/1",
            "bytes 9999999999999999999-0/*",
            "bytes */18446744073709551615",
            "bytes 0-18446744073709551615/*",
            "bytes 18446744073709551615-18446744073709551615/*",
            "bytes 18446744073709551615-*/*",
            "bytes 1-*/*",
            "x",
        ],
    ),
    (
        "range",
        &[
            "bytes=-",
            "bytes=18446744073709551615-",
            "bytes=-18446744073709551615",
            "bytes=0-0",
        ],
    ),
    ("x-goog-hash", &["crc32c=", "md5==,", "=,=", ","]),
    ("x-goog-copy-source", &["/", "%", "attic/%ff", "attic/cat"]),
    (
        "x-goog-if-generation-match",
        &["-1", "18446744073709551616", "", "0"],
    ),
];

impl Stage {
    async fn upload(&self) -> String {
        let path = "/upload/storage/v1/b/attic/o?uploadType=resumable&name=x";
        let begun = self.post(path).send().await.unwrap();
        header(&begun, "location").unwrap().to_owned()
    }
}

#[tokio::test]
async fn nonsense_is_answered_and_never_breaks_the_mock() {
    let stage = Stage::set().await;
    let mut chance = Chance(0x5eed);
    for _ in 0..2_000 {
        let method = chance
            .of(&[Method::GET, Method::POST, Method::PUT, Method::PATCH])
            .clone();
        let path = match *chance.of(&PATHS) {
            UPLOAD => stage.upload().await,
            path => stage.url(path),
        };
        let (name, values) = *chance.of(&HEADERS);
        let body = chance.bytes();
        let request = stage
            .client
            .request(method.clone(), &path)
            .header("content-type", *chance.of(&KINDS))
            .header(name, *chance.of(values))
            .body(body.clone());
        let status = request.send().await.unwrap().status();
        assert!(
            status.as_u16() < 500,
            "{method} {path} {name}: {status} for {body:?}"
        );
    }
    stage.stored("cat", "Miso").await;
    assert!(stage.names("").await.contains(&"cat".to_owned()));
    // As its mocks would have failed, so fails this.
    stage.server.join().await.unwrap();
}
