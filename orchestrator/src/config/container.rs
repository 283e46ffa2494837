//! The settings of agents in containers: image, network, limits, and where the engine is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use agent_protocol::door::DoorTarget;

use super::mounts::MountSettings;
use super::sources::Sources;
use super::{DURATION, duration, parsed};

/// How agents are boxed in.
#[derive(Clone, Debug)]
pub(crate) struct ContainerSettings {
    pub image: String,
    pub network: AgentNetwork,
    /// What agents may reach besides the model, through the door.
    pub hosts: Vec<DoorTarget>,
    /// Bytes.
    pub memory: i64,
    /// In billionths of a processor, as the engine counts.
    pub nano_cpus: i64,
    pub pids: i64,
    /// The root folder by the name that the engine's machine knows it by.
    pub host_root: PathBuf,
    /// A URL, e.g. `unix:///var/run/docker.sock`.
    pub engine: String,
    /// How long an engine that does not answer is waited for.
    pub engine_wait: Duration,
    /// What agents may see besides their folders, also those that are processes.
    pub mounts: MountSettings,
}

/// What an agent's container is connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AgentNetwork {
    /// Nothing: what it may reach, it reaches through us.
    Door,
    /// A network of the engine, by its name there.
    Named(String),
}

impl AgentNetwork {
    /// As the engine calls it.
    pub(crate) fn mode(&self) -> &str {
        match self {
            Self::Door => "none",
            Self::Named(name) => name,
        }
    }
}

impl ContainerSettings {
    pub(super) fn read(
        (root, home): (&Path, Option<&Path>),
        sources: &mut Sources,
    ) -> Option<Self> {
        // Each is read before any is missed, so that all problems are told at once.
        let image = sources.read("agent_image", "an image such as `nanokimi-agent:1`", word);
        let network = sources.read("agent_network", NETWORK, network);
        let hosts = sources.read_optional("agent_hosts", HOSTS, hosts);
        let memory = sources.read("agent_memory", "a size such as `512m` or `2g`", memory);
        let cpus = sources.read("agent_cpus", "a number such as `2` or `0.5`", cpus);
        let pids = sources.read("agent_pids", "a number from 16 to 65536", pids);
        let host_root = sources.read_optional("host_root", "an absolute path", absolute);
        let engine = sources.read("docker_host", ENGINE, engine);
        let engine_wait = sources.read("docker_wait", DURATION, duration);
        let mounts = MountSettings::read((root, home), sources);
        Some(Self {
            image: image?,
            network: network?,
            hosts: hosts?.unwrap_or_else(Vec::new),
            memory: memory?,
            nano_cpus: cpus?,
            pids: pids?,
            host_root: host_root?.unwrap_or_else(|| root.to_owned()),
            engine: engine?,
            engine_wait: engine_wait?,
            mounts: mounts?,
        })
    }
}

const NETWORK: &str = "`door`, `open` or the name of one of the engine's networks";
const HOSTS: &str = "hosts with ports, such as `api.github.com:443, example.org:443`";
const ENGINE: &str = "a URL such as `unix:///var/run/docker.sock`";

fn word(text: &str) -> Option<String> {
    let fits = !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control());
    fits.then(|| text.to_owned())
}

fn network(text: &str) -> Option<AgentNetwork> {
    match text {
        "door" => Some(AgentNetwork::Door),
        // The engine's own name for its bridge.
        "open" => Some(AgentNetwork::Named("bridge".to_owned())),
        // It would see, and could join, whatever the other container holds.
        name if name.starts_with("container:") => None,
        name => word(name).map(AgentNetwork::Named),
    }
}

fn hosts(text: &str) -> Option<Vec<DoorTarget>> {
    text.split([',', ' '])
        .filter(|part| !part.is_empty())
        .map(parsed)
        .collect()
}

/// Below this the engine refuses, or nothing starts.
const LEAST_MEMORY: i64 = 16 << 20;

fn memory(text: &str) -> Option<i64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        _unknown => return None,
    };
    parsed::<i64>(number)?
        .checked_mul(unit)
        .filter(|bytes| *bytes >= LEAST_MEMORY)
}

/// A billionth is the engine's unit; three decimals are more than the kernel can keep apart.
fn cpus(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let decimal = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if !decimal(whole) || !decimal(part) || part.len() > 3 {
        return None;
    }
    let thousandths = parsed::<i64>(&format!("{whole}{part:0<3}"))?;
    let fits = (10..=1_024_000).contains(&thousandths);
    fits.then_some(thousandths * 1_000_000)
}

fn pids(text: &str) -> Option<i64> {
    parsed(text).filter(|pids| (16..=65_536).contains(pids))
}

fn absolute(text: &str) -> Option<PathBuf> {
    let path = PathBuf::from(text);
    path.is_absolute().then_some(path)
}

/// Which of them we can speak is said when one is needed: the variable is there for other
/// programs too.
fn engine(text: &str) -> Option<String> {
    word(text).filter(|text| text.contains("://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_shares_are_read_as_the_engine_counts() {
        assert_eq!(memory("512m"), Some(512 << 20));
        assert_eq!(memory("2G"), Some(2 << 30));
        assert_eq!(memory("1048576"), None, "nothing starts in a megabyte");
        assert_eq!(memory("2 g"), None);
        assert_eq!(memory("9999999999g"), None);
        assert_eq!(cpus("2"), Some(2_000_000_000));
        assert_eq!(cpus("0.5"), Some(500_000_000));
        assert_eq!(cpus("1.25"), Some(1_250_000_000));
        for text in ["0", "0.001", "-1", "1.", ".5", "1.2345", "two", "1e3"] {
            assert_eq!(cpus(text), None, "{text}");
        }
    }

    #[test]
    fn hosts_are_a_list_with_ports() {
        let two = hosts("a.example:443, b:80").unwrap();
        let two: Vec<String> = two.iter().map(ToString::to_string).collect();
        assert_eq!(two, ["a.example:443", "b:80"]);
        for text in [
            "a.example",
            "a:0",
            "a:99999",
            "https://a:443",
            "10.0.0.1:443",
        ] {
            assert_eq!(hosts(text), None, "{text}");
        }
    }

    #[test]
    fn a_network_is_none_the_open_one_or_one_by_name() {
        assert_eq!(network("door").unwrap().mode(), "none");
        assert_eq!(network("open").unwrap().mode(), "bridge");
        assert_eq!(network("mine").unwrap().mode(), "mine");
        assert_eq!(network("container:other"), None);
    }
}
