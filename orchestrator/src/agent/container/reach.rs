//! Whom an agent may reach through the door: its model, and what the settings add.

use agent_protocol::door::{DoorTarget, InvalidDoorHost};

use crate::config::{AgentNetwork, Config, Engine};

/// The hosts of the Kimi coding service and of its login. Not those that a login's own file
/// names: agents that share it write to it, and could let themselves out.
const KIMI: [&str; 2] = ["api.kimi.com:443", "auth.kimi.com:443"];

/// The hosts behind the doors of this installation; none where agents have a network.
pub(super) fn targets(config: &Config) -> Result<Vec<DoorTarget>, InvalidDoorHost> {
    if config.container.network != AgentNetwork::Door {
        return Ok(Vec::new());
    }
    let mut targets = config.container.hosts.clone();
    let model: Vec<&str> = match (&config.llm_base_url, &config.llm_key) {
        (Some(url), _) => {
            targets.push(host_of(url)?);
            Vec::new()
        }
        (None, Some(key)) if key.name == "MOONSHOT_API_KEY" => vec!["api.moonshot.ai:443"],
        (None, Some(_)) => vec!["openrouter.ai:443"],
        (None, None) => Vec::new(),
    };
    let login: &[&str] = if config.llm_key.is_none() && config.engine.engine == Engine::Acp {
        &KIMI
    } else {
        &[]
    };
    for host in model.iter().chain(login) {
        targets.push(host.parse()?);
    }
    Ok(targets)
}

/// The host of a URL with http or https, and its port.
fn host_of(url: &str) -> Result<DoorTarget, InvalidDoorHost> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = &rest[..end];
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    if host.ends_with(']') || !host.contains(':') {
        let port = if scheme == "http" { 80 } else { 443 };
        return DoorTarget::new(host, port);
    }
    host.parse()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::House;

    #[track_caller]
    fn check(settings: &str, dotenv: &str, expected: &[&str]) {
        let root = tempfile::tempdir().unwrap();
        fs_err::write(root.path().join(".env"), dotenv).unwrap();
        let house = House::staged(root.path(), settings);
        let targets = targets(&house.config).unwrap();
        let targets: Vec<String> = targets.iter().map(ToString::to_string).collect();
        assert_eq!(targets, expected);
    }

    #[test]
    fn an_agent_reaches_its_model_and_what_it_is_allowed() {
        check("", "OPENROUTER_API_KEY=k\n", &["openrouter.ai:443"]);
        check("", "MOONSHOT_API_KEY=k\n", &["api.moonshot.ai:443"]);
        check("", "", &[]);
        check(
            "engine = \"acp\"\nagent_hosts = \"a.example:443\"\n",
            "",
            &["a.example:443", "api.kimi.com:443", "auth.kimi.com:443"],
        );
        check(
            "llm_base_url = \"http://127.0.0.1:9100/api/v1\"\n",
            "OPENROUTER_API_KEY=k\n",
            &["127.0.0.1:9100"],
        );
        check("agent_network = \"open\"\n", "OPENROUTER_API_KEY=k\n", &[]);
    }

    #[test]
    fn the_host_of_a_url_is_read_whatever_stands_around_it() {
        let host = |url: &str| host_of(url).map(|host| host.to_string());
        assert_eq!(host("https://Example.org/v1").unwrap(), "example.org:443");
        assert_eq!(host("http://mock:9100").unwrap(), "mock:9100");
        assert_eq!(host("http://u:p@mock?x").unwrap(), "mock:80");
        assert!(host("http://192.168.0.1:80/v1").is_err());
        assert!(host("http://[::1]:80/v1").is_err());
    }
}
