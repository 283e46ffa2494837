//! The steps `start`, `stop` and `restart`: nanokimi as a process.

use std::time::Duration;

use mock_server::yaml::{At, Span};
use tokio::time::{Instant, timeout, timeout_at};

use super::commands::expect_exit;
use super::{PATIENCE, Play};
use crate::failure::{Failure, Trouble};
use crate::scenario::{Chat, How, Lapse, Matcher, Moment, Restart, Start, Stop, StoreState};
use crate::stage::{Connecting, Ended, Started};

const START: Duration = Duration::from_secs(10);
const STOP: Duration = Duration::from_secs(15);
const CONNECT: Duration = Duration::from_secs(10);
/// A connection breaks off a moment before the process that held it is gone.
const DYING: Duration = Duration::from_millis(200);

/// How many last lines of a process a report shows.
const LAST_LINES: usize = 12;

impl Play<'_> {
    /// nanokimi is of no use to a story on WhatsApp before it is connected.
    async fn connected(&mut self, span: Span, patience: Duration) -> Result<(), Trouble> {
        let failure = match self.stage.connected(self.floor, patience).await? {
            Connecting::Connected => return Ok(()),
            Connecting::Ended(ended) => return Err(self.death(ended)),
            Connecting::GaveUp { state } => Failure::new(format!(
                "nanokimi does not connect to WhatsApp: it is {state}"
            )),
            Connecting::Silent { state } => {
                let lapse = Lapse::new(patience);
                Failure::new(format!(
                    "nanokimi did not connect to WhatsApp within {lapse}"
                ))
                .note(format!("the last it told: {state}"))
            }
        };
        let help = "if this belongs to the story, write `whatsapp: { await: false }`";
        Err(failure.at(span).help(help).into())
    }

    /// Chats with settings of their own are made known as soon as there is a store.
    async fn register_chats(&mut self) -> Result<(), Trouble> {
        if std::mem::replace(&mut self.registered, true) {
            return Ok(());
        }
        for (name, chat) in &self.scenario.file.chats {
            // Without even `{}` it is left to its first message; `main` is always there.
            let to_register = |chat: &&Chat| name != "main" && chat.registered != Some(false);
            let Some(chat) = chat.as_ref().filter(to_register) else {
                continue;
            };
            let printed = self.stage.register(name, chat).await?;
            if printed.ended != Some(Ended::Code(0)) {
                let failure = Failure::new(format!("the chat `{name}` could not be registered"));
                return Err(failure.note(last_lines(&printed.stderr)).into());
            }
        }
        Ok(())
    }

    pub(super) async fn start(&mut self, start: &Start, span: Span) -> Result<(), Trouble> {
        if self.stage.api().is_some() {
            return Err(Failure::new("nanokimi is already running").into());
        }
        let patience = self.patience(start.within, START);
        let on_whatsapp = self.scenario.linking();
        self.begin(start, on_whatsapp.is_some()).await?;
        if !start.awaited {
            return Ok(());
        }
        let started = self.stage.ready(patience).await?;
        match (started, &start.exit) {
            (Started::Ready, None) => {
                let patience = self.patience(start.within, PATIENCE);
                self.expect_said(start.stderr.as_ref(), patience).await?;
                self.register_chats().await?;
                match on_whatsapp {
                    Some(linking) if linking.linked && linking.awaited => {
                        let patience = self.patience(start.within, CONNECT);
                        self.connected(span, patience).await
                    }
                    Some(_) | None => Ok(()),
                }
            }
            (Started::Ready, Some(exit)) => {
                let headline = format!("nanokimi started, but was to refuse with {}", exit.value);
                Err(Failure::new(headline).at(exit.span).into())
            }
            (Started::Silent { output }, _) => {
                let lapse = Lapse::new(patience);
                let headline = format!("nanokimi neither ended nor was ready within {lapse}");
                Err(Failure::new(headline)
                    .at(span)
                    .note(last_lines(&output))
                    .into())
            }
            (Started::Unusable { why }, _) => {
                let failure = Failure::new("nanokimi said that it was ready, but cannot be used");
                Err(failure.at(span).note(why).into())
            }
            (Started::Died { ended, output }, None) => {
                let headline = format!("nanokimi died before it was ready: {ended}");
                Err(Failure::new(headline)
                    .at(span)
                    .note(last_lines(&output))
                    .into())
            }
            (Started::Died { ended, output }, Some(exit)) => {
                expect_exit(Some(ended), exit, &output)?;
                self.expect_text("stderr", start.stderr.as_ref(), &output)
            }
        }
    }

    /// Has nanokimi started where the step says so, if it is not on its way already.
    async fn begin(&mut self, start: &Start, on_whatsapp: bool) -> Result<(), Trouble> {
        if let Some(machine) = &start.machine {
            if self.stage.is_starting() {
                let failure = Failure::new("nanokimi is being started on another machine");
                return Err(failure.at(machine.span).into());
            }
            self.stage.move_to(machine, self.scenario)?;
        }
        if let Some(zone) = &start.tz {
            self.stage.set_zone(zone)?;
        }
        if self.stage.is_starting() {
            return Ok(());
        }
        self.floor = self.stage.journal().last();
        if on_whatsapp {
            // What waits for nanokimi comes as soon as it is connected.
            self.register_chats().await?;
        }
        Ok(self.stage.begin().await?)
    }

    pub(super) async fn stop(&mut self, stop: &Stop) -> Result<(), Trouble> {
        // What nanokimi tells while it stops may still be expected.
        self.floor = self.stage.journal().last();
        let patience = self.patience(stop.within, STOP);
        let span = stop.exit.as_ref().map(|exit| exit.span);
        let ended = self.end((stop.how, stop.at), patience).await?;
        let expected = match (&stop.exit, stop.how) {
            (Some(exit), _) => Ended::Code(exit.value),
            (None, How::Term | How::Itself) => Ended::Code(0),
            (None, How::Kill) => return Ok(()),
        };
        if ended == expected {
            return Ok(());
        }
        let failure = Failure::new("nanokimi ended in another way")
            .note(format!("expected: {expected}\n     got: {ended}"));
        Err(span.map_or(failure.clone(), |span| failure.at(span)).into())
    }

    pub(super) async fn restart(&mut self, again: &Restart, span: Span) -> Result<(), Trouble> {
        let stop = Stop {
            how: again.how,
            at: again.at,
            ..Stop::default()
        };
        self.stop(&stop).await?;
        let start = Start {
            tz: again.tz.clone(),
            ..Start::default()
        };
        self.start(&start, span).await
    }

    pub(super) fn store(&mut self, state: StoreState) -> Result<(), Trouble> {
        match state {
            StoreState::Locked => Ok(self.stage.lock_store()?),
            StoreState::Free if self.stage.free_store() => Ok(()),
            StoreState::Free => Err(Failure::new("the store was not locked").into()),
        }
    }

    async fn end(&mut self, stopping: (How, Moment), patience: Duration) -> Result<Ended, Trouble> {
        if self.stage.api().is_none() {
            return Err(Failure::new("nanokimi is not running, so it cannot be stopped").into());
        }
        let ended = self.stage.stop(stopping, patience).await?;
        ended.ok_or_else(|| {
            let lapse = Lapse::new(patience);
            Failure::new(format!("nanokimi had not ended after {lapse}")).into()
        })
    }

    /// Waits for what nanokimi, which runs, writes to its stderr.
    async fn expect_said(
        &mut self,
        wanted: Option<&At<Matcher>>,
        patience: Duration,
    ) -> Result<(), Trouble> {
        let deadline = Instant::now() + patience;
        loop {
            let said = self.expect_text("stderr", wanted, &self.stage.stderr());
            if said.is_ok() || timeout_at(deadline, self.stage.says_more()).await.is_err() {
                return said;
            }
        }
    }

    /// nanokimi has ended by itself in the middle of a step.
    pub(super) fn death(&self, ended: Ended) -> Trouble {
        let failure = Failure::new(format!("nanokimi died: {ended}"));
        failure.note(last_lines(&self.stage.last_words())).into()
    }

    /// Adds the death of nanokimi to a failure that it explains.
    pub(super) async fn with_death(&mut self, failure: Failure) -> Result<Failure, Trouble> {
        let Ok(ended) = timeout(DYING, self.stage.died()).await else {
            return Ok(failure);
        };
        Ok(failure
            .note(format!("nanokimi died: {}", ended?))
            .note(last_lines(&self.stage.last_words())))
    }
}

/// The end of what a process said.
pub(super) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let skipped = lines.len().saturating_sub(LAST_LINES);
    let mut shown = "its last words:".to_owned();
    for line in &lines[skipped..] {
        shown.push_str("\n  ");
        shown.push_str(line);
    }
    if lines.is_empty() {
        shown.push_str(" none");
    }
    shown
}
