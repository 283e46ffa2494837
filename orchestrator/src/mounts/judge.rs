//! Judging mounts without being kept waiting by the disk: whatever hangs there, the house goes on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::allowlist::{Allowlist, AllowlistError, Ground, read};
use super::asked::{AskedMount, GroupMount};
use super::granted::{Granted, Refusal, grant};
use crate::config::{AgentRuntime, Config};

/// How long the disk may take, for the list and for each mount.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why nothing at all is mounted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoneGranted {
    #[error("host_root is set, and of other paths of the engine's machine nanokimi sees nothing")]
    HostRoot,
    #[error(
        "docker_host is `{0}`, and a path looked at here may be another thing on the engine's machine; only with an engine at a socket of this machine, as unix:///path, is anything mounted"
    )]
    EngineElsewhere(String),
    #[error(transparent)]
    Allowlist(#[from] AllowlistError),
    #[error(
        "the list of what may be mounted, or a root of it, was not read in {0:?}; see whether the disks that hold them answer"
    )]
    Slow(Duration),
}

/// Who judges, by the list as it is now and by what agents of any group may write to.
#[derive(Debug)]
pub(crate) struct Judge {
    here: Arc<(Allowlist, Ground)>,
    writable: Vec<PathBuf>,
}

impl Ground {
    /// There is none where an engine would take a path for something else than what we see there.
    pub(crate) fn of(root: &Path, config: &Config) -> Result<Self, NoneGranted> {
        let container = &config.container;
        match config.agent_runtime {
            AgentRuntime::Docker if container.host_root != root => {
                return Err(NoneGranted::HostRoot);
            }
            AgentRuntime::Docker if !container.engine.starts_with("unix://") => {
                return Err(NoneGranted::EngineElsewhere(container.engine.clone()));
            }
            AgentRuntime::Docker | AgentRuntime::Host => {}
        }
        Ok(Self {
            root: root.to_owned(),
            home: container.mounts.home.clone(),
            list: container.mounts.list.clone(),
        })
    }
}

impl Judge {
    /// Reads the list, and looks at what groups have that their agents may write to.
    pub(crate) async fn new(ground: Ground, kept: &[GroupMount]) -> Result<Self, NoneGranted> {
        let deadline = Instant::now() + PATIENCE;
        let reading = aside(move || read(&ground).map(|list| (list, ground)));
        let found = within(deadline, reading).await;
        let mut judge = Self {
            here: Arc::new(found.ok_or(NoneGranted::Slow(PATIENCE))??),
            writable: Vec::new(),
        };
        let looks: Vec<Look> = kept
            .iter()
            .map(|kept| judge.look(kept.is_main, &kept.asked))
            .collect();
        for (kept, look) in kept.iter().zip(looks) {
            match look.end().await {
                Ok(granted) if granted.writable => judge.writable.push(granted.path),
                // It is not known, and an agent that runs may have it.
                Err(Refusal::Slow(..)) if kept.asked.writable => {
                    let home = judge.here.1.home.as_deref();
                    let path = kept.asked.path.below(home);
                    judge.writable.extend(path);
                }
                Ok(_) | Err(_) => {}
            }
        }
        Ok(judge)
    }

    /// Whether a group's agents are to see something, and how.
    pub(crate) async fn judge(
        &self,
        is_main: bool,
        asked: &AskedMount,
    ) -> Result<Granted, Refusal> {
        let granted = self.look(is_main, asked).end().await?;
        granted.unless_below(&self.writable)
    }

    /// The same for each of several, none of which waits for another.
    pub(crate) async fn judge_all(
        &self,
        is_main: bool,
        asked: &[AskedMount],
    ) -> Vec<Result<Granted, Refusal>> {
        let looks: Vec<Look> = asked
            .iter()
            .map(|asked| self.look(is_main, asked))
            .collect();
        let mut judged = Vec::new();
        for look in looks {
            let granted = look.end().await;
            judged.push(granted.and_then(|granted| granted.unless_below(&self.writable)));
        }
        judged
    }

    fn look(&self, is_main: bool, asked: &AskedMount) -> Look {
        let (here, mount) = (Arc::clone(&self.here), asked.clone());
        Look {
            path: asked.path.as_str().to_owned(),
            deadline: Instant::now() + PATIENCE,
            looking: aside(move || grant(&mount, is_main, (&here.0, &here.1))),
        }
    }
}

/// A look at the disk that has begun.
struct Look {
    path: String,
    deadline: Instant,
    looking: oneshot::Receiver<Result<Granted, Refusal>>,
}

impl Look {
    async fn end(self) -> Result<Granted, Refusal> {
        match within(self.deadline, self.looking).await {
            Some(judged) => judged,
            None => Err(Refusal::Slow(self.path, PATIENCE)),
        }
    }
}

/// Looks at the disk on a thread that nobody needs to wait for: it cannot be called back, and for
/// one of its own the runtime would wait when it ends.
fn aside<T: Send + 'static>(look: impl FnOnce() -> T + Send + 'static) -> oneshot::Receiver<T> {
    let (tell, told) = oneshot::channel();
    let begun = thread::Builder::new()
        .name("mounts".to_owned())
        .spawn(move || {
            if tell.send(look()).is_err() {
                tracing::debug!("the disk has answered when nobody waited any more");
            }
        });
    if let Err(error) = begun {
        tracing::warn!(%error, "no thread can be begun to look at what may be mounted");
    }
    told
}

/// Waits for what looks at the disk; none if that takes too long, or fails.
async fn within<T>(deadline: Instant, looking: oneshot::Receiver<T>) -> Option<T> {
    match timeout_at(deadline, looking).await {
        Ok(Ok(found)) => Some(found),
        Ok(Err(_)) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_disk_that_does_not_answer_keeps_nobody_waiting() {
        let (answer, unanswered) = mpsc::channel::<()>();
        let looking = aside(move || unanswered.recv().is_ok());
        let soon = Instant::now() + Duration::from_millis(10);
        assert_eq!(within(soon, looking).await, None);
        answer.send(()).unwrap();
        let looking = aside(|| 7);
        assert_eq!(within(Instant::now() + PATIENCE, looking).await, Some(7));
    }

    #[track_caller]
    fn check_ground(settings: &str, refused: Option<&str>) {
        let root = tempfile::tempdir().unwrap();
        fs_err::write(root.path().join("nanokimi.toml"), settings).unwrap();
        let config = Config::load(root.path(), &[].into()).unwrap();
        match (Ground::of(root.path(), &config), refused) {
            (Ok(ground), None) => assert_eq!(ground.root, root.path()),
            (Err(error), Some(says)) => {
                assert!(error.to_string().contains(says), "{settings}: {error}");
            }
            (found, expected) => panic!("{settings}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn nothing_is_mounted_where_the_engine_sees_another_disk() {
        let docker = "agent_runtime = \"docker\"\n";
        check_ground(docker, None);
        let elsewhere = "docker_host = \"tcp://127.0.0.1:2375\"\n";
        check_ground(
            &format!("{docker}{elsewhere}"),
            Some("docker_host is `tcp://127.0.0.1:2375`"),
        );
        let host_root = "host_root = \"/srv/kimi\"\n";
        check_ground(&format!("{docker}{host_root}"), Some("host_root is set"));
        // No engine is told anything.
        let host = "agent_runtime = \"host\"\nagent_runner = \"/bin/true\"\n";
        check_ground(&format!("{host}{elsewhere}{host_root}"), None);
    }
}
