//! The steps `run` and `ended`: commands of nanokimi, waited for or in the background.

use std::time::Duration;

use mock_server::yaml::{At, Span};
use serde_json::Value;

use super::Play;
use super::lifecycle::last_lines;
use crate::failure::{Failure, Trouble};
use crate::judge::compare;
use crate::scenario::{CommandEnd, Matcher, Run};
use crate::stage::{Ended, Printed};

const RUN: Duration = Duration::from_secs(10);

/// What a command must have come to.
struct Wanted<'a> {
    exit: Option<&'a At<i32>>,
    stdout: Option<&'a At<Matcher>>,
    stderr: Option<&'a At<Matcher>>,
}

impl Play<'_> {
    pub(super) async fn run(&mut self, run: &Run) -> Result<(), Trouble> {
        let names = self.names();
        let args: Result<Vec<String>, _> =
            run.args.iter().map(|arg| names.fill_text(arg)).collect();
        if run.background {
            if self.stage.has_background() {
                let failure = Failure::new("another command runs in the background already");
                return Err(failure.help("write `ended` for that one first").into());
            }
            return Ok(self.stage.run_in_background(&args?).await?);
        }
        let patience = self.patience(run.within, RUN);
        let printed = self.stage.run(&args?, patience).await?;
        let wanted = Wanted {
            exit: run.exit.as_ref(),
            stdout: run.stdout.as_ref(),
            stderr: run.stderr.as_ref(),
        };
        self.judge_printed(&printed, &wanted)
    }

    /// Waits for the command in the background.
    pub(super) async fn ended(&mut self, end: &CommandEnd) -> Result<(), Trouble> {
        let patience = self.patience(end.within, RUN);
        let Some(printed) = self.stage.background_ended(end.stop, patience).await? else {
            let failure = Failure::new("no command runs in the background");
            return Err(failure
                .help("start one with `run: { …, background: true }`")
                .into());
        };
        let wanted = Wanted {
            exit: end.exit.as_ref(),
            stdout: end.stdout.as_ref(),
            stderr: end.stderr.as_ref(),
        };
        self.judge_printed(&printed, &wanted)
    }

    fn judge_printed(&mut self, printed: &Printed, wanted: &Wanted<'_>) -> Result<(), Trouble> {
        let zero = At {
            value: 0,
            span: Span::default(),
        };
        let exit = wanted.exit.map_or(&zero, |exit| exit);
        let said = format!("{}{}", printed.stdout, printed.stderr);
        expect_exit(printed.ended, exit, &said)?;
        self.expect_text("stdout", wanted.stdout, &printed.stdout)?;
        self.expect_text("stderr", wanted.stderr, &printed.stderr)
    }

    pub(super) fn expect_text(
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
}

pub(super) fn expect_exit(ended: Option<Ended>, exit: &At<i32>, said: &str) -> Result<(), Trouble> {
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
