//! Who does the thinking: our own agent, or another program.

use std::path::PathBuf;

use super::credential::CredentialProblem;
use super::{Environment, Model, SettingsError};

/// `NANOKIMI_ENGINE`, `builtin`: what plays the turn.
#[derive(Clone, Debug)]
pub(crate) enum Engine {
    /// `builtin`: we ask the model ourselves.
    Builtin(Model),
    /// `acp`: a program that speaks the Agent Client Protocol.
    Acp(AcpAgent),
}

/// The program, and what it needs.
#[derive(Clone, Debug)]
pub(crate) struct AcpAgent {
    /// `NANOKIMI_ACP_COMMAND`, `kimi acp`: one simple command for bash, with variables before it
    /// if need be (`FOO=1 kimi acp`).
    pub command: String,
    pub access: Access,
}

/// How the program gets to a model.
#[derive(Clone, Debug)]
pub(crate) enum Access {
    /// With the key that our own agent would use.
    Key(Model),
    /// `NANOKIMI_KIMI_LOGIN`, `/workspace/kimi-login`: a folder with the `config.toml` and the
    /// `credentials` that `kimi login` has left. Its tokens are used in place, since they rotate;
    /// its settings are copied.
    Login(PathBuf),
    /// Whatever it finds in its home.
    Own,
}

impl Engine {
    pub(super) fn read(environment: &Environment) -> Result<Self, SettingsError> {
        const ENGINE: &str = "NANOKIMI_ENGINE";
        match environment.text(ENGINE)? {
            None | Some("builtin") => Ok(Self::Builtin(Model::read(environment)?)),
            Some("acp") => Ok(Self::Acp(AcpAgent::read(environment)?)),
            Some(other) => Err(SettingsError::Wrong {
                name: ENGINE,
                value: other.to_owned(),
                expected: "`builtin` or `acp`",
            }),
        }
    }
}

impl AcpAgent {
    fn read(environment: &Environment) -> Result<Self, SettingsError> {
        let command = environment.text("NANOKIMI_ACP_COMMAND")?;
        Ok(Self {
            command: command.unwrap_or("kimi acp").to_owned(),
            access: Access::read(environment)?,
        })
    }
}

impl Access {
    fn read(environment: &Environment) -> Result<Self, SettingsError> {
        let login = environment.folder("NANOKIMI_KIMI_LOGIN", "/workspace/kimi-login");
        match Model::read(environment) {
            Ok(model) => Ok(Self::Key(model)),
            Err(SettingsError::Credential(CredentialProblem::NoKey { .. })) => {
                let is_there = login.join("config.toml").is_file();
                Ok(if is_there {
                    Self::Login(login)
                } else {
                    Self::Own
                })
            }
            Err(error) => Err(error),
        }
    }
}
