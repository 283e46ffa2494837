//! The steps `start`, `stop`, `restart` and `run`: nanokimi as a process.

use std::time::Duration;

use mock_server::yaml::{At, Span};
use serde_json::Value;
use tokio::time::{Instant, timeout, timeout_at};

use super::{PATIENCE, Play};
use crate::failure::{Failure, Trouble};
use crate::judge::compare;
use crate::scenario::{How, Lapse, Matcher, Run, Start, Stop};
use crate::stage::{Ended, Started};

const START: Duration = Duration::from_secs(10);
const STOP: Duration = Duration::from_secs(15);
const RUN: Duration = Duration::from_secs(10);
/// A connection breaks off a moment before the process that held it is gone.
const DYING: Duration = Duration::from_millis(200);

/// How many last lines of a process a report shows.
const LAST_LINES: usize = 12;

impl Play<'_> {
    /// Chats with settings of their own are made known as soon as there is a store.
    async fn register_chats(&mut self) -> Result<(), Trouble> {
        if std::mem::replace(&mut self.registered, true) {
            return Ok(());
        }
        for (name, chat) in &self.scenario.file.chats {
            // Without even `{}` it is left to its first message; `main` is always there.
            let Some(chat) = chat.as_ref().filter(|_| name != "main") else {
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
        let patience = start.within.map_or(START, Lapse::length);
        self.floor = self.stage.journal().last();
        let started = self.stage.start(patience).await?;
        match (started, &start.exit) {
            (Started::Ready, None) => {
                let patience = start.within.map_or(PATIENCE, Lapse::length);
                self.expect_said(start.stderr.as_ref(), patience).await?;
                self.register_chats().await
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

    pub(super) async fn stop(&mut self, stop: &Stop) -> Result<(), Trouble> {
        // What nanokimi tells while it stops may still be expected.
        self.floor = self.stage.journal().last();
        let patience = stop.within.map_or(STOP, Lapse::length);
        let span = stop.exit.as_ref().map(|exit| exit.span);
        let ended = self.end(stop.how, patience).await?;
        let expected = match (&stop.exit, stop.how) {
            (Some(exit), _) => Ended::Code(exit.value),
            (None, How::Term) => Ended::Code(0),
            (None, How::Kill) => return Ok(()),
        };
        if ended == expected {
            return Ok(());
        }
        let failure = Failure::new("nanokimi ended in another way")
            .note(format!("expected: {expected}\n     got: {ended}"));
        Err(span.map_or(failure.clone(), |span| failure.at(span)).into())
    }

    pub(super) async fn restart(&mut self, how: How, span: Span) -> Result<(), Trouble> {
        let stop = Stop {
            how,
            ..Stop::default()
        };
        self.stop(&stop).await?;
        self.start(&Start::default(), span).await
    }

    async fn end(&mut self, how: How, patience: Duration) -> Result<Ended, Trouble> {
        if self.stage.api().is_none() {
            return Err(Failure::new("nanokimi is not running, so it cannot be stopped").into());
        }
        let ended = self.stage.stop(how, patience).await?;
        ended.ok_or_else(|| {
            let lapse = Lapse::new(patience);
            Failure::new(format!("nanokimi had not ended after {lapse}")).into()
        })
    }

    pub(super) async fn run(&mut self, run: &Run) -> Result<(), Trouble> {
        let names = self.names();
        let args: Result<Vec<String>, _> =
            run.args.iter().map(|arg| names.fill_text(arg)).collect();
        let patience = run.within.map_or(RUN, Lapse::length);
        let printed = self.stage.run(&args?, patience).await?;
        let zero = At {
            value: 0,
            span: Span::default(),
        };
        let exit = run.exit.as_ref().map_or(&zero, |exit| exit);
        let said = format!("{}{}", printed.stdout, printed.stderr);
        expect_exit(printed.ended, exit, &said)?;
        self.expect_text("stdout", run.stdout.as_ref(), &printed.stdout)?;
        self.expect_text("stderr", run.stderr.as_ref(), &printed.stderr)
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

    fn expect_text(
        &mut self,
        stream: &str,
        wanted: Option<&At<Matcher>>,
        text: &str,
    ) -> Result<(), Trouble> {
        let Some(wanted) = wanted else {
            return Ok(());
        };
        let text = Value::String(text.trim_end().to_owned());
        let compared = compare(wanted, Some(&text), &self.names())?;
        self.captures.extend(compared.captures.clone());
        if compared.matches() {
            return Ok(());
        }
        let failure = Failure::new(format!("{stream} says something else")).at(wanted.span);
        Err(super::waiting::with_diff(failure, stream, &compared).into())
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

fn expect_exit(ended: Option<Ended>, exit: &At<i32>, said: &str) -> Result<(), Trouble> {
    if ended == Some(Ended::Code(exit.value)) {
        return Ok(());
    }
    let got = ended.map_or_else(|| "still running".to_owned(), |ended| ended.to_string());
    let failure = Failure::new("it ended in another way")
        .note(format!(
            "expected: exit code {}\n     got: {got}",
            exit.value
        ))
        .note(last_lines(said));
    let failure = if exit.span == Span::default() {
        failure
    } else {
        failure.at(exit.span)
    };
    Err(failure.into())
}

/// The end of what a process said.
fn last_lines(text: &str) -> String {
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
