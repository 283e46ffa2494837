//! The place a scenario plays in: its mocks, and nanokimi, as processes or in containers.
//!
//! Knows how to start, stop, ask and read; knows nothing of steps and judges nothing.

mod binaries;
mod compound;
mod folder;
mod ground;
mod kimi;
mod mock;
mod mocks;
mod paired;
mod wire;
mod guard;
mod process;
mod program;
mod running;
mod output;
mod background;
mod boxes;
mod relay;
mod ready;
mod http;
mod api;
mod sse;
mod telling;
mod events;
mod clock;
mod lock;
mod machine;
mod states;
mod leaks;
mod error;

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use mock_server::Journal;
use serde_json::{Map, Value};
use tokio::task::JoinSet;

use crate::engine::Found;
use crate::scenario::{Chat, How, Moment, Scenario};

pub use binaries::{Binaries, BinariesError};
pub use ground::Ground;
pub(crate) use guard::{GUARD, become_guarded};
pub(crate) use process::Ended;

pub(crate) use api::{Answer, Api, Moved, Question};
pub(crate) use boxes::Befallen;
pub(crate) use clock::TO_REST;
pub(crate) use error::StageError;
pub use leaks::{Leak, end, left_over};
pub(crate) use mock::{Chronicle, Mock, MockError};
pub use paired::PairedError;
pub(crate) use paired::{ACCOUNT, DEVICE_STORE, PAIRED};
pub(crate) use running::Started;
pub(crate) use states::{files, select};
pub(crate) use wire::Connecting;

use compound::Compound;
use folder::{Folder, MODEL_KEY};
use lock::StoreLock;
use program::Program;
use relay::Relay;
use running::{Running, Starting};
use wire::Cast;

/// One particular of an entry in the journal.
pub(crate) type Field = (&'static str, Value);

/// The output of a command.
#[derive(Debug)]
pub(crate) struct Printed {
    pub(crate) ended: Option<Ended>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// What a stage is made with.
#[derive(Clone, Debug)]
pub struct Means {
    pub binaries: Binaries,
    /// All that nanokimi sees of our environment, e.g. `PATH`.
    pub environment: Vec<(String, String)>,
    /// Where stores are kept that scenarios begin with.
    pub fixtures: PathBuf,
    /// The form of the stage.
    pub ground: Ground,
    /// How many scenarios share a processor: whatever is waited for takes so many times longer.
    pub crowding: NonZeroU32,
}

impl Means {
    /// As long as that takes here which takes `usual` among processes that have a processor.
    pub(crate) fn leisurely(&self, usual: Duration) -> Duration {
        self.ground.form().leisurely(usual) * self.crowding.get()
    }
}

/// Mocks, a folder, and nanokimi when it runs.
#[derive(Debug)]
pub(crate) struct Stage {
    folder: Folder,
    /// What nanokimi is told on each machine.
    settings: Map<String, Value>,
    means: Means,
    mock: Mock,
    /// What of it is in containers, where mocks and nanokimi are.
    compound: Option<Box<Compound>>,
    running: Option<Running>,
    /// nanokimi on its way to be ready.
    starting: Option<Starting>,
    /// nanokimi's way to the engine, where a story cuts it.
    relay: Option<Relay>,
    /// A command that runs while the story goes on.
    background: Option<Program>,
    /// Keeps nanokimi from writing to its store.
    lock: Option<StoreLock>,
    /// Whom the story knows on WhatsApp, if it has to do with it.
    cast: Option<Cast>,
    /// Whether it is linked with the build of nanokimi that is made for that.
    pairs: bool,
    /// What must stand in no log.
    secrets: Vec<String>,
    /// What nanokimi has printed while it served, up to its last end.
    printed: String,
    /// The folders of groups that are not called as their chats are.
    folders: HashMap<String, String>,
    /// Messages whose answers nobody waits for.
    open: JoinSet<()>,
    starts: usize,
    /// Where the frozen clock stands.
    now: Timestamp,
}

/// What must stand in no log from the start.
fn secrets(scenario: &Scenario) -> Vec<String> {
    let login = scenario.file.kimi_login.as_ref();
    let tokens = login.map(|login| [login.access.clone(), login.refresh.clone()]);
    let key = MODEL_KEY.to_owned();
    tokens.into_iter().flatten().chain([key]).collect()
}

fn folders(scenario: &Scenario) -> HashMap<String, String> {
    let chats = scenario.file.chats.iter();
    let named = chats.filter_map(|(name, chat)| Some((name, chat.as_ref()?.folder.as_ref()?)));
    named
        .map(|(name, folder)| (name.clone(), folder.clone()))
        .collect()
}

impl Stage {
    /// Starts the mocks and makes the folder; nanokimi is started by [`Stage::start`].
    pub(crate) async fn set(
        scenario: &Scenario,
        means: &Means,
        seed: u64,
    ) -> Result<Self, StageError> {
        let linking = scenario.linking();
        let folder = Folder::make()?;
        let (mock, compound) = mocks::start(scenario, means, seed, &folder).await?;
        let secrets = secrets(scenario);
        for secret in &secrets {
            mock.hide(secret).await?;
        }
        mock.clock_moved(scenario.file.clock.start).await?;
        // After the clock: tokens that a script hands out are valid from then on.
        for script in &scenario.scripts {
            mock.add(script).await?;
        }
        mock.stage_storage(&scenario.file.storage).await?;
        let mut settings = folder.settings(scenario, means, mock.url())?;
        let relay = relay::to_engine(scenario, means, &folder)?;
        settings.extend(relay.iter().map(Relay::setting));
        let cast = match linking {
            Some(linking) => {
                let paired = means.fixtures.join(PAIRED);
                wire::prepare(&mock, linking, (&folder, &paired)).await?;
                settings.extend(wire::settings(&mock, &folder).await?);
                Some(wire::cast(&mock, &scenario.file.chats).await?)
            }
            None => None,
        };
        settings.extend(scenario.file.config.clone());
        folder.furnish(scenario, &settings, mock.url())?;
        if scenario.needs_an_ordinary_user() {
            folder.give_away()?;
        }
        Ok(Self {
            folder,
            settings,
            means: means.clone(),
            mock,
            compound,
            running: None,
            starting: None,
            relay,
            background: None,
            lock: None,
            cast,
            pairs: scenario.needs_pairing(),
            secrets,
            printed: String::new(),
            folders: folders(scenario),
            open: JoinSet::new(),
            starts: 0,
            now: scenario.file.clock.start,
        })
    }

    pub(crate) fn leisurely(&self, usual: Duration) -> Duration {
        self.means.leisurely(usual)
    }

    pub(crate) fn journal(&self) -> &Journal {
        self.mock.journal()
    }

    /// From now on this is a secret: masked where we write, and looked for where nanokimi does.
    pub(crate) async fn keep_secret(&mut self, secret: &str) -> Result<(), MockError> {
        self.secrets.push(secret.to_owned());
        self.mock.hide(secret).await
    }

    pub(crate) fn secrets(&self) -> &[String] {
        &self.secrets
    }

    /// What nanokimi has printed while it served, up to its last end.
    pub(crate) fn printed(&self) -> &str {
        &self.printed
    }

    pub(crate) fn mock(&self) -> &Mock {
        &self.mock
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.root()
    }

    /// Where the frozen clock stands.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    pub(crate) fn api(&self) -> Option<&Api> {
        self.running.as_ref().map(|running| &running.api)
    }

    /// Registers a chat that has settings of its own, with nanokimi's own command.
    pub(crate) async fn register(&self, name: &str, chat: &Chat) -> Result<Printed, StageError> {
        let folder = chat.folder.as_deref().map_or(name, |folder| folder);
        let jid = self.jid(name).await?;
        let mut args = vec![
            "groups", "register", &jid, "--folder", folder, "--name", name,
        ];
        args.extend(chat.calling());
        let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
        self.run(&args, self.leisurely(Duration::from_secs(10)))
            .await
    }

    /// Keeps a request open in the background.
    pub(crate) fn leave_open(&mut self, request: impl Future<Output = ()> + Send + 'static) {
        self.open.spawn(request);
    }

    /// Writes down what we did ourselves.
    pub(crate) async fn write(
        &self,
        event: &'static str,
        fields: impl IntoIterator<Item = Field>,
    ) -> Result<(), MockError> {
        let fields = fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        let chronicle = self.mock.chronicle();
        chronicle.write(event, fields.collect()).await
    }

    /// Ends nanokimi; mocks and folder stay, to be judged. What had to be killed is told in
    /// the leaks.
    pub(crate) async fn close(&mut self) -> Result<Closed, StageError> {
        const GRACE: Duration = Duration::from_secs(15);
        const LAST_AGENT: Duration = Duration::from_secs(5);
        self.lock = None;
        let grace = self.leisurely(GRACE);
        let ended = self.stop((How::Term, Moment::Quiet), grace).await;
        drop(self.background.take());
        self.give_up_starting().await?;
        // An agent notices the death of its orchestrator, and has a moment to end.
        let leaks = left_over(self.folder.above(), LAST_AGENT).await;
        end(&leaks);
        let in_order = matches!(ended, Ok(Some(Ended::Code(0))));
        let mut agents = Vec::new();
        if let Some(containers) = self.means.ground.containers() {
            for root in self.folder.roots() {
                // One that was killed could not put away what had ended, and on a machine that
                // was left it never will.
                let put_away = in_order && root == self.folder.root();
                let left = containers.engine.agents_left(root, LAST_AGENT).await?;
                agents.extend(left.into_iter().filter(|one| one.alive || put_away));
            }
        }
        self.open.shutdown().await;
        Ok(Closed {
            ended: ended?,
            leaks,
            agents,
        })
    }

    /// What the mocks have printed, where they are in a container: for the trace.
    pub(crate) fn mock_log(&self) -> Option<String> {
        self.compound.as_ref().map(|compound| compound.mock_log())
    }

    /// Ends the mocks, and deletes the folder unless it is to be kept.
    pub(crate) async fn strike(self, keep: bool) -> Result<Option<PathBuf>, StageError> {
        self.mock.join().await?;
        if let Some(compound) = self.compound {
            compound.tear_down().await?;
        }
        Ok(keep.then(|| self.folder.keep()))
    }

    pub(crate) fn log(&self) -> std::io::Result<String> {
        fs_err::read_to_string(self.root().join("logs/nanokimi.log"))
    }
}

/// What was left when nanokimi had ended.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) ended: Option<Ended>,
    pub(crate) leaks: Vec<Leak>,
    /// Containers that it should have removed.
    pub(crate) agents: Vec<Found>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_is_given_longer_in_a_crowd() {
        let program = Path::new("/bin/true");
        let means = Means {
            binaries: Binaries::given(program, Some(program)).unwrap(),
            environment: Vec::new(),
            fixtures: PathBuf::new(),
            ground: Ground::Process,
            crowding: NonZeroU32::new(3).unwrap(),
        };
        let usual = Duration::from_secs(5);
        assert_eq!(means.leisurely(usual), Duration::from_secs(15));
    }
}
