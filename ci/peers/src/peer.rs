//! Who is measured, and how each of them is started.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::case::Case;
use crate::scripts;

/// Where its npm package has it.
const WIREMOCK_JAR: &str = "npm/node_modules/wiremock/build/wiremock-standalone-3.13.2.jar";

/// A server that can stand in for a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Axum,
    Ours,
    Llmposter,
    VidaiMock,
    Wiremock,
    Aimock,
    MockLlm,
    WiremockJava,
}

/// Where the programs are.
pub(crate) struct Place {
    ours: Option<PathBuf>,
    peers: PathBuf,
    this: PathBuf,
    pins: bool,
}

impl Place {
    pub(crate) fn new(ours: Option<PathBuf>, peers: PathBuf) -> io::Result<Self> {
        // This program may be pinned itself, and then counts one core where there are two.
        let can_pin = |core| Command::new("taskset").args(["-c", core, "true"]).output();
        let has = |core| can_pin(core).is_ok_and(|pin| pin.status.success());
        Ok(Self {
            // Each server is started in a folder of its own.
            ours: ours.map(std::path::absolute).transpose()?,
            peers: std::path::absolute(peers)?,
            this: std::env::current_exe()?,
            pins: has("0") && has("1"),
        })
    }

    /// Whether a server has the first core to itself.
    pub(crate) fn is_pinned(&self) -> bool {
        self.pins
    }

    pub(crate) fn command(&self, program: &Path) -> Command {
        if !self.pins {
            return Command::new(program);
        }
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(program);
        command
    }

    /// The mock server of this repository.
    pub(crate) fn ours(&self) -> io::Result<Command> {
        let missing = || io::Error::other("say with --ours where it is");
        Ok(self.command(self.ours.as_deref().ok_or_else(missing)?))
    }

    /// A program that `cargo install`, npm or pip has brought.
    pub(crate) fn installed(&self, program: &str) -> io::Result<PathBuf> {
        let path = self.peers.join(program);
        match path.exists() {
            true => Ok(path),
            false => Err(io::Error::other("it is not installed")),
        }
    }

    fn node(&self, program: &str) -> io::Result<Command> {
        let program = self.installed(&format!("npm/node_modules/{program}"))?;
        let mut command = self.command(Path::new("node"));
        command.arg(program);
        Ok(command)
    }
}

impl Peer {
    pub(crate) const ALL: [Self; 8] = [
        Self::Axum,
        Self::Ours,
        Self::Llmposter,
        Self::VidaiMock,
        Self::Wiremock,
        Self::Aimock,
        Self::MockLlm,
        Self::WiremockJava,
    ];

    /// As `--only` knows it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Axum => "axum",
            Self::Ours => "ours",
            Self::Llmposter => "llmposter",
            Self::VidaiMock => "vidaimock",
            Self::Wiremock => "wiremock",
            Self::Aimock => "aimock",
            Self::MockLlm => "mock-llm",
            Self::WiremockJava => "wiremock-java",
        }
    }

    /// Whether it takes a free port and says which; the others must be given one.
    pub(crate) fn tells_its_port(self) -> bool {
        matches!(self, Self::Axum | Self::Ours | Self::Wiremock)
    }

    /// How it is started with the turns of a case, which are written into `folder`.
    pub(crate) fn command(
        self,
        place: &Place,
        folder: &Path,
        case: Case,
        port: u16,
    ) -> io::Result<Command> {
        let port = port.to_string();
        let mut command = match self {
            Self::Axum | Self::Wiremock => place.command(&place.this),
            Self::Ours => place.ours()?,
            Self::Llmposter => place.command(&place.installed("bin/llmposter")?),
            Self::VidaiMock => place.command(&place.installed("bin/vidaimock")?),
            Self::Aimock => place.node("@copilotkit/aimock/dist/cli.js")?,
            Self::MockLlm => place.node("@dwmkerr/mock-llm/dist/main.js")?,
            Self::WiremockJava => {
                let jar = place.installed(WIREMOCK_JAR)?;
                let mut java = place.command(Path::new("java"));
                java.arg("-jar").arg(jar);
                java
            }
        };
        match self {
            Self::Axum => command.arg("floor"),
            Self::Wiremock => command
                .arg("wiremock")
                .arg(scripts::wiremock(folder, case)?),
            Self::Ours => command
                .args(["--port", "0", "--scripts"])
                .arg(scripts::ours(folder, case)?),
            Self::Llmposter => command
                .args(["--port", &port, "--fixtures"])
                .arg(scripts::llmposter(folder, case)?),
            Self::VidaiMock => command
                .args([
                    "--port",
                    &port,
                    "--host",
                    "127.0.0.1",
                    "--mode",
                    "benchmark",
                ])
                .args(["--latency", "0", "--isolated", "--config-dir"])
                .arg(scripts::vidaimock(folder, case)?),
            Self::Aimock => command
                .args(["--port", &port, "--log-level", "silent", "--chunk-size"])
                .args([crate::case::WORD.len().to_string(), "--fixtures".to_owned()])
                .arg(scripts::aimock(folder, case)?),
            Self::MockLlm => command
                .envs([("HOST", "127.0.0.1"), ("PORT", &port)])
                .arg("--config")
                .arg(scripts::mock_llm(folder, case)?),
            Self::WiremockJava => command
                .args(["--port", &port, "--bind-address", "127.0.0.1"])
                .args(["--disable-banner", "--root-dir"])
                .arg(scripts::wiremock_java(folder, case)?),
        };
        command.current_dir(folder);
        Ok(command)
    }
}
