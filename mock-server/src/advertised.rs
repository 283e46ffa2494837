//! The address by which others know the mocks, where it is not the one they listen on: in a
//! container they listen on all of its interfaces, and are known by a name.
//!
//! It is told to clients and written into certificates; nothing is looked up.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

/// A host and a port, written `http://mock:9100`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertised {
    host: String,
    port: u16,
}

/// It is no such address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not an address of the mocks: expected `http://<host>:<port>` and nothing behind it"
)]
pub struct InvalidAdvertised(String);

impl FromStr for Advertised {
    type Err = InvalidAdvertised;

    fn from_str(text: &str) -> Result<Self, InvalidAdvertised> {
        let invalid = || InvalidAdvertised(text.to_owned());
        let authority = text.strip_prefix("http://").ok_or_else(invalid)?;
        let (host, port) = authority.rsplit_once(':').ok_or_else(invalid)?;
        let is_of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_of_a_name) {
            return Err(invalid());
        }
        let port = port.parse::<u16>().map_err(|_no_port| invalid())?;
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

/// `mock:9100`.
impl fmt::Display for Advertised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Where a service listens beside the others, and what it is called there.
#[derive(Clone, Debug)]
pub(crate) struct Beside {
    listen: IpAddr,
    host: Option<String>,
}

impl Beside {
    pub(crate) fn new(listen: IpAddr, advertised: Option<&Advertised>) -> Self {
        Self {
            listen,
            host: advertised.map(|advertised| advertised.host.clone()),
        }
    }

    /// Any free port of the same interface.
    #[cfg(feature = "whatsapp")]
    pub(crate) fn any_port(&self) -> SocketAddr {
        SocketAddr::new(self.listen, 0)
    }

    /// What clients are told of a port.
    pub(crate) fn told(&self, port: u16) -> String {
        match &self.host {
            Some(host) => format!("{host}:{port}"),
            None => SocketAddr::new(self.known_ip(), port).to_string(),
        }
    }

    /// The names that a certificate of this service must hold.
    pub(crate) fn names(&self) -> (Option<&str>, IpAddr) {
        (self.host.as_deref(), self.known_ip())
    }

    /// Nobody can connect to "all interfaces"; without a name, only this machine is told.
    fn known_ip(&self) -> IpAddr {
        match self.listen.is_unspecified() {
            true => Ipv4Addr::LOCALHOST.into(),
            false => self.listen,
        }
    }
}

impl Default for Beside {
    fn default() -> Self {
        Self::new(Ipv4Addr::LOCALHOST.into(), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let read = text.parse::<Advertised>();
        let read = read.map_or(None, |advertised| Some(advertised.to_string()));
        assert_eq!(read.as_deref(), expected, "{text}");
    }

    #[test]
    fn an_address_is_a_host_and_a_port_and_nothing_else() {
        check("http://mock:9100", Some("mock:9100"));
        check("http://127.0.0.1:1", Some("127.0.0.1:1"));
        for wrong in [
            "mock:9100",
            "https://mock:9100",
            "http://mock",
            "http://:9100",
            "http://mock:9100/",
            "http://mock:70000",
            "http://a b:1",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn clients_are_told_what_they_can_reach() {
        let advertised: Advertised = "http://mock:9100".parse().unwrap();
        let all = IpAddr::from([0, 0, 0, 0]);
        assert_eq!(Beside::new(all, Some(&advertised)).told(7), "mock:7");
        assert_eq!(Beside::new(all, None).told(7), "127.0.0.1:7");
        let one = IpAddr::from([10, 0, 0, 2]);
        assert_eq!(Beside::new(one, None).told(7), "10.0.0.2:7");
    }
}
