//! A host behind the door, and the address at which it is found in the box.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

/// A host that an agent may reach: `openrouter.ai:443`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DoorTarget {
    name: String,
    port: u16,
}

/// The same, and where the runner listens for it: `mock:9100@127.0.0.2`. Without an address it
/// is 127.0.0.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorHost {
    pub target: DoorTarget,
    pub address: Ipv4Addr,
}

/// A host that cannot stand behind the door.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDoorHost {
    #[error("`{0}` is not a host and a port: write e.g. `openrouter.ai:443`")]
    Shape(String),
    #[error("`{0}` is an address, and a box without a network has no way there: give it a name")]
    Address(String),
    #[error("`{0}` is not found at a loopback address: write e.g. `mock:9100@127.0.0.2`")]
    NotLoopback(String),
}

/// The longest name that DNS knows.
const LONGEST_NAME: usize = 253;

impl DoorTarget {
    pub fn new(name: &str, port: u16) -> Result<Self, InvalidDoorHost> {
        let shown = || format!("{name}:{port}");
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if name.starts_with('[') {
            return Err(InvalidDoorHost::Address(shown()));
        }
        if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(plain) || port == 0 {
            return Err(InvalidDoorHost::Shape(shown()));
        }
        match name.parse::<IpAddr>() {
            Ok(address) if !address.is_loopback() => Err(InvalidDoorHost::Address(shown())),
            Ok(_) | Err(_) => Ok(Self {
                name: name.to_ascii_lowercase(),
                port,
            }),
        }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address that the name itself says, whoever is asked: nobody can give it another.
    fn fixed_address(&self) -> Option<Ipv4Addr> {
        if self.name == "localhost" {
            return Some(Ipv4Addr::LOCALHOST);
        }
        match self.name.parse() {
            Ok(address) => Some(address),
            Err(_a_name) => None,
        }
    }
}

impl DoorHost {
    /// The line that lets the box find the name (`mock:127.0.0.2`), if it needs one.
    #[must_use]
    pub fn hosts_entry(&self) -> Option<String> {
        match self.target.fixed_address() {
            Some(_) => None,
            None => Some(format!("{}:{}", self.target.name, self.address)),
        }
    }
}

impl fmt::Display for DoorTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.port)
    }
}

impl FromStr for DoorTarget {
    type Err = InvalidDoorHost;

    fn from_str(text: &str) -> Result<Self, InvalidDoorHost> {
        let shape = || InvalidDoorHost::Shape(text.to_owned());
        let (name, port) = text.rsplit_once(':').ok_or_else(shape)?;
        let port = port.parse().map_err(|_not_a_port| shape())?;
        Self::new(name, port)
    }
}

impl fmt::Display for DoorHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.target.fmt(f)?;
        if self.address != Ipv4Addr::LOCALHOST {
            write!(f, "@{}", self.address)?;
        }
        Ok(())
    }
}

impl FromStr for DoorHost {
    type Err = InvalidDoorHost;

    fn from_str(text: &str) -> Result<Self, InvalidDoorHost> {
        let (target, address) = match text.split_once('@') {
            None => (text, Ipv4Addr::LOCALHOST),
            Some((target, address)) => match address.parse::<Ipv4Addr>() {
                Ok(address) if address.is_loopback() => (target, address),
                Ok(_) | Err(_) => return Err(InvalidDoorHost::NotLoopback(text.to_owned())),
            },
        };
        Ok(Self {
            target: target.parse()?,
            address,
        })
    }
}

/// Gives each name one address, so that no two hosts of one port share it. A host that is
/// listed twice, or that two names reach at one address, stands there once.
#[must_use]
pub fn allot(targets: &[DoorTarget]) -> Vec<DoorHost> {
    let mut hosts: Vec<DoorHost> = Vec::new();
    // Those whose address is given come first: the others can make way.
    let (fixed, free): (Vec<_>, Vec<_>) = targets
        .iter()
        .partition(|target| target.fixed_address().is_some());
    for target in fixed.into_iter().chain(free) {
        let known = hosts.iter().find(|host| host.target.name == target.name);
        let address = match (target.fixed_address(), known) {
            (Some(address), _) => address,
            (None, Some(known)) => known.address,
            (None, None) => free_address(&hosts, targets, target),
        };
        let taken = hosts
            .iter()
            .any(|host| host.address == address && host.target.port == target.port);
        if !taken {
            hosts.push(DoorHost {
                target: target.clone(),
                address,
            });
        }
    }
    hosts
}

/// The first loopback address at which all ports of the name are free.
fn free_address(hosts: &[DoorHost], targets: &[DoorTarget], wanted: &DoorTarget) -> Ipv4Addr {
    let ports = |at: Ipv4Addr| {
        let mut named = targets.iter().filter(|target| target.name == wanted.name);
        named.any(|target| {
            hosts
                .iter()
                .any(|host| host.address == at && host.target.port == target.port)
        })
    };
    (1..)
        .map(|step| Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() - 1 + step))
        .find(|at| !ports(*at))
        .unwrap_or(Ipv4Addr::LOCALHOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(targets: &str, hosts: &str) {
        let targets: Vec<DoorTarget> = targets
            .split(' ')
            .map(|target| target.parse().unwrap())
            .collect();
        let allotted: Vec<String> = allot(&targets).iter().map(ToString::to_string).collect();
        assert_eq!(allotted.join(" "), hosts);
    }

    #[test]
    fn hosts_share_an_address_until_a_port_is_wanted_twice() {
        check("openrouter.ai:443 mock:9100", "openrouter.ai:443 mock:9100");
        check("a.org:443 b.org:443", "a.org:443 b.org:443@127.0.0.2");
        check(
            "a.org:443 b.org:80 b.org:443",
            "a.org:443 b.org:80@127.0.0.2 b.org:443@127.0.0.2",
        );
    }

    #[test]
    fn a_name_with_an_address_of_its_own_keeps_it() {
        check(
            "a.org:9100 localhost:9100",
            "localhost:9100 a.org:9100@127.0.0.2",
        );
        check("127.0.0.1:80 localhost:80", "127.0.0.1:80");
        check("127.0.0.3:80", "127.0.0.3:80@127.0.0.3");
    }

    #[test]
    fn a_host_listed_twice_stands_there_once() {
        check("a.org:443 A.org:443", "a.org:443");
    }

    #[test]
    fn a_host_survives_its_text_and_names_its_entry() {
        let host: DoorHost = "mock:9100@127.0.0.2".parse().unwrap();
        assert_eq!(host.to_string(), "mock:9100@127.0.0.2");
        assert_eq!(host.hosts_entry().unwrap(), "mock:127.0.0.2");
        for own in ["localhost:80", "127.0.0.1:80"] {
            assert_eq!(own.parse::<DoorHost>().unwrap().hosts_entry(), None);
        }
    }

    #[track_caller]
    fn refused(text: &str, why: &str) {
        let error = text.parse::<DoorHost>().unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }

    #[test]
    fn what_cannot_stand_behind_the_door_is_refused() {
        for text in ["mock", "mock:", "mock:0", "mock:70000", ":80", "a b:80"] {
            refused(text, "is not a host and a port");
        }
        refused("10.0.0.5:80", "give it a name");
        refused("[::1]:80", "give it a name");
        refused("mock:80@10.0.0.1", "not found at a loopback address");
    }
}
