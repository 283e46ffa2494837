//! Bytes from one side of the door to the other, as both of its ends pass them on.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::try_join;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::{AsyncWriteExt, copy};
use tokio::net::{TcpStream, UnixStream};

/// Passes bytes both ways until both sides have ended, or one has broken.
///
/// An end of one direction is passed on as one, so that a side that has said all can still
/// listen. A side that breaks is an error; whoever calls then drops both, and the other end of
/// the door has an error too, since the door was closed before its direction had ended.
pub async fn relay(door: &mut UnixStream, connection: &mut TcpStream) -> io::Result<()> {
    let (mut from_door, mut to_door) = door.split();
    let (mut from_connection, mut to_connection) = connection.split();
    let said_all = AtomicBool::new(false);
    let outward = async {
        copy(&mut from_connection, &mut to_door).await?;
        said_all.store(true, Ordering::Relaxed);
        to_door.shutdown().await
    };
    let inward = async {
        copy(&mut from_door, &mut to_connection).await?;
        if !said_all.load(Ordering::Relaxed) && hung_up(from_door.as_ref())? {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        to_connection.shutdown().await
    };
    try_join(outward, inward).await.map(|((), ())| ())
}

/// Whether the other end is closed as a whole, not only for writing.
fn hung_up(door: &UnixStream) -> io::Result<bool> {
    let mut ends = [PollFd::new(door, PollFlags::empty())];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut ends, Some(&at_once))?;
    Ok(ends[0].revents().contains(PollFlags::HUP))
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    use super::*;

    /// Two relays back to back: the client's connection, and the service's.
    async fn stage(relays: &mut JoinSet<io::Result<()>>) -> (TcpStream, TcpStream) {
        let (mut inner, mut outer) = UnixStream::pair().unwrap();
        let (client, mut in_box) = connected().await;
        let (mut at_host, service) = connected().await;
        relays.spawn(async move {
            let relayed = relay(&mut inner, &mut in_box).await;
            if relayed.is_err() {
                in_box.set_zero_linger().unwrap();
            }
            relayed
        });
        relays.spawn(async move { relay(&mut outer, &mut at_host).await });
        (client, service)
    }

    async fn connected() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        (near.unwrap(), far.unwrap().0)
    }

    #[tokio::test]
    async fn a_megabyte_goes_both_ways_and_a_half_closed_side_still_hears() {
        let mut relays = JoinSet::new();
        let (mut client, mut service) = stage(&mut relays).await;
        let megabyte: Vec<u8> = (0..=u8::MAX).cycle().take(1 << 20).collect();

        let asks = async {
            client.write_all(&megabyte).await.unwrap();
            client.shutdown().await.unwrap();
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.unwrap();
            answer
        };
        let answers = async {
            let mut heard = Vec::new();
            service.read_to_end(&mut heard).await.unwrap();
            // Only now the answer, on the half that is left.
            service.write_all(&megabyte).await.unwrap();
            drop(service);
            heard
        };
        let (answer, heard) = tokio::join!(asks, answers);
        assert!(heard == megabyte, "{} bytes", heard.len());
        assert!(answer == megabyte, "{} bytes", answer.len());

        while let Some(ended) = relays.join_next().await {
            ended.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn a_service_that_breaks_off_breaks_off_for_the_client_too() {
        let mut relays = JoinSet::new();
        let (mut client, mut service) = stage(&mut relays).await;
        service.write_all(b"half of").await.unwrap();
        let mut heard = [0; 7];
        client.read_exact(&mut heard).await.unwrap();

        service.set_zero_linger().unwrap();
        drop(service);
        let error = client.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn a_service_that_ends_first_ends_the_clients_reading() {
        let mut relays = JoinSet::new();
        let (mut client, mut service) = stage(&mut relays).await;
        service.write_all(b"all").await.unwrap();
        service.shutdown().await.unwrap();

        let mut heard = String::new();
        client.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "all");
        client.write_all(b"and then").await.unwrap();
        drop(client);
        let mut answer = String::new();
        service.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "and then");
    }
}
