//! The step `box`: what befalls a container, where there are any.
//!
//! nanokimi itself is killed with `stop: { how: kill }`, on every form of the stage.

use mock_server::yaml::{At, Mistake};
use schemars::JsonSchema;
use serde::Deserialize;

use super::ScenarioFile;
use super::form::Form;
use super::step::Step;

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
pub(super) fn check(file: &ScenarioFile, mistakes: &mut Vec<Mistake>) {
    let all = Form::ALL.to_vec();
    let stages = file.stages.as_ref().map_or(&all, |stages| &stages.value);
    for step in file.steps.iter().chain(&file.finally) {
        let Step::Box(befalling) = &step.value else {
            continue;
        };
        let without = stages.iter().find(|form| !befalling.has_it(**form));
        if let Some(form) = without {
            let what = format!("there is no such container on the stage `{form}`");
            let can: Vec<&str> = Form::ALL
                .into_iter()
                .filter(|form| befalling.has_it(*form))
                .map(Form::name)
                .collect();
            let help = format!(
                "write `stages: [{}]`, and in a comment above it why",
                can.join(", ")
            );
            mistakes.push(Mistake::new(step.span, what).help(help));
        }
    }
}
