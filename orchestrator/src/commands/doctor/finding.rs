//! What one check has found.

use std::fmt;

use serde::{Serialize, Serializer};

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    Settings,
    Process,
    Api,
    Folders,
    Secrets,
    Disk,
    Logs,
    Store,
    Clock,
    Sessions,
    WhatsApp,
    Runner,
    Engine,
    Image,
    Containers,
    Credential,
    AcpCommand,
    Login,
    Workspaces,
}

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Ok,
    /// It works, but not as somebody may believe.
    Warning,
    /// Something does not work until the way out is taken.
    Broken,
}

/// `{"check": "image", "state": "broken", "cause": "…", "way_out": "…"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) check: Check,
    pub(super) state: State,
    /// What was found, in one line; where all is well, how it stands.
    pub(super) cause: String,
    /// What to do; none where all is well.
    pub(super) way_out: Option<String>,
}

impl Check {
    fn word(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Process => "process",
            Self::Api => "api",
            Self::Folders => "folders",
            Self::Secrets => "secrets",
            Self::Disk => "disk",
            Self::Logs => "logs",
            Self::Store => "store",
            Self::Clock => "clock",
            Self::Sessions => "sessions",
            Self::WhatsApp => "whatsapp",
            Self::Runner => "runner",
            Self::Engine => "engine",
            Self::Image => "image",
            Self::Containers => "containers",
            Self::Credential => "credential",
            Self::AcpCommand => "acp_command",
            Self::Login => "login",
            Self::Workspaces => "workspaces",
        }
    }
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Broken => "broken",
        }
    }
}

impl Finding {
    pub(super) fn ok(check: Check, found: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Ok,
            cause: found.into(),
            way_out: None,
        }
    }

    pub(super) fn warning(
        check: Check,
        cause: impl Into<String>,
        way_out: impl Into<String>,
    ) -> Self {
        Self {
            check,
            state: State::Warning,
            cause: cause.into(),
            way_out: Some(way_out.into()),
        }
    }

    pub(super) fn broken(
        check: Check,
        cause: impl Into<String>,
        way_out: impl Into<String>,
    ) -> Self {
        Self {
            state: State::Broken,
            ..Self::warning(check, cause, way_out)
        }
    }

    /// The same with every text changed.
    pub(super) fn told(self, change: impl Fn(&str) -> String) -> Self {
        Self {
            cause: change(&self.cause),
            way_out: self.way_out.as_deref().map(change),
            ..self
        }
    }
}

/// `broken   image: the image `x` is not there → make it`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (state, check) = (self.state.word(), self.check.word());
        write!(f, "{state:<8} {check}: {}", self.cause)?;
        match &self.way_out {
            Some(way_out) => write!(f, " → {way_out}"),
            None => Ok(()),
        }
    }
}
