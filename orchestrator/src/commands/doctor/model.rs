//! What agents reach their model with. No secret, nor a part of one, is shown.

use std::path::Path;

use super::finding::{Check, Finding};
use super::kimi;
use crate::config::{Config, Engine, LlmKey};

const TO_SET: &str =
    "put OPENROUTER_API_KEY=… or MOONSHOT_API_KEY=… into .env, and start nanokimi again";

pub(super) fn credential(root: &Path, config: &Config) -> Finding {
    match (&config.llm_key, config.engine.engine) {
        (Some(key), _) => form(key, config.llm_base_url.is_some()),
        (None, Engine::Acp) if kimi::has_login(root, config) => Finding::ok(
            Check::Credential,
            "no key is set; agents use the login of the Kimi CLI",
        ),
        (None, Engine::Acp) => Finding::warning(
            Check::Credential,
            "there is neither a key nor a login of the Kimi CLI: the program of acp_command must find its model by itself",
            TO_SET,
        ),
        (None, Engine::Builtin) => Finding::broken(
            Check::Credential,
            "there is no key for the model, so agents can only say so",
            TO_SET,
        ),
    }
}

/// What keys of the providers begin with.
const OPENROUTER: &str = "sk-or-";
const MOONSHOT: &str = "sk-";

fn form(key: &LlmKey, has_own_address: bool) -> Finding {
    let (name, value) = (key.name, key.value.expose());
    if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        let cause = format!("{name} holds spaces or signs that no key has");
        return Finding::broken(
            Check::Credential,
            cause,
            "copy the key once more, all of it",
        );
    }
    // Behind an address of one's own, keys look as they like.
    let fits = has_own_address
        || match name {
            "OPENROUTER_API_KEY" => value.starts_with(OPENROUTER),
            _moonshot => value.starts_with(MOONSHOT) && !value.starts_with(OPENROUTER),
        };
    if fits {
        return Finding::ok(Check::Credential, format!("{name} is set"));
    }
    let cause = format!("{name} does not begin as the keys of its provider do");
    let way_out = "take an OPENROUTER_API_KEY (sk-or-…) from openrouter.ai, or a MOONSHOT_API_KEY (sk-…) from Moonshot's platform; for another provider set llm_base_url";
    Finding::broken(Check::Credential, cause, way_out)
}
