//! The steps `box` and `engine`: what befalls a container, or the engine, where there are any; and
//! what else is only there.
//!
//! nanokimi itself is killed with `stop: { how: kill }`, on every form of the stage.

use mock_server::yaml::{At, Document, Mistake, Node};
use schemars::JsonSchema;
use serde::Deserialize;

use super::form::Form;
use super::sought::{Expect, Never, Sought, StateName};
use super::step::{Step, Subject};
use super::{Requirement, ScenarioFile};

/// What befalls a container.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Befalling {
    /// Nothing in it goes on, and it knows of nothing.
    Pause(Whose),
    /// It goes on where it was paused.
    Resume(Whose),
    /// Its cable is pulled.
    Disconnect(Networked),
    /// Its cable is put back.
    Connect(Networked),
    /// It is killed from outside, with all that is in it.
    Kill(AgentOf),
}

/// How the container engine stands, as nanokimi sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EngineState {
    /// Every connection to it has broken off, and there is nothing to connect to.
    Down,
    /// It is there again; what it was told before it has done.
    Up,
}

/// Whose container it is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Whose {
    Nanokimi,
    Mock,
    /// The agent that is at work for this chat.
    Agent(At<String>),
}

/// Who has a cable that can be pulled: nanokimi is then alone on the network, for all that is on
/// it are the mocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Networked {
    Mock,
}

/// The agent that is at work for a chat.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AgentOf {
    pub(crate) agent: At<String>,
}

impl Befalling {
    /// The chat whose agent it is about.
    pub(crate) fn chat(&self) -> Option<&At<String>> {
        match self {
            Self::Pause(Whose::Agent(chat))
            | Self::Resume(Whose::Agent(chat))
            | Self::Kill(AgentOf { agent: chat }) => Some(chat),
            Self::Pause(Whose::Nanokimi | Whose::Mock)
            | Self::Resume(Whose::Nanokimi | Whose::Mock)
            | Self::Disconnect(_)
            | Self::Connect(_) => None,
        }
    }

    /// Whether it pulls a cable, for which there must be one.
    pub(crate) fn disconnects(&self) -> bool {
        matches!(self, Self::Disconnect(Networked::Mock))
    }

    /// Where there is such a container.
    fn has_it(&self, form: Form) -> bool {
        match form {
            Form::Process => false,
            Form::Hybrid => self.chat().is_some(),
            Form::Docker => true,
        }
    }
}

/// Adds each form of the stage that is to play what it cannot.
pub(super) fn check(document: &Document, file: &ScenarioFile, mistakes: &mut Vec<Mistake>) {
    let all = Form::ALL.to_vec();
    let stages = file.stages.as_ref().map_or(&all, |stages| &stages.value);
    let ordinary = file.requires.contains(&Requirement::OrdinaryUser);
    if ordinary && stages.iter().any(|form| *form != Form::Docker) {
        let what = "nanokimi is whoever plays, where it is no container";
        let help = "write `stages: [docker]`, and in a comment above it why";
        let written = document.root().get("requires");
        let span = written.map_or(file.story.span, Node::span);
        mistakes.push(Mistake::new(span, what).help(help));
    }
    for step in file.steps.iter().chain(&file.finally) {
        let Some((missing, can)) = bound(&step.value) else {
            continue;
        };
        let without = stages.iter().find(|form| !can.contains(form));
        if let Some(form) = without {
            let what = format!("there is no such {missing} on the stage `{form}`");
            let can: Vec<&str> = can.into_iter().map(Form::name).collect();
            let help = format!(
                "write `stages: [{}]`, and in a comment above it why",
                can.join(", ")
            );
            mistakes.push(Mistake::new(step.span, what).help(help));
        }
    }
}

/// What a step is about that is not on every form of the stage, and the forms that have it.
fn bound(step: &Step) -> Option<(&'static str, Vec<Form>)> {
    let on = |has: &dyn Fn(Form) -> bool| Form::ALL.into_iter().filter(|form| has(*form)).collect();
    let with_containers = || on(&Form::has_containers);
    match step {
        Step::Box(befalling) => Some(("container", on(&|form| befalling.has_it(form)))),
        Step::Engine(_) => Some(("engine", with_containers())),
        Step::Expect(Expect { sought, .. }) | Step::Never(Never { sought, .. }) => match sought {
            Sought::State { state, .. } => {
                (*state == StateName::Containers).then(|| ("engine", with_containers()))
            }
            Sought::Event { .. } | Sought::Heard(_) => None,
        },
        Step::Snapshot(subjects) => subjects
            .iter()
            .any(|one| one.value == Subject::State(StateName::Containers))
            .then(|| ("engine", with_containers())),
        Step::Ask(_)
        | Step::Say(_)
        | Step::Burst(_)
        | Step::Phone(_)
        | Step::Hear(_)
        | Step::Ipc(_)
        | Step::Clock(_)
        | Step::Start(_)
        | Step::Stop(_)
        | Step::Restart(_)
        | Step::Release(_)
        | Step::Fault(_)
        | Step::Store(_)
        | Step::Storage(_)
        | Step::Settle(_)
        | Step::Run(_)
        | Step::Ended(_) => None,
    }
}
