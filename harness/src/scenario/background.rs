//! Commands in the background: judged when they have ended, and only then.

use mock_server::yaml::{Mistake, Span};

use super::ScenarioFile;
use super::step::{Run, Step};

/// Adds what would be ignored beside `background`, and each command whose end nobody waits for.
pub(super) fn check(file: &ScenarioFile, mistakes: &mut Vec<Mistake>) {
    let mut open = None;
    for step in file.steps.iter().chain(&file.finally) {
        match &step.value {
            Step::Run(run) if run.background => {
                ignored(run, step.span, mistakes);
                mistakes.extend(open.replace(step.span).map(never_ended));
            }
            Step::Ended(_) => open = None,
            Step::Run(_)
            | Step::Ask(_)
            | Step::Say(_)
            | Step::Burst(_)
            | Step::Phone(_)
            | Step::Hear(_)
            | Step::Ipc(_)
            | Step::Expect(_)
            | Step::Never(_)
            | Step::Clock(_)
            | Step::Start(_)
            | Step::Stop(_)
            | Step::Restart(_)
            | Step::Release(_)
            | Step::Fault(_)
            | Step::Store(_)
            | Step::Storage(_)
            | Step::Box(_)
            | Step::Engine(_)
            | Step::Settle(_)
            | Step::Snapshot(_) => {}
        }
    }
    mistakes.extend(open.map(never_ended));
}

fn ignored(run: &Run, step: Span, mistakes: &mut Vec<Mistake>) {
    let given = [
        ("exit", run.exit.as_ref().map(|exit| exit.span)),
        ("stdout", run.stdout.as_ref().map(|said| said.span)),
        ("stderr", run.stderr.as_ref().map(|said| said.span)),
        ("within", run.within.map(|_lapse| step)),
    ];
    for (key, span) in given {
        let Some(span) = span else { continue };
        let message = format!("`{key}` means nothing beside `background`");
        let help = "write it in the step `ended` of this command";
        mistakes.push(Mistake::new(span, message).help(help));
    }
}

fn never_ended(step: Span) -> Mistake {
    let message = "nobody waits for the end of this command, so it is not judged";
    Mistake::new(step, message).help("write the step `ended` after it, and before the next")
}
