//! What an agent's container looks like, as data: mounts, environment, limits, labels.
//!
//! Nothing is asked or made here. No secret stands in it: whoever may ask the engine sees it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use agent_protocol::door::DOOR_FOLDER;
use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountBindOptions,
    MountTmpfsOptions, MountType, ResourcesUlimits,
};

use super::boxes::{Boxes, Facts, GROUP, INSTALL, RUN};
use super::ownership::User;
use crate::agent::door::Door;
use crate::agent::home::{Home, KEPT_OF_HOME, KIMI_HOME, KIMI_SETTINGS};
use crate::config::{AgentNetwork, Config};
use crate::ids::{GroupFolder, RunId};
use crate::mounts::{EXTRA_DIR, Granted};

const GROUP_DIR: &str = "/workspace/group";
const PROJECT_DIR: &str = "/workspace/project";
const GLOBAL_DIR: &str = "/workspace/global";
const IPC_DIR: &str = "/workspace/ipc";
const CREDENTIALS_DIR: &str = "/workspace/env-dir";
const LOGIN_DIR: &str = "/workspace/credentials";
const HOME: &str = "/home/node";
/// What is written elsewhere is gone afterwards, and counts as memory meanwhile.
const SCRATCH: &str = "rw,exec,nosuid,nodev,mode=1777";

/// A name that no other container has.
pub(in crate::agent) fn new_name(group: &GroupFolder) -> String {
    format!("nanokimi-{group}-{:08x}", rand::random::<u32>())
}

/// A container to be made.
#[derive(Clone, Debug)]
pub(in crate::agent) struct Plan {
    pub(super) name: String,
    pub(super) body: ContainerCreateBody,
}

/// What a plan is made from.
#[derive(Clone, Copy, Debug)]
pub(in crate::agent) struct Surroundings<'a> {
    pub(in crate::agent) root: &'a Path,
    pub(in crate::agent) config: &'a Config,
    pub(in crate::agent) home: &'a Home,
    pub(in crate::agent) name: &'a str,
    pub(in crate::agent) run: &'a RunId,
    pub(in crate::agent) boxes: &'a Boxes,
    pub(in crate::agent) facts: Facts,
    pub(in crate::agent) user: User,
    /// Of the root folder, if the agent sees it.
    pub(in crate::agent) masks: &'a [Mask],
    /// What of the machine it sees besides.
    pub(in crate::agent) extra: &'a [Granted],
    /// Open, and with a way out where the box has no network.
    pub(in crate::agent) door: &'a Door,
}

impl Plan {
    pub(in crate::agent) fn new(around: &Surroundings<'_>) -> Self {
        let container = &around.config.container;
        let user = around.user.in_words();
        let body = ContainerCreateBody {
            image: Some(container.image.clone()),
            user: Some(user),
            working_dir: Some(GROUP_DIR.to_owned()),
            env: Some(around.environment()),
            labels: Some(around.labels()),
            open_stdin: Some(true),
            stdin_once: Some(true),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            host_config: Some(around.host_config()),
            ..ContainerCreateBody::default()
        };
        Self {
            name: around.name.to_owned(),
            body,
        }
    }
}

impl Surroundings<'_> {
    fn environment(&self) -> Vec<String> {
        let mut environment: Vec<(&str, OsString)> = vec![
            ("HOME", HOME.into()),
            ("NANOKIMI_GROUP_DIR", GROUP_DIR.into()),
            ("NANOKIMI_IPC_DIR", IPC_DIR.into()),
            (
                "NANOKIMI_CREDENTIALS",
                format!("{CREDENTIALS_DIR}/env").into(),
            ),
            ("NANOKIMI_KIMI_LOGIN", LOGIN_DIR.into()),
        ];
        environment.push(if self.home.is_main {
            ("NANOKIMI_PROJECT_DIR", PROJECT_DIR.into())
        } else {
            ("NANOKIMI_GLOBAL_DIR", GLOBAL_DIR.into())
        });
        if !self.extra.is_empty() {
            environment.push(("NANOKIMI_EXTRA_DIR", EXTRA_DIR.into()));
        }
        environment.extend(self.config.agent_environment());
        let door = self.door.environment();
        environment.extend(door.map(|(name, value)| (name, value.into())));
        environment
            .into_iter()
            .map(|(name, value)| format!("{name}={}", value.to_string_lossy()))
            .collect()
    }

    fn labels(&self) -> HashMap<String, String> {
        let labels = [
            (INSTALL, self.boxes.install()),
            (GROUP, self.home.folder.as_str()),
            (RUN, self.run.as_str()),
        ];
        labels
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    fn host_config(&self) -> HostConfig {
        let container = &self.config.container;
        let scratch = ["/tmp", HOME].map(|at| (at.to_owned(), SCRATCH.to_owned()));
        HostConfig {
            mounts: Some(self.mounts()),
            tmpfs: Some(scratch.into()),
            readonly_rootfs: Some(true),
            init: Some(true),
            network_mode: Some(container.network.mode().to_owned()),
            memory: Some(container.memory),
            // As much as without swap: what is over the limit is over.
            memory_swap: Some(container.memory),
            nano_cpus: Some(container.nano_cpus.min(self.facts.nano_cpus)),
            pids_limit: Some(container.pids),
            extra_hosts: Some(self.door.extra_hosts()),
            sysctls: self.ports(),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            userns_mode: self.facts.remaps_users.then(|| "host".to_owned()),
            // A core holds what its process knew.
            ulimits: Some(vec![ResourcesUlimits {
                name: Some("core".to_owned()),
                soft: Some(0),
                hard: Some(0),
            }]),
            // The run log has it all, and the engine's would have it without a bound.
            log_config: Some(HostConfigLogConfig {
                typ: Some("none".to_owned()),
                config: None,
            }),
            ..HostConfig::default()
        }
    }

    /// Without a network of its own it stands in for its model's host, at that host's port.
    fn ports(&self) -> Option<HashMap<String, String>> {
        let least = "net.ipv4.ip_unprivileged_port_start";
        match self.config.container.network {
            AgentNetwork::Door => Some(HashMap::from([(least.to_owned(), "0".to_owned())])),
            AgentNetwork::Named(_) => None,
        }
    }

    fn mounts(&self) -> Vec<Mount> {
        let home = self.home;
        let mut mounts = vec![
            self.bind(&home.group, GROUP_DIR, Access::Write),
            self.bind(&home.ipc, IPC_DIR, Access::Write),
            self.bind(self.door.folder(), DOOR_FOLDER, Access::Read),
        ];
        if let Some(folder) = home.credentials.parent() {
            mounts.push(self.bind(folder, CREDENTIALS_DIR, Access::Read));
        }
        for kept in KEPT_OF_HOME {
            let inside = format!("{HOME}/{kept}");
            mounts.push(self.bind(&home.home.join(kept), &inside, Access::Write));
        }
        if home.is_logged_in {
            // Its tokens are renewed in place, by renaming within their folders.
            mounts.push(self.bind(&home.login, LOGIN_DIR, Access::Write));
            // Its settings are for all groups, and no agent's to change.
            let settings = home.login.join(KIMI_SETTINGS);
            for folder in [LOGIN_DIR.to_owned(), format!("{HOME}/{KIMI_HOME}")] {
                let inside = format!("{folder}/{KIMI_SETTINGS}");
                mounts.push(self.bind(&settings, &inside, Access::Read));
            }
        }
        if home.is_main {
            mounts.push(self.bind(self.root, PROJECT_DIR, Access::Read));
            mounts.extend(self.masks.iter().map(mask));
        } else {
            mounts.push(self.bind(&home.global, GLOBAL_DIR, Access::Read));
        }
        mounts.extend(self.extra.iter().map(|given| {
            let access = if given.writable {
                Access::Write
            } else {
                Access::Read
            };
            let inside = format!("{EXTRA_DIR}/{}", given.name);
            self.bind(&given.path, &inside, access)
        }));
        mounts
    }

    fn bind(&self, ours: &Path, inside: &str, access: Access) -> Mount {
        Mount {
            typ: Some(MountType::BIND),
            source: Some(self.on_the_host(ours).to_string_lossy().into_owned()),
            target: Some(inside.to_owned()),
            read_only: Some(access == Access::Read),
            // What is mounted below it would come with it, and on older engines and kernels be
            // writable: then it is not there at all. An engine of an ordinary user cannot leave it
            // away: the kernel lets nobody look under mounts that somebody else has made.
            bind_options: (access == Access::Read && !self.facts.is_rootless).then(|| {
                MountBindOptions {
                    non_recursive: Some(true),
                    ..MountBindOptions::default()
                }
            }),
            ..Mount::default()
        }
    }

    /// A path of ours by the name that the engine's machine knows it by.
    fn on_the_host(&self, ours: &Path) -> PathBuf {
        match ours.strip_prefix(self.root) {
            // Joined with nothing it would end in a slash.
            Ok(below) if below.as_os_str().is_empty() => self.config.container.host_root.clone(),
            Ok(below) => self.config.container.host_root.join(below),
            Err(_elsewhere) => ours.to_owned(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

/// Something of the root folder that an agent must not see even if it may read the rest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::agent) struct Mask {
    /// Below the root folder.
    pub(in crate::agent) path: PathBuf,
    pub(in crate::agent) is_folder: bool,
}

/// Puts emptiness over it.
fn mask(mask: &Mask) -> Mount {
    let target = Some(format!("{PROJECT_DIR}/{}", mask.path.display()));
    if mask.is_folder {
        return Mount {
            typ: Some(MountType::TMPFS),
            target,
            read_only: Some(true),
            tmpfs_options: Some(MountTmpfsOptions {
                size_bytes: Some(4096),
                mode: Some(0o555),
                options: None,
            }),
            ..Mount::default()
        };
    }
    Mount {
        typ: Some(MountType::BIND),
        source: Some("/dev/null".to_owned()),
        target,
        read_only: Some(true),
        ..Mount::default()
    }
}

#[cfg(test)]
mod tests;
