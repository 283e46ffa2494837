//! Why a dialogue with the agent failed, in terms an operator can act on.

use std::fmt;
use std::io;
use std::time::Duration;

use agent_client_protocol_schema::ProtocolVersion;
use agent_client_protocol_schema::v1::{AGENT_METHOD_NAMES, Error, ErrorCode};
use agent_protocol::AgentErrorKind;

use super::process::End;
use crate::failure::Failure;

const WAY_TO_A_MODEL: &str = "put OPENROUTER_API_KEY or MOONSHOT_API_KEY into the orchestrator's \
     `.env`, or run `kimi login` as the user that it runs as";

/// What we were waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Initialize,
    NewSession,
    LoadSession,
    Prompt,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("the agent ended before it had answered `{0}`")]
    Ended(Phase),
    #[error("the agent said nothing of use for {patience:?} while we waited for `{phase}`")]
    Stalled { phase: Phase, patience: Duration },
    #[error(
        "the turn took longer than {0:?}: ask for less at once, or set turn_timeout (NANOKIMI_TURN_TIMEOUT) \
         to a longer span"
    )]
    TooLong(Duration),
    #[error("the agent refused `{phase}`: {}", told(error))]
    Refused { phase: Phase, error: Error },
    #[error("the agent's answer to `{phase}` is not one of the Agent Client Protocol")]
    NotUnderstood {
        phase: Phase,
        #[source]
        source: serde_json::Error,
    },
    #[error("the agent speaks version {0} of the Agent Client Protocol, we speak version 1")]
    Version(ProtocolVersion),
    #[error("the agent cannot go on with an earlier session")]
    CannotLoad,
    #[error("a pipe to the agent broke")]
    Pipe(#[source] io::Error),
    #[error("a message for the agent cannot be written")]
    Unwritten(#[from] serde_json::Error),
    #[error("we were told to stop")]
    Stopped,
    #[error(transparent)]
    Failure(#[from] Failure),
}

impl Phase {
    pub(super) fn method(self) -> &'static str {
        match self {
            Self::Initialize => AGENT_METHOD_NAMES.initialize,
            Self::NewSession => AGENT_METHOD_NAMES.session_new,
            Self::LoadSession => AGENT_METHOD_NAMES.session_load,
            Self::Prompt => AGENT_METHOD_NAMES.session_prompt,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.method())
    }
}

impl Trouble {
    /// It has been asked, and does not know yet that nobody waits for the answer.
    pub(super) fn leaves_it_at_work(&self) -> bool {
        matches!(
            self,
            Self::Stopped | Self::Stalled { .. } | Self::TooLong(_) | Self::Failure(_)
        )
    }

    /// What is told of it, once the agent has ended.
    pub(super) fn into_failure(self, end: &End) -> Failure {
        match &self {
            Self::Failure(failure) => Failure {
                kind: failure.kind,
                message: failure.message.clone(),
                retryable: failure.retryable,
            },
            Self::Ended(phase) => ended(*phase, end),
            Self::Refused { phase, error } => refused(&self, *phase, error),
            Self::TooLong(_) => Failure::lasting(AgentErrorKind::TooManySteps, &self),
            Self::Stalled {
                phase: Phase::LoadSession,
                ..
            }
            | Self::NotUnderstood {
                phase: Phase::LoadSession,
                ..
            } => Failure::passing(AgentErrorKind::SessionNotFound, &self),
            Self::Stalled { .. } => Failure::passing(AgentErrorKind::Stalled, &self),
            Self::CannotLoad => Failure::passing(AgentErrorKind::SessionNotFound, &self),
            Self::NotUnderstood { .. } | Self::Version(_) => {
                Failure::lasting(AgentErrorKind::Protocol, &self)
            }
            Self::Pipe(_) | Self::Stopped => Failure::passing(AgentErrorKind::Io, &self),
            Self::Unwritten(_) => Failure::lasting(AgentErrorKind::Io, &self),
        }
    }
}

fn ended(phase: Phase, end: &End) -> Failure {
    let command = &end.command;
    match (end.code, phase) {
        (Some(126 | 127), Phase::Initialize) => Failure {
            kind: AgentErrorKind::Config,
            message: format!(
                "the agent `{command}` cannot be started ({end}): install it, or set acp_command \
                 to the one simple command that starts it"
            ),
            retryable: false,
        },
        (_, Phase::Initialize) => Failure {
            kind: AgentErrorKind::Protocol,
            message: format!(
                "the agent `{command}` ended without a word of the Agent Client Protocol ({end}): \
                 is it a version that speaks it?"
            ),
            retryable: false,
        },
        (_, Phase::NewSession | Phase::LoadSession | Phase::Prompt) => Failure {
            kind: match phase {
                // A session that ends the agent each time it is loaded would never get well.
                Phase::LoadSession => AgentErrorKind::SessionNotFound,
                Phase::Initialize | Phase::NewSession | Phase::Prompt => AgentErrorKind::Upstream,
            },
            message: format!("{} ({end})", Trouble::Ended(phase)),
            retryable: true,
        },
    }
}

fn refused(trouble: &Trouble, phase: Phase, error: &Error) -> Failure {
    if has_no_model(phase, error) {
        return Failure {
            kind: AgentErrorKind::Config,
            message: format!(
                "the agent has no model to ask ({}): {WAY_TO_A_MODEL}",
                told(error)
            ),
            retryable: false,
        };
    }
    match (error.code, phase) {
        (ErrorCode::AuthRequired, _) => Failure::lasting(AgentErrorKind::Auth, trouble),
        // Whatever the reason is, a new session has none of it.
        (_, Phase::LoadSession) => Failure::passing(AgentErrorKind::SessionNotFound, trouble),
        (ErrorCode::InternalError, _) => Failure::passing(AgentErrorKind::Upstream, trouble),
        _ => Failure::lasting(AgentErrorKind::Request, trouble),
    }
}

/// Before a prompt nothing but a missing login asks for one; after it, a model may be missing
/// all the same.
fn has_no_model(phase: Phase, error: &Error) -> bool {
    let says = |words: &str| error.message.to_lowercase().contains(words);
    let unset = says("llm is not set") || says("llm not set") || says("no model configured");
    unset || (error.code == ErrorCode::AuthRequired && phase != Phase::Prompt)
}

/// The agent's words; details it adds are for its own log.
fn told(error: &Error) -> &str {
    if error.message.trim().is_empty() {
        "it does not say why"
    } else {
        &error.message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(phase: Phase, code: i32, message: &str, expected: (AgentErrorKind, bool)) {
        let error = Error::new(code, message);
        let failure = Trouble::Refused { phase, error }.into_failure(&End::default());
        assert_eq!((failure.kind, failure.retryable), expected, "{failure}");
    }

    #[test]
    fn a_refusal_is_told_by_what_can_be_done_about_it() {
        use AgentErrorKind::{Auth, Config, Request, SessionNotFound, Upstream};
        let required = "Authentication required";
        check(Phase::NewSession, -32000, required, (Config, false));
        check(Phase::LoadSession, -32000, required, (Config, false));
        let refused = "Authentication required: 401 Invalid Authentication";
        check(Phase::Prompt, -32000, refused, (Auth, false));
        check(Phase::Prompt, -32001, "LLM is not set", (Config, false));
        let unknown = "Invalid params: Unknown sessionId: s1";
        check(Phase::LoadSession, -32602, unknown, (SessionNotFound, true));
        check(Phase::LoadSession, -32002, unknown, (SessionNotFound, true));
        let internal = "Internal error";
        check(
            Phase::LoadSession,
            -32603,
            internal,
            (SessionNotFound, true),
        );
        check(Phase::NewSession, -32603, internal, (Upstream, true));
        check(Phase::Prompt, -32602, "no such thing", (Request, false));
        check(Phase::Prompt, -32603, "Internal error", (Upstream, true));
    }

    #[test]
    fn an_end_without_a_word_is_a_failure_that_says_so() {
        let end = End {
            command: "kimi acp".into(),
            code: Some(0),
            ..End::default()
        };
        let failure = Trouble::Ended(Phase::Initialize).into_failure(&end);
        assert_eq!(failure.kind, AgentErrorKind::Protocol);
        assert!(failure.message.contains("`kimi acp` ended without a word"));
        assert!(failure.message.contains("exit code 0"), "{failure}");
    }
}
