//! Waiting for nanokimi to say that it is ready, in the words of systemd.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tokio::net::UnixDatagram;

use crate::lenient::parsed;

/// Where notifications arrive.
#[derive(Debug)]
pub(crate) struct Notifications {
    socket: UnixDatagram,
}

impl Notifications {
    pub(crate) fn listen(path: &Path) -> std::io::Result<Self> {
        let socket = UnixDatagram::bind(path)?;
        // nanokimi may be another user; nobody else may enter the folder.
        fs_err::set_permissions(path, PermissionsExt::from_mode(0o666))?;
        Ok(Self { socket })
    }

    /// The address of the HTTP API, once nanokimi is ready.
    pub(crate) async fn ready(&self) -> std::io::Result<Option<SocketAddr>> {
        let mut buffer = vec![0; 4096];
        loop {
            let length = self.socket.recv(&mut buffer).await?;
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.lines().any(|line| line == "READY=1") {
                return Ok(address(&text));
            }
        }
    }
}

fn address(text: &str) -> Option<SocketAddr> {
    let named = text
        .lines()
        .find_map(|line| line.strip_prefix("X_HTTP_ADDR="));
    named.and_then(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn readiness_carries_the_address() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let notifications = Notifications::listen(&path).unwrap();
        let sender = UnixDatagram::unbound().unwrap();
        sender.send_to(b"STATUS=soon", &path).await.unwrap();
        let ready = b"READY=1\nX_HTTP_ADDR=127.0.0.1:4711";
        sender.send_to(ready, &path).await.unwrap();

        let address = notifications.ready().await.unwrap();

        assert_eq!(address, Some("127.0.0.1:4711".parse().unwrap()));
    }
}
