//! The folder a scenario plays in: nanokimi's root, its configuration, and our own files.

use std::path::{Path, PathBuf};

use fs_err as fs;
use serde_json::{Map, Value};
use tempfile::TempDir;

use super::StageError;
use super::binaries::Binaries;
use super::kimi;
use crate::scenario::Scenario;

/// The key of the mocked model; never to be seen in any output.
pub(crate) const MODEL_KEY: &str = "sk-or-scripted-5eed";

/// A folder that goes away with its owner, unless it is kept.
#[derive(Debug)]
pub(crate) struct Folder {
    /// Above nanokimi's root, so that our sockets are not in it.
    above: TempDir,
    root: PathBuf,
}

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
        Ok(Self { above, root })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.root.with_file_name("home")
    }

    /// Who vouches for the mock's media host.
    pub(crate) fn media_authority(&self) -> PathBuf {
        self.root.with_file_name("media-authority.pem")
    }

    /// A path for a socket, a new one for each `number`.
    pub(crate) fn socket(&self, number: usize) -> PathBuf {
        self.root.with_file_name(format!("notify-{number}"))
    }

    /// Leaves everything for a person to look at.
    pub(crate) fn keep(mut self) -> PathBuf {
        self.above.disable_cleanup(true);
        self.root
    }

    /// Writes the configuration, then the files of the scenario, which may replace it.
    pub(crate) fn furnish(
        &self,
        scenario: &Scenario,
        settings: &Map<String, Value>,
        mock_url: &str,
    ) -> Result<(), StageError> {
        let text = toml::to_string(settings).map_err(StageError::Settings)?;
        self.write("nanokimi.toml", &text)?;
        let key = match scenario.needs_kimi() {
            true => "MOONSHOT_API_KEY",
            false => "OPENROUTER_API_KEY",
        };
        match &scenario.file.kimi_login {
            Some(login) => {
                for (path, content) in kimi::left_behind(login, mock_url)? {
                    self.write(&path, &content)?;
                }
            }
            None => self.write(".env", &format!("{key}={MODEL_KEY}\n"))?,
        }
        for (path, content) in &scenario.file.files {
            self.write(path, content)?;
        }
        Ok(())
    }

    /// Our settings of nanokimi; the scenario's come on top.
    pub(crate) fn settings(
        &self,
        scenario: &Scenario,
        binaries: &Binaries,
        mock_url: &str,
    ) -> Map<String, Value> {
        let zone = scenario.file.clock.tz.as_deref().map_or("UTC", |zone| zone);
        let settings = [
            ("time_zone", zone),
            ("http_listen", "127.0.0.1:0"),
            ("agent_runtime", "host"),
            ("agent_runner", &binaries.agent_runner.to_string_lossy()),
            ("llm_base_url", &format!("{mock_url}/api/v1")),
            ("llm_model", "scripted/kimi"),
        ];
        let settings = settings.map(|(key, value)| (key.to_owned(), value.into()));
        let mut settings: Map<_, _> = settings.into_iter().collect();
        let cli = binaries.kimi.as_deref();
        if let Some(cli) = cli.filter(|_there| scenario.needs_kimi()) {
            settings.extend(kimi::settings(cli, mock_url));
        }
        settings
    }

    fn write(&self, path: &str, content: &str) -> Result<(), StageError> {
        let path = self.root.join(path);
        if let Some(above) = path.parent() {
            fs::create_dir_all(above).map_err(StageError::Folder)?;
        }
        fs::write(path, content).map_err(StageError::Folder)
    }
}
