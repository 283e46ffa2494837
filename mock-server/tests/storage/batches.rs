//! Several requests in one.

use super::stage::{Stage, refused};

const BATCH: &str = "--x\r\nContent-Type: application/http\r\nContent-ID: <b1+1>\r\n\r\n\
PATCH /storage/v1/b/attic/o/a?projection=full HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 26\r\n\r\n\
{\"metadata\":{\"x\":\"1\"}}\r\n\
--x\r\nContent-Type: application/http\r\nContent-ID: <b1+2>\r\n\r\n\
DELETE http://storage.googleapis.com/storage/v1/b/attic/o/b HTTP/1.1\r\n\r\n\r\n\
--x\r\nContent-Type: application/http\r\n\r\n\
DELETE /storage/v1/b/attic/o/gone HTTP/1.1\r\n\r\n--x--";

#[tokio::test]
async fn each_part_is_done_by_itself() {
    for (batch, boundary) in [(BATCH.to_owned(), "x"), (BATCH.replace('\r', ""), "'x'")] {
        let stage = Stage::set().await;
        for name in ["a", "b"] {
            stage.stored(name, "x").await;
        }
        let kind = format!("multipart/mixed; boundary={boundary}");
        let request = stage.post("/batch/storage/v1").header("content-type", kind);
        let answer = request.body(batch).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let text = answer.text().await.unwrap();
        let statuses: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with("HTTP/1.1"))
            .collect();
        assert_eq!(
            statuses,
            [
                "HTTP/1.1 200 OK",
                "HTTP/1.1 204 No Content",
                "HTTP/1.1 404 Not Found"
            ]
        );
        let ids: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with("Content-ID"))
            .collect();
        assert_eq!(
            ids,
            ["Content-ID: <response-b1+1>", "Content-ID: <response-b1+2>"]
        );
        assert!(text.contains("\"metadata\":{\"x\":\"1\"}"), "{text}");
        assert_eq!(stage.names("").await, ["a"]);
        stage.ends().await;
    }
}

#[tokio::test]
async fn what_is_no_batch_is_refused() {
    let stage = Stage::set().await;
    let part = "--x\r\n\r\nGET /storage/v1/b/attic HTTP/1.1\r\n\r\n";
    for (kind, body) in [
        ("text/plain", part.to_owned()),
        ("multipart/mixed; boundary=x", String::new()),
        (
            "multipart/mixed; boundary=x",
            "--x\r\n\r\nhello\r\n--x--".to_owned(),
        ),
        (
            "multipart/mixed; boundary=x",
            format!("{}--x--", part.repeat(101)),
        ),
    ] {
        let request = stage.post("/batch/storage/v1").header("content-type", kind);
        assert_eq!(
            refused(request.body(body)).await,
            (400, "invalid".to_owned())
        );
    }
    stage.ends().await;
}
