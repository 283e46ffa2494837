//! nanokimi as it runs on a stage: started, entered, listened to and stopped.
//!
//! Knows nothing of how a program is started in one form of the stage or another: that is
//! [`Program`]'s.

use std::net::SocketAddr;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::timeout;

use super::api::Api;
use super::events::Events;
use super::process::Ended;
use super::program::{Order, Program, Which};
use super::ready::Notifications;
use super::{Stage, StageError, wire};
use crate::chain::chain;
use crate::scenario::{How, Moment};

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

#[derive(Debug)]
pub(super) struct Running {
    pub(super) program: Program,
    pub(super) api: Api,
    pub(super) events: Events,
    /// Kept open: nanokimi also tells when it stops.
    _notifications: Notifications,
}

/// nanokimi on its way to be ready.
#[derive(Debug)]
pub(super) struct Starting {
    pub(super) program: Program,
    notifications: Notifications,
}

impl Stage {
    /// Whether nanokimi was started and has not been waited for.
    pub(crate) fn is_starting(&self) -> bool {
        self.starting.is_some()
    }

    /// Starts nanokimi.
    pub(crate) async fn begin(&mut self) -> Result<(), StageError> {
        self.starts += 1;
        let socket = self.folder.socket(self.starts);
        let notifications = Notifications::listen(&socket).map_err(StageError::Folder)?;
        let now = self.now.to_string();
        let args = ["run", "--test-clock", &now].map(str::to_owned);
        let order = Order {
            which: Which::Nanokimi,
            args: &args,
            notify: Some(&socket),
        };
        let program = self.spawn(order).await?;
        self.starting = Some(Starting {
            program,
            notifications,
        });
        let start = [("start", self.starts.into())];
        Ok(self.write("process.started", start).await?)
    }

    /// Waits until the nanokimi that was started is ready, has died, or patience has run out.
    pub(crate) async fn ready(&mut self, patience: Duration) -> Result<Started, StageError> {
        let Some(starting) = self.starting.take() else {
            let why = "nobody has started it".to_owned();
            return Ok(Started::Unusable { why });
        };
        let Starting {
            mut program,
            notifications,
        } = starting;
        let address = tokio::select! {
            ready = timeout(patience, notifications.ready()) => ready,
            ended = program.ended(patience) => return self.early_end(program, ended?).await,
        };
        let Ok(ready) = address else {
            return self.early_end(program, None).await;
        };
        let address = ready.map_err(StageError::Spawn)?;
        let (api, events) = match self.enter(&program, address).await {
            Ok(entered) => entered,
            Err(why) => {
                program.kill().await?;
                return Ok(Started::Unusable { why });
            }
        };
        self.write("process.ready", [("start", self.starts.into())])
            .await?;
        self.running = Some(Running {
            program,
            api,
            events,
            _notifications: notifications,
        });
        Ok(Started::Ready)
    }

    /// Finds the way in to a nanokimi that says it is ready; the error says what is amiss.
    async fn enter(
        &mut self,
        program: &Program,
        address: Option<SocketAddr>,
    ) -> Result<(Api, Events), String> {
        let address = address.ok_or("its notification has no X_HTTP_ADDR")?;
        let reached = program.reached_at(address).await;
        let address = reached.map_err(|error| chain(&error))?;
        let token = fs_err::read_to_string(self.root().join("data/api-token"));
        let token = token.map_err(|error| chain(&error))?.trim().to_owned();
        // Hidden from here on is enough: the mocks are never told it.
        self.journal().hide(&token);
        if !self.secrets.contains(&token) {
            self.secrets.push(token.clone());
        }
        let api = Api::new(address, token);
        let events = Events::follow(&api, self.mock.chronicle().clone()).await;
        let events = events.map_err(|error| chain(&error))?;
        Ok((api, events))
    }

    /// Ends one that was started and never waited for.
    pub(super) async fn give_up_starting(&mut self) -> Result<(), StageError> {
        match self.starting.take() {
            Some(mut starting) => {
                self.keep_words(&starting.program);
                starting.program.kill().await
            }
            None => Ok(()),
        }
    }

    async fn early_end(
        &mut self,
        mut program: Program,
        ended: Option<Ended>,
    ) -> Result<Started, StageError> {
        let output = self.words_of(&program);
        self.keep_words(&program);
        program.kill().await?;
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
            running.program.signal(signal).await?;
        }
        let ended = running.program.ended(patience).await?;
        self.keep_words(&running.program);
        if let Some(ended) = ended {
            self.write("process.exited", [("how", ended.to_string().into())])
                .await?;
        }
        running.program.put_away().await?;
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
            let starting = self.starting.as_mut().map(|starting| &mut starting.program);
            let running = self.running.as_mut().map(|running| &mut running.program);
            let Some(program) = running.or(starting) else {
                return Err(self.mock.lost().await.into());
            };
            let ended = tokio::select! {
                ended = program.ended(Duration::MAX) => ended?,
                lost = self.mock.lost() => return Err(lost.into()),
            };
            if let Some(ended) = ended {
                return Ok(ended);
            }
        }
    }

    /// The last words of the nanokimi that runs, or ran until it died.
    pub(crate) fn last_words(&self) -> String {
        match (&self.running, &self.starting) {
            (Some(Running { program, .. }), _) | (None, Some(Starting { program, .. })) => {
                self.words_of(program)
            }
            (None, None) => String::new(),
        }
    }

    /// What the nanokimi that runs has written to its stderr so far.
    pub(crate) fn stderr(&self) -> String {
        let running = self.running.as_ref();
        running.map_or_else(String::new, |running| running.program.stderr())
    }

    /// Returns when there is more on its stderr. Cancel-safe.
    pub(crate) async fn says_more(&self) {
        match &self.running {
            Some(running) => running.program.says_more().await,
            None => std::future::pending().await,
        }
    }

    /// Where a service manager runs it, what it prints is kept as its log is.
    fn keep_words(&mut self, program: &Program) {
        self.printed.push_str(&program.stdout());
        self.printed.push_str(&program.stderr());
    }

    /// The last words of a program: its stderr, or else the end of its log.
    fn words_of(&self, program: &Program) -> String {
        let said = format!("{}{}", program.stdout(), program.stderr());
        if !said.trim().is_empty() {
            return said;
        }
        self.log()
            .unwrap_or_else(|_no_log| "it wrote nothing".to_owned())
    }
}
