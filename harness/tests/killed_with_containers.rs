//! A harness that is killed leaves nothing in the container engine, whenever it is killed:
//! no container, no network, no volume; and no process. Meanwhile its networks lead nowhere.
//!
//! `HARNESS_KILLS=100` kills it as often as that.

use std::collections::HashMap;
use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::{ListContainersOptions, ListNetworksOptions, ListVolumesOptions};
use harness::{end, left_over};
use tokio::process::{Child, Command};
use tokio::time::{interval, timeout};

/// How often it is killed if nobody says.
const KILLS: u64 = 6;
/// Within the first seconds there is a network, then mocks, then nanokimi, then an agent.
const LONGEST: u64 = 9_000;
/// How long the first thing of a harness may take to be in the engine, and how often is looked.
const START: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(50);
/// Without it what leaves a network takes the machine's own address, and is answered.
const WAY_OUT: &str = "com.docker.network.bridge.enable_ip_masquerade";
/// Its reaper looks until nothing comes any more, on an engine that is busy.
const GRACE: Duration = Duration::from_secs(90);

#[tokio::test]
async fn killed_at_any_moment_a_harness_leaves_nothing_in_the_engine() {
    let docker = match engine().await {
        Ok(docker) => docker,
        Err(error) => {
            let is_wanted = is_set("REQUIRE_DOCKER");
            assert!(!is_wanted, "no container engine answers: {error}");
            let why = "skipped: no container engine answers";
            writeln!(std::io::stderr(), "{why}").unwrap();
            return;
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let kills = std::env::var_os("HARNESS_KILLS");
    let kills = kills.map_or(KILLS, |kills| kills.to_str().unwrap().parse().unwrap());
    let mut dead = Vec::new();
    for number in 0..kills {
        // The same moments in each run, and spread over all of it.
        let moment = Duration::from_millis(number * 2_654_435_761 % LONGEST);
        let form = if number % 3 == 2 { "hybrid" } else { "docker" };
        // Nor is what an earlier one has left taken for what this one has started.
        let place = folder.path().join(number.to_string());
        fs_err::create_dir(&place).unwrap();
        let mut harness = play(form, &place).spawn().unwrap();
        dead.push(harness.id().unwrap());
        // Half of them count from when there is something to leave: it is killed, and not the
        // wish for it.
        if number % 2 == 1 {
            let seen = seen_in_engine(&docker, &mut harness, &place);
            let seen = timeout(START, seen).await.expect("nothing was started");
            assert!(seen.unwrap(), "it ended before anything was started");
        }
        // One that ends before has nothing to leave, if it ended well.
        if let Ok(ended) = timeout(moment, harness.wait()).await {
            let ended: ExitStatus = ended.unwrap();
            assert!(ended.success(), "on {form}, round {number}: {ended}");
        }
        harness.kill().await.unwrap();
    }

    // Everything that was started has our folder in its environment, the reapers too.
    let left = left_over(folder.path(), GRACE).await;
    end(&left);
    assert!(left.is_empty(), "{left:#?}");
    let left = left_in_engine(&docker, &dead, folder.path()).await.unwrap();
    assert!(left.is_empty(), "{left:#?}");
}

/// Looks until something of this harness is in the engine; false if it ended before.
async fn seen_in_engine(
    docker: &Docker,
    harness: &mut Child,
    folder: &Path,
) -> Result<bool, Box<dyn Error>> {
    let mut looks = interval(LOOK);
    while let Some(id) = harness.id() {
        looks.tick().await;
        if !left_in_engine(docker, &[id], folder).await?.is_empty() {
            return Ok(true);
        }
        harness.try_wait()?;
    }
    Ok(false)
}

/// One that answers: there may be a socket with nobody behind it, or none.
async fn engine() -> Result<Docker, bollard::errors::Error> {
    let docker = Docker::connect_with_defaults()?;
    docker.ping().await?;
    Ok(docker)
}

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

fn play(form: &str, folder: &Path) -> Command {
    let mut harness = Command::new(env!("CARGO_BIN_EXE_harness"));
    harness
        .args(["run", "sessions/", "--jobs", "2", "--stage", form])
        .arg("--scenarios")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios"))
        .arg("--traces")
        .arg(folder.join("traces"))
        .env("TMPDIR", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    harness
}

/// What carries the label of one of these processes, or has something below the folder mounted.
async fn left_in_engine(
    docker: &Docker,
    dead: &[u32],
    folder: &Path,
) -> Result<Vec<String>, bollard::errors::Error> {
    let ours = |labels: Option<&HashMap<String, String>>| {
        let run = labels.and_then(|labels| labels.get("harness.run"));
        run.is_some_and(|run| dead.iter().any(|id| run.starts_with(&format!("{id}-"))))
    };
    let all = ListContainersOptions {
        all: true,
        ..ListContainersOptions::default()
    };
    let containers = docker.list_containers(Some(all)).await?.into_iter();
    let containers = containers.filter(|one| {
        let mounts = one.mounts.iter().flatten();
        let mut sources = mounts.filter_map(|mount| mount.source.as_deref());
        ours(one.labels.as_ref()) || sources.any(|it| Path::new(it).starts_with(folder))
    });
    let mut left: Vec<String> = containers.filter_map(|one| one.id).collect();
    let networks = docker.list_networks(None::<ListNetworksOptions>).await?;
    let networks = networks.into_iter().filter(|one| ours(one.labels.as_ref()));
    for network in networks {
        let options = network.options.unwrap_or_default();
        assert_eq!(options.get(WAY_OUT).map(String::as_str), Some("false"));
        left.extend(network.name);
    }
    let volumes = docker.list_volumes(None::<ListVolumesOptions>).await?;
    let volumes = volumes.volumes.unwrap_or_default().into_iter();
    left.extend(
        volumes
            .filter(|one| ours(Some(&one.labels)))
            .map(|one| one.name),
    );
    Ok(left)
}
