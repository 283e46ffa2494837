//! A service that answers with given bytes, however wrong they are.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::stage::PATIENCE;

/// Answers one request after the other, each on its own connection.
pub(crate) struct Canned {
    pub(crate) url: String,
    /// The requests, as they came.
    pub(crate) heard: mpsc::Receiver<String>,
    _serving: JoinSet<()>,
}

impl Canned {
    /// Writes the pieces of the answer, each when the last was asked to go on.
    pub(crate) async fn answering(pieces: &[&str]) -> (Self, mpsc::Sender<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let pieces: Vec<String> = pieces.iter().map(ToString::to_string).collect();
        let (tell, heard) = mpsc::channel(8);
        let (go_on, mut next) = mpsc::channel(8);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            tell.send(request(&mut socket).await).await.unwrap();
            for (place, piece) in pieces.iter().enumerate() {
                if place > 0 && timeout(PATIENCE, next.recv()).await != Ok(Some(())) {
                    return;
                }
                // Who is gone need not hear the rest.
                drop(socket.write_all(piece.as_bytes()).await);
            }
        });
        let canned = Self {
            url,
            heard,
            _serving: serving,
        };
        (canned, go_on)
    }

    /// Says everything at once and hangs up.
    pub(crate) async fn saying(answer: &str) -> Self {
        Self::answering(&[answer]).await.0
    }
}

/// The head of a request and its body, which is JSON and ends where its last brace is.
async fn request(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let length = timeout(PATIENCE, socket.read(&mut piece))
            .await
            .unwrap()
            .unwrap();
        bytes.extend_from_slice(&piece[..length]);
        let text = String::from_utf8(bytes.clone()).unwrap();
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let lengths = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            lengths.is_none_or(|length| length.parse() == Ok(body.len()))
        });
        if whole {
            return text;
        }
    }
}
