//! Connections to one host, from the box to the door.

use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agent_protocol::door::{Answer, Call, DoorTarget, read_line, relay};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::events::note;

/// How long to wait when there are no more file descriptors.
const SHORTAGE: Duration = Duration::from_millis(100);

/// Brings whoever connects to the door, for as long as this process lives.
pub(super) async fn carry_all(target: DoorTarget, listener: TcpListener, door: Arc<Path>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return note(&format!("nobody listens for {target}: {error}")),
    };
    let mut carried = JoinSet::new();
    loop {
        tokio::select! {
            // A panic has been printed where it happened, and costs that connection alone.
            Some(Ok(()) | Err(_)) = carried.join_next() => {}
            arrived = listener.accept() => match arrived {
                Ok((connection, _)) => {
                    carried.spawn(carry(target.clone(), connection, Arc::clone(&door)));
                }
                Err(error) => {
                    note(&format!("a connection to {target} cannot be taken: {error}"));
                    tokio::time::sleep_until(Instant::now() + SHORTAGE).await;
                }
            },
        }
    }
}

async fn carry(target: DoorTarget, mut connection: TcpStream, door: Arc<Path>) {
    let Err(error) = pass(target.clone(), &mut connection, &door).await else {
        return;
    };
    note(&format!("the connection to {target} broke: {error}"));
    // Whoever connected is to see it break, too, and not end: half an answer is none.
    if let Err(error) = connection.set_zero_linger() {
        note(&format!("… and ends as if all had been said: {error}"));
    }
}

async fn pass(target: DoorTarget, connection: &mut TcpStream, door: &Path) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut stream = UnixStream::connect(door).await?;
    let call = format!("{}\n", Call::To(target));
    stream.write_all(call.as_bytes()).await?;
    match read_line(&mut stream).await?.parse() {
        Ok(Answer::Open) => relay(&mut stream, connection).await,
        Ok(Answer::Refused(why)) => Err(io::Error::other(why)),
        Err(invalid) => Err(io::Error::new(io::ErrorKind::InvalidData, invalid)),
    }
}
