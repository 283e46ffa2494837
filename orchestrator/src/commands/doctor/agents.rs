//! What agents run in: the runner's binary, or the engine with its image and its containers.

use std::path::Path;

use rustix::fs::{Access, access};

use super::finding::{Check, Finding};
use super::process::Presence;
use crate::agent::{BoxesError, EngineError, ImageSource, Survey};
use crate::config::{AgentRuntime, Config};

pub(super) async fn agents(root: &Path, config: &Config, presence: Presence) -> Vec<Finding> {
    match config.agent_runtime {
        AgentRuntime::Host => vec![runner(&config.agent_runner)],
        AgentRuntime::Docker => match Survey::of(root, config).await {
            Ok(survey) => vec![
                answers(&survey, config),
                image(&survey, config),
                containers(&survey, presence),
            ],
            Err(error) => vec![engine(&error)],
        },
    }
}

fn answers(survey: &Survey, config: &Config) -> Finding {
    let engine = &config.container.engine;
    if survey.unkept.is_empty() {
        return Finding::ok(Check::Engine, format!("{engine} answers"));
    }
    Finding::warning(
        Check::Engine,
        format!(
            "{engine} answers and does not keep {}",
            survey.unkept.join(", ")
        ),
        "give it the kernel's cgroup controllers for memory, cpu and pids; `docker info` shows what is missing",
    )
}

fn runner(runner: &Path) -> Finding {
    let name = runner.display();
    if !runner.is_file() {
        let cause = format!("agent_runner: `{name}` is not there");
        let way_out =
            "build it with `cargo build -p agent-runner`, or set agent_runner to its path";
        return Finding::broken(Check::Runner, cause, way_out);
    }
    match access(runner, Access::EXEC_OK) {
        Ok(()) => Finding::ok(
            Check::Runner,
            format!("agents run without isolation, by `{name}`"),
        ),
        Err(error) => Finding::broken(
            Check::Runner,
            format!("agent_runner: `{name}` cannot be executed: {error}"),
            format!("`chmod +x {name}`; or the disk is mounted with noexec"),
        ),
    }
}

fn engine(error: &BoxesError) -> Finding {
    let broken = |cause: String, way_out: &str| Finding::broken(Check::Engine, cause, way_out);
    match error {
        BoxesError::Engine(EngineError::Address(address)) => broken(
            format!("docker_host: `{address}` is no engine that can be spoken to"),
            "give its socket as unix:///path, or tcp://host:port",
        ),
        BoxesError::Engine(EngineError::Down(address, _)) => broken(
            format!("the container engine at `{address}` does not answer"),
            "start it, set docker_host to where it is, or choose agent_runtime = \"host\", which runs agents without isolation",
        ),
        BoxesError::Engine(EngineError::Slow(address, patience, _)) => broken(
            format!("the container engine at `{address}` has said nothing for {patience:?}"),
            "see its own log, and start it again",
        ),
        BoxesError::Engine(EngineError::Forbidden(address, _)) => broken(
            format!("the container engine at `{address}` may not be used by this user"),
            "give the user the socket's group, e.g. `usermod -aG docker <user>`, and log in anew",
        ),
        error @ (BoxesError::Engine(_)
        | BoxesError::Install(_)
        | BoxesError::Doors(_)
        | BoxesError::Reach(_)) => broken(crate::chain(error), "see the engine's own log"),
    }
}

fn image(survey: &Survey, config: &Config) -> Finding {
    let image = &config.container.image;
    let missing = format!("agent_image: the image `{image}` is not there");
    match survey.image {
        ImageSource::Present => Finding::ok(Check::Image, format!("`{image}` is there")),
        ImageSource::Registry => Finding::warning(
            Check::Image,
            missing,
            format!("nanokimi pulls it when it starts; `docker pull {image}` shows whether it can"),
        ),
        ImageSource::Nowhere => Finding::broken(
            Check::Image,
            missing,
            "make it with `container/build --profile release`, or set agent_image to one that is there",
        ),
    }
}

fn containers(survey: &Survey, presence: Presence) -> Finding {
    let count = survey.containers.len();
    match presence {
        Presence::Absent if count > 0 => {
            let names = survey.containers.join(" ");
            let cause = format!("agents of a nanokimi that is gone are left behind: {names}");
            let way_out = format!(
                "start nanokimi, which removes them, or remove them with `docker rm -f {names}`"
            );
            Finding::warning(Check::Containers, cause, way_out)
        }
        Presence::Absent => Finding::ok(Check::Containers, "none is left behind"),
        Presence::Running | Presence::Unknown => {
            Finding::ok(Check::Containers, format!("{count} of this installation"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::net::UnixListener;

    use super::super::finding::State;
    use super::*;

    /// Time passes as soon as nothing else happens.
    #[tokio::test(start_paused = true)]
    async fn an_engine_that_takes_connections_and_says_nothing_is_told() {
        let root = tempfile::tempdir().unwrap();
        let socket = root.path().join("engine.sock");
        let _dumb = UnixListener::bind(&socket).unwrap();
        let settings = format!("docker_host = 'unix://{}'\n", socket.display());
        fs_err::write(root.path().join("nanokimi.toml"), settings).unwrap();
        let config = Config::load(root.path(), &BTreeMap::new()).unwrap();

        let found = agents(root.path(), &config, Presence::Absent).await;

        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].state, State::Broken, "{found:?}");
        assert!(
            found[0].cause.ends_with("has said nothing for 5s"),
            "{found:?}"
        );
        let way_out = found[0].way_out.as_deref();
        assert_eq!(way_out, Some("see its own log, and start it again"));
    }
}
