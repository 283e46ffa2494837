//! The folder a scenario plays in: nanokimi's root, its configuration, and our own files.

use std::os::unix::fs::lchown;
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::process::geteuid;
use serde_json::{Map, Value};
use tempfile::TempDir;

use super::{Means, StageError, compound, kimi};
use crate::engine::EngineError;
use crate::scenario::{Form, Scenario};

/// The key of the mocked model; never to be seen in any output.
pub(crate) const MODEL_KEY: &str = "sk-or-scripted-5eed";

/// Neither root nor the user of any image.
const ORDINARY: u32 = 1001;

/// A folder that goes away with its owner, unless it is kept.
#[derive(Debug)]
pub(crate) struct Folder {
    /// Above nanokimi's root, so that our sockets are not in it.
    above: TempDir,
    /// Of each machine there was, `first` to begin with.
    roots: Vec<PathBuf>,
    /// Which of them is the one in use.
    current: usize,
}

/// Of nanokimi's own folders, those that are its machine's.
const OF_THE_MACHINE: [&str; 4] = ["data", "groups", "logs", "store"];

/// The one folder of them that an operator takes along.
const DEVICE: &str = "store/auth";

/// nanokimi's setting of its time zone.
pub(super) const ZONE: &str = "time_zone";

/// What the machine is called on which a scenario begins.
const FIRST: &str = "first";

impl Folder {
    pub(crate) fn make() -> Result<Self, StageError> {
        let above = tempfile::Builder::new().prefix("harness-").tempdir();
        let above = above.map_err(StageError::Folder)?;
        // The system may hand out a path with links in it; processes report the real one.
        let real = fs::canonicalize(above.path()).map_err(StageError::Folder)?;
        let root = real.join("root");
        for made in [&root, &real.join("home")] {
            fs::create_dir(made).map_err(StageError::Folder)?;
        }
        Ok(Self {
            above,
            roots: vec![root],
            current: 0,
        })
    }

    /// nanokimi's root on the machine in use.
    pub(crate) fn root(&self) -> &Path {
        &self.roots[self.current]
    }

    /// That of each machine there was; the path of every other begins with that of the first.
    pub(crate) fn roots(&self) -> &[PathBuf] {
        &self.roots
    }

    /// Goes over to another machine, with the keys of the device. Says whether it is a fresh one.
    pub(crate) fn move_to(&mut self, machine: &str) -> Result<bool, StageError> {
        let first = &self.roots[0];
        let root = match machine {
            FIRST => first.clone(),
            other => first.with_file_name(format!("root-{other}")),
        };
        let known = self.roots.iter().position(|known| *known == root);
        let from = self.root().join(DEVICE);
        let to = root.join(DEVICE);
        if from != to && from.exists() {
            let store = root.join("store");
            fs::create_dir_all(store).map_err(StageError::Folder)?;
            fs::rename(from, to).map_err(StageError::Folder)?;
        }
        fs::create_dir_all(&root).map_err(StageError::Folder)?;
        self.current = known.unwrap_or(self.roots.len());
        if known.is_none() {
            self.roots.push(root);
        }
        Ok(known.is_none())
    }

    /// What holds all of it.
    pub(crate) fn above(&self) -> &Path {
        let root = self.root();
        root.parent().map_or(root, |above| above)
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.root().with_file_name("home")
    }

    /// Who vouches for the mock's media host.
    pub(crate) fn media_authority(&self) -> PathBuf {
        self.root().with_file_name("media-authority.pem")
    }

    /// Where nanokimi finds the container engine, if its way there can be cut.
    pub(crate) fn engine(&self) -> PathBuf {
        self.root().with_file_name("engine.sock")
    }

    /// A path for a socket, a new one for each `number`.
    pub(crate) fn socket(&self, number: usize) -> PathBuf {
        self.root().with_file_name(format!("notify-{number}"))
    }

    /// Leaves everything for a person to look at.
    pub(crate) fn keep(mut self) -> PathBuf {
        self.above.disable_cleanup(true);
        self.roots.swap_remove(self.current)
    }

    /// Writes the configuration, then the files of the scenario, which may replace it; on another
    /// machine than the first only those that are not nanokimi's own.
    pub(crate) fn furnish(
        &self,
        scenario: &Scenario,
        settings: &Map<String, Value>,
        mock_url: &str,
    ) -> Result<(), StageError> {
        self.install(scenario, settings, mock_url)?;
        for (path, content) in &scenario.file.files {
            let top = path.split('/').next();
            let is_the_machines = top.is_some_and(|top| OF_THE_MACHINE.contains(&top));
            if self.current == 0 || !is_the_machines {
                Self::write(&self.root().join(path), content)?;
            }
        }
        Ok(())
    }

    /// Settings and logins.
    fn install(
        &self,
        scenario: &Scenario,
        settings: &Map<String, Value>,
        mock_url: &str,
    ) -> Result<(), StageError> {
        self.configure(settings)?;
        let key = match scenario.needs_kimi() {
            true => "MOONSHOT_API_KEY",
            false => "OPENROUTER_API_KEY",
        };
        match &scenario.file.kimi_login {
            Some(login) => {
                let folder = match login.at_home {
                    true => self.home().join(".kimi-code"),
                    false => self.root().join("data/credentials"),
                };
                for (path, content) in kimi::left_behind(login, mock_url)? {
                    Self::write(&folder.join(path), &content)?;
                }
            }
            None => Self::write(&self.root().join(".env"), &format!("{key}={MODEL_KEY}\n"))?,
        }
        Ok(())
    }

    /// Writes the configuration.
    pub(crate) fn configure(&self, settings: &Map<String, Value>) -> Result<(), StageError> {
        let text = toml::to_string(settings).map_err(StageError::Settings)?;
        Self::write(&self.root().join("nanokimi.toml"), &text)
    }

    /// Gives all of it to a user without rights of its own, if it is root's.
    pub(crate) fn give_away(&self) -> Result<(), StageError> {
        match geteuid().is_root() {
            true => give(self.above(), ORDINARY).map_err(StageError::Folder),
            false => Ok(()),
        }
    }

    /// Our settings of nanokimi; the scenario's come on top.
    pub(crate) fn settings(
        &self,
        scenario: &Scenario,
        means: &Means,
        mock_url: &str,
    ) -> Result<Map<String, Value>, StageError> {
        let zone = scenario.file.clock.tz.as_deref().map_or("UTC", |zone| zone);
        let settings = [
            (ZONE, zone),
            ("http_listen", &listening(means)),
            ("llm_base_url", &format!("{mock_url}/api/v1")),
            ("llm_model", "scripted/kimi"),
        ];
        let settings = settings.map(|(key, value)| (key.to_owned(), value.into()));
        let mut settings: Map<_, _> = settings.into_iter().collect();
        if is_at_google(scenario) {
            let place = ("workspace_endpoint".to_owned(), mock_url.into());
            settings.extend([place]);
        }
        settings.extend(runtime(scenario, means)?);
        if scenario.needs_kimi() {
            settings.extend(kimi::settings(mock_url));
        }
        Ok(settings)
    }

    fn write(path: &Path, content: &str) -> Result<(), StageError> {
        if let Some(above) = path.parent() {
            fs::create_dir_all(above).map_err(StageError::Folder)?;
        }
        fs::write(path, content).map_err(StageError::Folder)
    }
}

/// The folder and all that is in it; a link itself, and not what it leads to.
fn give(path: &Path, user: u32) -> std::io::Result<()> {
    lchown(path, Some(user), Some(user))?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), user)?;
        }
    }
    Ok(())
}

/// Whether workspaces are kept in the storage that the mocks stand in for.
fn is_at_google(scenario: &Scenario) -> bool {
    let store = scenario.file.config.get("workspace_store");
    store
        .and_then(Value::as_str)
        .is_some_and(|store| store.starts_with("gs://"))
}

/// The settings that say what an agent is.
fn runtime(scenario: &Scenario, means: &Means) -> Result<Vec<(String, Value)>, StageError> {
    let kimi = scenario.needs_kimi();
    let Some(containers) = means.ground.containers() else {
        let runner = means.binaries.agent_runner.to_string_lossy();
        let cli = means.binaries.kimi.as_deref().filter(|_| kimi);
        let command = cli.map(|cli| ("acp_command", format!("'{}' acp", cli.display())));
        let settings = [
            ("agent_runtime", "host".to_owned()),
            ("agent_runner", runner.into_owned()),
        ];
        let settings = settings.into_iter().chain(command);
        return Ok(settings
            .map(|(key, value)| (key.to_owned(), value.into()))
            .collect());
    };
    let image = containers.images.agent(kimi).map_err(EngineError::from)?;
    Ok(vec![
        ("agent_runtime".to_owned(), "docker".into()),
        ("agent_image".to_owned(), image.into()),
    ])
}

/// A container has its addresses to itself, and what it listens on is published.
fn listening(means: &Means) -> String {
    match means.ground.form() {
        Form::Process | Form::Hybrid => "127.0.0.1:0".to_owned(),
        Form::Docker => compound::api_address(),
    }
}
