//! Why an exchange is not recorded, for whoever runs the recorder.

use crate::record::secrets::Secrets;

/// Why an answer is not recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("the upstream cannot be reached: {0}")]
    Unreachable(String),
    #[error("the answer is an error, status {0}, and no model was asked")]
    Status(u16),
    #[error("the answer was cut off: {0}")]
    Cut(String),
    #[error("the answer is empty")]
    Empty,
    #[error("the stream is truncated: nothing in it says that it has ended")]
    Truncated,
    #[error("the answer is encoded as `{0}`, although the recorder asked for plain text")]
    Encoded(String),
    #[error("the answer cannot be read: {0}")]
    Unreadable(String),
    #[error("a script cannot say the finish_reason `{0}`")]
    FinishReason(String),
    #[error("only chat/completions, messages and responses are recorded")]
    Dialect,
    #[error("a script cannot say what the model did: {0}")]
    Unsayable(String),
    #[error("the request is none that a mock would take: {0}")]
    Request(String),
    #[error(
        "the request goes on from `{0}`, an answer that is not recorded; record its conversation from the beginning"
    )]
    Unheard(String),
    #[error("the request was cut off, or is too large: {0}")]
    RequestCut(String),
}

impl Unfit {
    /// What services and libraries say may quote a key.
    pub(crate) fn masked(self, secrets: &Secrets) -> Self {
        let masked = |text: String| secrets.masked(&text);
        match self {
            Self::Unreachable(text) => Self::Unreachable(masked(text)),
            Self::Unsayable(text) => Self::Unsayable(masked(text)),
            Self::Cut(text) => Self::Cut(masked(text)),
            Self::Encoded(text) => Self::Encoded(masked(text)),
            Self::Unreadable(text) => Self::Unreadable(masked(text)),
            Self::FinishReason(text) => Self::FinishReason(masked(text)),
            Self::Request(text) => Self::Request(masked(text)),
            Self::Unheard(text) => Self::Unheard(masked(text)),
            Self::RequestCut(text) => Self::RequestCut(masked(text)),
            Self::Status(_) | Self::Empty | Self::Truncated | Self::Dialect => self,
        }
    }
}
