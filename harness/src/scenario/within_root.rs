//! Paths that a scenario names must lie below its root folder.
//!
//! Looks at the text alone; what a link points at is nanokimi's own affair.

use std::path::{Component, Path};

use mock_server::yaml::{At, Document, Mistake, Node, Span};

use super::ScenarioFile;
use super::sought::{Expect, Never, Sought, StateName};
use super::step::{Step, Subject};

/// Adds a mistake for each path that leads elsewhere.
pub(super) fn check(document: &Document, file: &ScenarioFile, mistakes: &mut Vec<Mistake>) {
    let must_stay = |path: &str, span: Span, mistakes: &mut Vec<Mistake>| {
        let leaves = path.starts_with('/') || path.split('/').any(|part| part == "..");
        if leaves || path.is_empty() {
            let message = format!("`{path}` does not lie below the root folder");
            mistakes.push(Mistake::new(span, message).help("write a relative path"));
        }
    };
    for (path, content) in &file.files {
        must_stay(path, content.span, mistakes);
    }
    for (name, chat) in &file.chats {
        if let Some(folder) = chat.as_ref().and_then(|chat| chat.folder.as_deref()) {
            let written = document
                .root()
                .get("chats")
                .and_then(|chats| chats.get(name));
            let span = written.map_or_else(|| document.root().span(), Node::span);
            must_stay(folder, span, mistakes);
        }
    }
    for step in file.steps.iter().chain(&file.finally) {
        for (path, span) in paths_in(step) {
            must_stay(path, span, mistakes);
        }
        let attached = step.saying().and_then(|saying| saying.media.as_ref());
        if let Some(path) = attached.and_then(|media| media.path.as_deref()) {
            check_attached(path, step.span, mistakes);
        }
    }
}

/// What people send lies beside the scenario, so that it is the same file wherever the harness is
/// started.
fn check_attached(path: &Path, span: Span, mistakes: &mut Vec<Mistake>) {
    let stays = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    if !path.components().all(stays) {
        let path = path.display();
        let message = format!("`{path}` does not lie below the folder of the scenario");
        mistakes.push(Mistake::new(span, message).help("write a path from there"));
    }
}

fn paths_in(step: &At<Step>) -> Vec<(&str, Span)> {
    match &step.value {
        Step::Ipc(drop) => {
            let parts = [Some(&drop.group), drop.name.as_ref()];
            let parts = parts.into_iter().flatten();
            parts.map(|part| (part.as_str(), step.span)).collect()
        }
        Step::Expect(Expect { sought, .. }) | Step::Never(Never { sought, .. }) => match sought {
            Sought::State {
                state: StateName::Files(glob),
                matcher,
            } => vec![(glob, matcher.span)],
            Sought::State { .. } | Sought::Event { .. } | Sought::Heard(_) => Vec::new(),
        },
        Step::Snapshot(subjects) => subjects.iter().filter_map(glob_in).collect(),
        Step::Ask(_)
        | Step::Say(_)
        | Step::Burst(_)
        | Step::Phone(_)
        | Step::Ended(_)
        | Step::Hear(_)
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
        | Step::Run(_) => Vec::new(),
    }
}

fn glob_in(subject: &At<Subject>) -> Option<(&str, Span)> {
    match &subject.value {
        Subject::State(StateName::Files(glob)) => Some((glob, subject.span)),
        Subject::State(
            StateName::Table(_) | StateName::Storage(_) | StateName::Log | StateName::Containers,
        )
        | Subject::Transcript
        | Subject::Model
        | Subject::Journal => None,
    }
}
