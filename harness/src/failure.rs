//! What can go wrong with a scenario: it failed, or we did.

use mock_server::yaml::Span;

use crate::scenario::UnknownName;
use crate::stage::StageError;

/// Something is not as the scenario says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    pub headline: String,
    /// Where the scenario says it.
    pub span: Option<Span>,
    /// What stands under the carets.
    pub label: String,
    /// What is known about it, each a line or a few.
    pub notes: Vec<String>,
    pub help: Option<String>,
}

impl Failure {
    pub(crate) fn new(headline: impl Into<String>) -> Self {
        Self {
            headline: headline.into(),
            ..Self::default()
        }
    }

    pub(crate) fn at(mut self, span: Span) -> Self {
        self.span.get_or_insert(span);
        self
    }

    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Why a step did not come to its end.
#[derive(Debug)]
pub(crate) enum Trouble {
    Failed(Box<Failure>),
    /// The harness or a mock broke.
    Broke(StageError),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

impl From<StageError> for Trouble {
    fn from(error: StageError) -> Self {
        // Whoever runs and tells nothing has failed; we are not broken.
        if let StageError::Events(why) = &error {
            return Failure::new("nanokimi's events do not come")
                .note(why)
                .into();
        }
        Self::Broke(error)
    }
}

impl From<UnknownName> for Trouble {
    fn from(error: UnknownName) -> Self {
        Failure::new(error.to_string()).into()
    }
}
