//! What a container of a stage is asked for, whatever is in it: its labels, its network, and
//! which of its ports we reach.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bollard::models::PortBinding;
use testcontainers::core::{IntoContainerPort as _, WaitFor};
use testcontainers::{ContainerRequest, GenericImage, ImageExt as _};

use super::{Container, MOCK};
use crate::engine::Containers;
use crate::stage::StageError;

/// How a container is on the network.
#[derive(Clone, Debug)]
pub(super) enum Net {
    /// On none.
    Alone,
    /// On this one, where the mocks are at an address, if it does not know their name itself; with
    /// a port that we reach, if it has one.
    On {
        network: String,
        mock: Option<IpAddr>,
        port: Option<u16>,
    },
    /// On that of another container, as if they were one machine.
    Beside(String),
}

/// A request for a container with the labels of the run. It is ready when `ready` says so.
pub(super) fn request(
    image: &str,
    containers: &Containers,
    net: Net,
    ready: WaitFor,
) -> ContainerRequest<GenericImage> {
    let (name, tag) = image.rsplit_once(':').unwrap_or((image, "latest"));
    let mut image = GenericImage::new(name, tag).with_wait_for(ready);
    if let Net::On {
        port: Some(port), ..
    } = &net
    {
        image = image.with_exposed_port(port.tcp());
    }
    let request = image.with_labels(containers.labels.to_map());
    request.with_host_config_modifier(move |host| {
        // Only what is named is published, and only to this machine.
        host.publish_all_ports = Some(false);
        match &net {
            Net::Alone => host.network_mode = Some("none".to_owned()),
            Net::Beside(other) => host.network_mode = Some(format!("container:{other}")),
            Net::On {
                network,
                mock,
                port,
            } => {
                host.network_mode = Some(network.clone());
                // No way leads to a name server, so there is nothing to wait for: a name that the
                // network does not know is not known. The usual patience is ten seconds.
                let patience = ["timeout:1", "attempts:1"].map(str::to_owned);
                host.dns_options = Some(patience.to_vec());
                host.extra_hosts = mock.map(|mock| vec![format!("{MOCK}:{mock}")]);
                host.port_bindings = port.map(bindings);
            }
        }
    })
}

fn bindings(port: u16) -> HashMap<String, Option<Vec<PortBinding>>> {
    let binding = PortBinding {
        host_ip: Some(Ipv4Addr::LOCALHOST.to_string()),
        // Any free one.
        host_port: Some("0".to_owned()),
    };
    HashMap::from([(format!("{port}/tcp"), Some(vec![binding]))])
}

/// Where we reach a port of a container.
pub(super) async fn published(container: &Container, port: u16) -> Result<SocketAddr, StageError> {
    let host_port = container.get_host_port_ipv4(port).await;
    let host_port = host_port.map_err(|error| StageError::container("publish a port", error))?;
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, host_port)))
}
