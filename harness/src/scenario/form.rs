//! The forms of the stage, and which of them a scenario can be played on.
//!
//! Says nothing about how they are built: that is the stage's.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

/// Where nanokimi, its agents and the mocks run.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// nanokimi and its agents are processes; the mocks are in ours.
    #[default]
    Process,
    /// As with processes, but agents are containers.
    Hybrid,
    /// Mocks, nanokimi and agents are containers, on a network without a way out.
    Docker,
}

impl Form {
    pub const ALL: [Self; 3] = [Self::Process, Self::Hybrid, Self::Docker];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Hybrid => "hybrid",
            Self::Docker => "docker",
        }
    }

    /// Whether it takes a container engine.
    #[must_use]
    pub fn has_containers(self) -> bool {
        self != Self::Process
    }

    /// As long as that takes here which takes `usual` among processes: a container starts in half
    /// a second, and several start one after the other.
    #[must_use]
    pub(crate) fn leisurely(self, usual: Duration) -> Duration {
        match self {
            Self::Process => usual,
            Self::Hybrid => usual * 3,
            Self::Docker => usual * 4,
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that names no form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no form of the stage; there are `process`, `hybrid` and `docker`")]
pub struct UnknownForm(String);

impl FromStr for Form {
    type Err = UnknownForm;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|form| form.name() == word);
        found.ok_or_else(|| UnknownForm(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_goes_by_its_name() {
        for form in Form::ALL {
            assert_eq!(form.name().parse(), Ok(form));
        }
        let unknown = "kubernetes".parse::<Form>().unwrap_err();
        assert!(unknown.to_string().contains("`hybrid`"), "{unknown}");
    }
}
