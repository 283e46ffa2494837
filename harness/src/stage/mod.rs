//! The place a scenario plays in: its mocks, and nanokimi as a child of our process.
//!
//! Knows how to start, stop, ask and read; knows nothing of steps and judges nothing.

mod binaries;
mod folder;
mod kimi;
mod mock;
mod paired;
mod wire;
mod guard;
mod process;
mod output;
mod background;
mod ready;
mod http;
mod api;
mod sse;
mod telling;
mod events;
mod clock;
mod lock;
mod states;
mod leaks;
mod error;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use mock_server::{Journal, MockOptions};
use rustix::process::Signal;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::chain::chain;
use crate::scenario::{Chat, How, Moment, Scenario};

pub use binaries::{Binaries, BinariesError};
pub use guard::{GUARD, become_guarded};
pub(crate) use process::Ended;

pub(crate) use api::{Answer, Api, Moved, Question};
pub(crate) use error::StageError;
pub use leaks::{Leak, end, left_over};
pub(crate) use mock::{Chronicle, Mock, MockError};
pub use paired::PairedError;
pub(crate) use paired::{ACCOUNT, DEVICE_STORE, PAIRED};
pub(crate) use states::{read_state, select};
pub(crate) use wire::Connecting;

use background::printed;
use events::Events;
use folder::{Folder, MODEL_KEY};
use lock::StoreLock;
use process::{Process, Surroundings};
use ready::Notifications;
use wire::Cast;

/// One particular of an entry in the journal.
pub(crate) type Field = (&'static str, Value);

/// How a start went.
#[derive(Debug)]
pub(crate) enum Started {
    Ready,
    /// It ended before it was ready.
    Died {
        ended: Ended,
        output: String,
    },
    /// It neither ended nor said that it was ready.
    Silent {
        output: String,
    },
    /// It said that it was ready, and cannot be used.
    Unusable {
        why: String,
    },
}

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
}

/// Mocks, a folder, and nanokimi when it runs.
#[derive(Debug)]
pub(crate) struct Stage {
    folder: Folder,
    means: Means,
    mock: Mock,
    running: Option<Running>,
    /// A command that runs while the story goes on.
    background: Option<Process>,
    /// Keeps nanokimi from writing to its store.
    lock: Option<StoreLock>,
    /// Whom the story knows on WhatsApp, if it has to do with it.
    cast: Option<Cast>,
    /// Whether it is linked with the build of nanokimi that is made for that.
    pairs: bool,
    /// What must stand in no log.
    secrets: Vec<String>,
    /// Messages whose answers nobody waits for.
    open: JoinSet<()>,
    starts: usize,
    /// Where the frozen clock stands.
    now: Timestamp,
}

#[derive(Debug)]
struct Running {
    process: Process,
    api: Api,
    events: Events,
    /// Kept open: nanokimi also tells when it stops.
    _notifications: Notifications,
}

/// What must stand in no log from the start.
fn secrets(scenario: &Scenario) -> Vec<String> {
    let login = scenario.file.kimi_login.as_ref();
    let tokens = login.map(|login| [login.access.clone(), login.refresh.clone()]);
    let key = MODEL_KEY.to_owned();
    tokens.into_iter().flatten().chain([key]).collect()
}

impl Stage {
    /// Starts the mocks and makes the folder; nanokimi is started by [`Stage::start`].
    pub(crate) async fn set(
        scenario: &Scenario,
        means: &Means,
        seed: u64,
    ) -> Result<Self, StageError> {
        let linking = scenario.linking();
        let options = MockOptions {
            seed,
            whatsapp: linking.is_some(),
            ..MockOptions::default()
        };
        let mock = match &means.binaries.mock_server {
            Some(program) => Mock::child(program, &options).await?,
            None => Mock::here(options).await?,
        };
        let secrets = secrets(scenario);
        for secret in &secrets {
            mock.hide(secret).await?;
        }
        mock.clock_moved(scenario.file.clock.start).await?;
        // After the clock: tokens that a script hands out are valid from then on.
        for script in &scenario.scripts {
            mock.add(script).await?;
        }
        let folder = Folder::make()?;
        let mut settings = folder.settings(scenario, &means.binaries, mock.url());
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
        Ok(Self {
            folder,
            means: means.clone(),
            mock,
            running: None,
            background: None,
            lock: None,
            cast,
            pairs: scenario.needs_pairing(),
            secrets,
            open: JoinSet::new(),
            starts: 0,
            now: scenario.file.clock.start,
        })
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
        self.run(&args, Duration::from_secs(10)).await
    }

    /// Starts nanokimi and waits until it is ready, has died, or patience has run out.
    pub(crate) async fn start(&mut self, patience: Duration) -> Result<Started, StageError> {
        self.starts += 1;
        let socket = self.folder.socket(self.starts);
        let notifications = Notifications::listen(&socket).map_err(StageError::Folder)?;
        let now = self.now.to_string();
        let args = ["run", "--test-clock", &now].map(str::to_owned);
        let nanokimi = &self.means.binaries.nanokimi;
        let mut process = self.spawn(nanokimi, &args, Some(&socket))?;
        self.write("process.started", [("start", self.starts.into())])
            .await?;
        let address = tokio::select! {
            ready = timeout(patience, notifications.ready()) => ready,
            ended = process.ended(patience) => return self.early_end(&process, ended?).await,
        };
        let Ok(ready) = address else {
            process.kill_group();
            let output = self.words_of(&process);
            return Ok(Started::Silent { output });
        };
        let address = ready.map_err(StageError::Spawn)?;
        let (api, events) = match self.enter(address).await {
            Ok(entered) => entered,
            Err(why) => {
                process.kill_group();
                return Ok(Started::Unusable { why });
            }
        };
        self.write("process.ready", [("start", self.starts.into())])
            .await?;
        self.running = Some(Running {
            process,
            api,
            events,
            _notifications: notifications,
        });
        Ok(Started::Ready)
    }

    /// Finds the way in to a nanokimi that says it is ready; the error says what is amiss.
    async fn enter(&self, address: Option<SocketAddr>) -> Result<(Api, Events), String> {
        let address = address.ok_or("its notification has no X_HTTP_ADDR")?;
        let token = fs_err::read_to_string(self.root().join("data/api-token"));
        let token = token.map_err(|error| chain(&error))?.trim().to_owned();
        // Hidden from here on is enough: the mocks are never told it.
        self.journal().hide(&token);
        let api = Api::new(address, token);
        let events = Events::follow(&api, self.mock.chronicle().clone()).await;
        let events = events.map_err(|error| chain(&error))?;
        Ok((api, events))
    }

    async fn early_end(
        &self,
        process: &Process,
        ended: Option<Ended>,
    ) -> Result<Started, StageError> {
        let output = self.words_of(process);
        process.kill_group();
        Ok(match ended {
            Some(ended) => {
                self.write("process.exited", [("how", ended.to_string().into())])
                    .await?;
                Started::Died { ended, output }
            }
            None => Started::Silent { output },
        })
    }

    /// Ends nanokimi, or waits for its own end. `None` if it was still alive after `patience`.
    pub(crate) async fn stop(
        &mut self,
        (how, at): (How, Moment),
        patience: Duration,
    ) -> Result<Option<Ended>, StageError> {
        let Some(mut running) = self.running.take() else {
            return Ok(None);
        };
        let waits = at == Moment::Quiet;
        if how == How::Kill && waits {
            // What has been told by now is heard first, so that a kill comes at the same point
            // in each run. After a SIGTERM nanokimi tells all before it ends.
            running.events.quiet().await;
        }
        if how != How::Itself && waits && self.cast.is_some() {
            // The same for what is on its way between nanokimi and phones.
            self.mock.caught_up().await?;
            wire::quiet(self.mock.journal()).await;
        }
        let told = running.events.still_told();
        let (signal, asked) = match how {
            How::Term => (Some(Signal::TERM), Some(Ended::Code(0))),
            How::Kill => {
                let ended = Ended::Signal(Signal::KILL.as_raw());
                (Some(Signal::KILL), Some(ended))
            }
            How::Itself => (None, None),
        };
        if let Some(signal) = signal {
            running.process.signal(signal)?;
        }
        let ended = running.process.ended(patience).await?;
        if let Some(ended) = ended {
            self.write("process.exited", [("how", ended.to_string().into())])
                .await?;
        }
        running.events.end().await;
        // One that ended as we asked was alive until then, and had no reason to fall silent.
        if asked.is_some() && ended == asked {
            told?;
        }
        Ok(ended)
    }

    /// Returns when nanokimi ends although nobody stops it; fails when the mocks do. Cancel-safe.
    pub(crate) async fn died(&mut self) -> Result<Ended, StageError> {
        loop {
            let Some(running) = &mut self.running else {
                return Err(self.mock.lost().await.into());
            };
            let ended = tokio::select! {
                ended = running.process.ended(Duration::MAX) => ended?,
                lost = self.mock.lost() => return Err(lost.into()),
            };
            if let Some(ended) = ended {
                return Ok(ended);
            }
        }
    }

    /// The last words of the nanokimi that runs, or ran until it died.
    pub(crate) fn last_words(&self) -> String {
        match &self.running {
            Some(running) => self.words_of(&running.process),
            None => String::new(),
        }
    }

    /// What the nanokimi that runs has written to its stderr so far.
    pub(crate) fn stderr(&self) -> String {
        let running = self.running.as_ref();
        running.map_or_else(String::new, |running| running.process.stderr())
    }

    /// Returns when there is more on its stderr. Cancel-safe.
    pub(crate) async fn says_more(&self) {
        match &self.running {
            Some(running) => running.process.says_more().await,
            None => std::future::pending().await,
        }
    }

    /// Runs a command of nanokimi on the same root folder.
    pub(crate) async fn run(
        &self,
        args: &[String],
        patience: Duration,
    ) -> Result<Printed, StageError> {
        let process = self.spawn(self.command(args), args, None)?;
        printed(process, patience).await
    }

    fn spawn(
        &self,
        program: &Path,
        args: &[String],
        notify: Option<&Path>,
    ) -> Result<Process, StageError> {
        let mut args = args.to_vec();
        args.extend(["--root".to_owned(), self.root().display().to_string()]);
        let handed_on = self.means.environment.iter();
        let mut environment: Vec<(&str, String)> = handed_on
            .map(|(name, value)| (name.as_str(), value.clone()))
            .collect();
        environment.push(("HOME", self.folder.home().display().to_string()));
        if let Some(socket) = notify {
            environment.push(("NOTIFY_SOCKET", socket.display().to_string()));
        }
        let surroundings = Surroundings {
            folder: self.root(),
            environment,
        };
        Process::start(program, &args, surroundings)
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
        let ended = self.stop((How::Term, Moment::Quiet), GRACE).await;
        drop(self.background.take());
        // An agent notices the death of its orchestrator, and has a moment to end.
        let leaks = left_over(self.root(), LAST_AGENT).await;
        end(&leaks);
        self.open.shutdown().await;
        Ok(Closed {
            ended: ended?,
            leaks,
        })
    }

    /// Ends the mocks, and deletes the folder unless it is to be kept.
    pub(crate) async fn strike(self, keep: bool) -> Result<Option<PathBuf>, StageError> {
        self.mock.join().await?;
        Ok(keep.then(|| self.folder.keep()))
    }

    /// The last words of a process: its stderr, or else the end of its log.
    fn words_of(&self, process: &Process) -> String {
        let said = format!("{}{}", process.stdout(), process.stderr());
        if !said.trim().is_empty() {
            return said;
        }
        self.log()
            .unwrap_or_else(|_no_log| "it wrote nothing".to_owned())
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
}
