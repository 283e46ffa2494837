//! The settings of what agents are given to get to a model.

use std::path::{Path, PathBuf};

use super::sources::Sources;

/// What of the operator's means agents are given.
#[derive(Clone, Debug)]
pub(crate) struct AuthSettings {
    pub forward: AuthForward,
    /// Where a login of the Kimi CLI may lie; the first that is there is taken.
    pub sources: Vec<PathBuf>,
}

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuthForward {
    /// A key; without one, a copy of the login.
    Sync,
    /// A key, and never a login.
    ApiKey,
    /// Neither.
    Ignore,
}

/// The homes of the Kimi CLI below a user's, the newer one first.
const HOMES: [&str; 2] = [".kimi-code", ".kimi"];

const FORWARD: &str = "`sync`, `api_key` or `ignore` (never `oauth_token`: a token of Kimi's is \
     good for minutes, and what renews it comes only with the whole login, as by `sync`)";

impl AuthSettings {
    pub(super) fn read(
        (root, home): (&Path, Option<&Path>),
        sources: &mut Sources,
        has_key: bool,
    ) -> Option<Self> {
        // Each is read before any is missed, so that all problems are told at once.
        let forward = sources.read("auth_forward", FORWARD, forward);
        let source = sources.read_optional("auth_source", "a folder", |text| folder(root, text));
        if forward == Some(AuthForward::ApiKey) && !has_key {
            sources.object(
                "auth_forward",
                "`api_key` needs a key: put OPENROUTER_API_KEY or MOONSHOT_API_KEY into .env or \
                 the environment",
            );
        }
        Some(Self {
            forward: forward?,
            sources: match (source?, home) {
                (Some(source), _) => vec![source],
                (None, Some(home)) => HOMES.map(|name| home.join(name)).into(),
                (None, None) => Vec::new(),
            },
        })
    }

    pub(super) fn forwards_keys(&self) -> bool {
        match self.forward {
            AuthForward::Sync | AuthForward::ApiKey => true,
            AuthForward::Ignore => false,
        }
    }
}

fn forward(text: &str) -> Option<AuthForward> {
    match text {
        "sync" => Some(AuthForward::Sync),
        "api_key" => Some(AuthForward::ApiKey),
        "ignore" => Some(AuthForward::Ignore),
        _unknown => None,
    }
}

/// A folder that is there; paths are relative to the root.
fn folder(root: &Path, text: &str) -> Option<PathBuf> {
    let folder = root.join(text);
    folder.is_dir().then_some(folder)
}
