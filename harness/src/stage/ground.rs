//! On which ground a stage is built: processes only, or an engine's containers too.

use crate::engine::{Containers, Images};
use crate::scenario::Form;

/// A form of the stage, with what it takes.
#[derive(Clone, Debug, Default)]
pub enum Ground {
    #[default]
    Process,
    Hybrid(Containers),
    Docker(Containers),
}

impl Ground {
    #[must_use]
    pub fn form(&self) -> Form {
        match self {
            Self::Process => Form::Process,
            Self::Hybrid(_) => Form::Hybrid,
            Self::Docker(_) => Form::Docker,
        }
    }

    /// Of what containers are made, where there are any.
    #[must_use]
    pub fn images(&self) -> Option<&Images> {
        self.containers().map(|containers| &containers.images)
    }

    /// What agents are containers of, if they are.
    pub(crate) fn containers(&self) -> Option<&Containers> {
        match self {
            Self::Process => None,
            Self::Hybrid(containers) | Self::Docker(containers) => Some(containers),
        }
    }
}
