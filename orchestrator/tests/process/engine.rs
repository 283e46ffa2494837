//! A container engine for tests: the real one, and an agent image whose agent is a script.
//!
//! Where no engine answers, tests that need one say so and pass; with `REQUIRE_DOCKER=1` they
//! fail. Images are made from what `container/base` names, which `ci/docker` sees to.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::geteuid;

use crate::stage::Stage;

/// What an agent in it does stands in `agent`, in the folder of its group.
pub(crate) const IMAGE: &str = "nanokimi-test-agent:1";
const DOCKERFILE: &str = "ARG BASE
FROM ${BASE}
RUN mkdir -p /workspace/group
WORKDIR /workspace/group
ENTRYPOINT [\"bash\", \"/workspace/group/agent\"]
";

/// Between two looks at what an agent has left.
const LOOK: Duration = Duration::from_millis(20);

/// Where the engine is: where the `docker` of these tests finds it too.
pub(crate) fn address() -> String {
    let default = "unix:///var/run/docker.sock";
    std::env::var_os("DOCKER_HOST").map_or(default.into(), |host| host.into_string().unwrap())
}

pub(crate) fn docker(arguments: &[&str]) -> Output {
    let mut docker = Command::new("docker");
    docker.args(arguments).stdin(Stdio::null());
    docker.output().unwrap()
}

/// What docker prints, trimmed; it must have succeeded.
#[track_caller]
pub(crate) fn said(arguments: &[&str]) -> String {
    let output = docker(arguments);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {arguments:?}: {complaint}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Looks until it is so: neither engine nor agent tells us when.
#[track_caller]
pub(crate) fn until(what: &str, is_so: impl FnMut() -> bool) {
    within(crate::stage::PATIENCE, what, is_so);
}

/// The same with a patience of its own.
#[track_caller]
pub(crate) fn within(patience: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + patience;
    while !is_so() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::park_timeout(LOOK);
    }
}

/// Whether there is an engine to test with; says what is missing, once.
pub(crate) fn is_there() -> bool {
    static READY: OnceLock<Result<(), String>> = OnceLock::new();
    let ready = READY.get_or_init(prepare);
    if let Err(missing) = ready {
        let demanded = std::env::var_os("REQUIRE_DOCKER").is_some_and(|value| value == "1");
        assert!(!demanded, "REQUIRE_DOCKER=1, but {missing}");
        let mut stderr = std::io::stderr();
        writeln!(stderr, "NOT RUN: {missing}; `ci/docker` makes it ready").unwrap();
    }
    ready.is_ok()
}

fn prepare() -> Result<(), String> {
    let asked = Command::new("docker").arg("info").output();
    if !asked.is_ok_and(|asked| asked.status.success()) {
        return Err("no container engine answers".to_owned());
    }
    if docker(&["image", "inspect", IMAGE]).status.success() {
        return Ok(());
    }
    build(IMAGE, DOCKERFILE, &[])
}

/// Makes an image of some files, whose Dockerfile begins with the `BASE` that it is given. What was
/// called that before is gone afterwards.
pub(crate) fn build(tag: &str, dockerfile: &str, files: &[&str]) -> Result<(), String> {
    // An image that another test is about to name would be taken for one that has lost its name.
    let name = format!("nanokimi-test-images-{}.lock", geteuid().as_raw());
    let lock = std::env::temp_dir().join(name);
    let lock = fs_err::File::create(lock).unwrap();
    lock.file().lock().unwrap();
    let context = tempfile::tempdir().unwrap();
    fs_err::write(context.path().join("Dockerfile"), dockerfile).unwrap();
    for file in files.iter().map(Path::new) {
        fs_err::copy(file, context.path().join(file.file_name().unwrap())).unwrap();
    }
    let label = format!("nanokimi.test={tag}");
    let built = Command::new("docker")
        .args(["build", "--quiet", "--tag", tag, "--label", &label])
        .args(["--build-arg", &format!("BASE={}", base())])
        .arg(context.path())
        // The one that needs no plugin.
        .env("DOCKER_BUILDKIT", "0")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    if !built.status.success() {
        let complaint = String::from_utf8_lossy(&built.stderr);
        return Err(format!("{tag} cannot be made: {}", complaint.trim()));
    }
    let of_old = format!("label={label}");
    docker(&["image", "prune", "--force", "--filter", &of_old]);
    Ok(())
}

/// The image that programs built here start in.
fn base() -> String {
    let says = concat!(env!("CARGO_MANIFEST_DIR"), "/../container/base");
    let said = Command::new(says).output().unwrap();
    String::from_utf8_lossy(&said.stdout).trim().to_owned()
}

/// An installation on the engine. What is left of it on the engine goes with it.
pub(crate) struct Boxed {
    pub(crate) stage: Stage,
}

impl Boxed {
    /// One whose agents are this script, in the group `ada`; with further settings.
    pub(crate) fn new(script: &str, settings: &str) -> Self {
        let stage = Stage::new();
        stage.write("groups/ada/agent", script);
        let engine = if settings.contains("docker_host") {
            String::new()
        } else {
            format!("docker_host = \"{}\"\n", address())
        };
        stage.write(".env", "OPENROUTER_API_KEY=sk-very-secret\n");
        stage.write(
            "nanokimi.toml",
            &format!(
                "agent_runtime = \"docker\"\nagent_image = \"{IMAGE}\"\n\
                 http_listen = \"127.0.0.1:0\"\n{engine}{settings}"
            ),
        );
        Self { stage }
    }

    /// Has its agents made from another image.
    pub(crate) fn use_image(&self, image: &str) {
        let file = self.stage.root.path().join("nanokimi.toml");
        let text = fs_err::read_to_string(&file).unwrap();
        fs_err::write(file, text.replace(IMAGE, image)).unwrap();
    }

    /// By which its containers are known; none if it has never started.
    fn known_label(&self) -> Option<String> {
        let file = self.stage.root.path().join("data/install-id");
        match fs_err::read_to_string(file) {
            Ok(text) => Some(format!("nanokimi.install={}", text.split(' ').next()?)),
            Err(_) => None,
        }
    }

    /// The same of one that has started.
    pub(crate) fn label(&self) -> String {
        self.known_label().unwrap()
    }

    /// The ids of its containers, running or not.
    pub(crate) fn containers(&self) -> Vec<String> {
        let Some(label) = self.known_label() else {
            return Vec::new();
        };
        let label = format!("label={label}");
        let ids = said(&["ps", "--all", "--quiet", "--filter", &label]);
        ids.lines().map(ToOwned::to_owned).collect()
    }

    /// Says that the agent may go on.
    pub(crate) fn go(&self) {
        self.stage.write("groups/ada/go", "");
    }

    /// Waits until the agent has left this file in its folder; its text.
    pub(crate) fn left(&self, name: &str) -> String {
        let file = self.stage.root.path().join("groups/ada").join(name);
        let mut text = String::new();
        until(&format!("{name} is left"), || {
            if let Ok(found) = fs_err::read_to_string(&file) {
                text = found;
            }
            text.ends_with('\n')
        });
        text
    }
}

impl Drop for Boxed {
    fn drop(&mut self) {
        for id in self.containers() {
            docker(&["rm", "--force", &id]);
        }
    }
}
