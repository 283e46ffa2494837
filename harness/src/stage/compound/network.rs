//! The network of one scenario: those on it reach each other, and the machine it runs on reaches
//! them at published ports; nothing on it reaches the world.

use std::collections::HashMap;
use std::net::IpAddr;

use bollard::models::{
    EndpointSettings, NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest,
};

use crate::engine::{Containers, Engine, EngineError, called};
use crate::lenient::parsed;

/// Nobody answers to an address that was not exchanged for the machine's own. An `internal`
/// network would publish no ports either.
const NO_WAY_OUT: &str = "com.docker.network.bridge.enable_ip_masquerade";

/// A network that exists.
#[derive(Debug)]
pub(super) struct Network {
    engine: Engine,
    name: String,
}

impl Network {
    pub(super) async fn make(containers: &Containers, name: &str) -> Result<Self, EngineError> {
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".to_owned()),
            options: Some(HashMap::from([(NO_WAY_OUT.to_owned(), "false".to_owned())])),
            labels: Some(containers.labels.to_map()),
            ..NetworkCreateRequest::default()
        };
        let engine = containers.engine.clone();
        let made = engine.docker.create_network(request).await;
        made.map_err(called("make a network"))?;
        Ok(Self {
            engine,
            name: name.to_owned(),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where a container is on it.
    pub(super) async fn address_of(&self, container: &str) -> Result<IpAddr, EngineError> {
        let found = self.engine.docker.inspect_container(container, None).await;
        let found = found.map_err(called("inspect a container"))?;
        let networks = found
            .network_settings
            .and_then(|settings| settings.networks);
        let ours = networks.and_then(|mut networks| networks.remove(&self.name));
        let address = ours.and_then(|ours| ours.ip_address);
        let parsed = address.as_deref().and_then(parsed);
        parsed.ok_or_else(|| EngineError::Refused {
            what: "give a container an address".to_owned(),
            why: format!("it is not on the network `{}`", self.name),
        })
    }

    /// Takes a container off it, as if its cable were pulled.
    pub(super) async fn disconnect(&self, container: &str) -> Result<(), EngineError> {
        let request = NetworkDisconnectRequest {
            container: container.to_owned(),
            force: Some(true),
        };
        let done = self.engine.docker.disconnect_network(&self.name, request);
        done.await.map_err(called("disconnect a container"))
    }

    pub(super) async fn connect(&self, container: &str, alias: &str) -> Result<(), EngineError> {
        let known_as = EndpointSettings {
            aliases: Some(vec![alias.to_owned()]),
            ..EndpointSettings::default()
        };
        let request = NetworkConnectRequest {
            container: container.to_owned(),
            endpoint_config: Some(known_as),
        };
        let done = self.engine.docker.connect_network(&self.name, request);
        done.await.map_err(called("connect a container"))
    }

    /// Everything on it must have gone.
    pub(super) async fn remove(self) -> Result<(), EngineError> {
        let removed = self.engine.docker.remove_network(&self.name).await;
        removed.map_err(called("remove a network"))
    }
}
