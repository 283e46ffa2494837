//! Below which paths the services are found.
//!
//! OpenAI and Moonshot's open platform both live on `/v1`, as clients are told to write it.
//! There the model decides: `kimi…` and `moonshot…` are Moonshot's, all others OpenAI's.
//! Who wants to be sure writes `/openai/v1` or `/moonshot/v1`.

use serde::Deserialize;

use crate::llm::dialect::Dialect;

/// A path, and who answers below it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mount {
    pub(crate) path: &'static str,
    whose: Whose,
}

#[derive(Clone, Copy, Debug)]
enum Whose {
    One(Dialect),
    /// OpenAI's or Moonshot's.
    AsAsked,
}

impl Mount {
    pub(crate) const ALL: [Self; 5] = [
        Self::shared("/v1"),
        Self::of("/openai/v1", Dialect::OpenAi),
        Self::of("/moonshot/v1", Dialect::Moonshot),
        Self::of("/api/v1", Dialect::OpenRouter),
        Self::of("/coding/v1", Dialect::Kimi),
    ];

    const fn of(path: &'static str, dialect: Dialect) -> Self {
        Self {
            path,
            whose: Whose::One(dialect),
        }
    }

    const fn shared(path: &'static str) -> Self {
        Self {
            path,
            whose: Whose::AsAsked,
        }
    }

    /// Whether the service can be asked for below this path.
    pub(crate) fn serves(self, dialect: Dialect) -> bool {
        match self.whose {
            Whose::One(one) => one == dialect,
            Whose::AsAsked => matches!(dialect, Dialect::OpenAi | Dialect::Moonshot),
        }
    }

    /// Whether several services are found here.
    pub(crate) fn is_shared(self) -> bool {
        matches!(self.whose, Whose::AsAsked)
    }

    /// Who answers this request; what is no request with a model is OpenAI's.
    pub(crate) fn dialect(self, body: &[u8]) -> Dialect {
        match self.whose {
            Whose::One(dialect) => dialect,
            Whose::AsAsked if asks_moonshot(body) => Dialect::Moonshot,
            Whose::AsAsked => Dialect::OpenAi,
        }
    }
}

impl Dialect {
    /// Whose model is asked at this path, which may have more before it than ours.
    pub(crate) fn asked_at(path: &str, body: &[u8]) -> Option<Self> {
        let own = [Self::Anthropic, Self::Responses];
        let own = own.into_iter().find(|one| path.ends_with(one.endpoint()));
        let chat = || {
            let below = path.strip_suffix(Self::OpenAi.endpoint())?;
            let fitting = Mount::ALL
                .iter()
                .filter(|mount| below.ends_with(mount.path));
            let longest = fitting.max_by_key(|mount| mount.path.len());
            Some(longest.map_or(Self::OpenAi, |mount| mount.dialect(body)))
        };
        own.or_else(chat)
    }
}

fn asks_moonshot(body: &[u8]) -> bool {
    /// Nothing else is read, so this is one quick look.
    #[derive(Deserialize)]
    struct Addressed<'a> {
        model: &'a str,
    }
    const MAKERS: [&str; 2] = ["kimi", "moonshot"];
    // Most requests hold neither word, and need not be read for it.
    if let Ok(text) = str::from_utf8(body)
        && !MAKERS.iter().any(|maker| text.contains(maker))
    {
        return false;
    }
    serde_json::from_slice::<Addressed<'_>>(body).is_ok_and(|addressed| {
        let mut makers = MAKERS.iter();
        makers.any(|maker| addressed.model.starts_with(maker))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, body: &str, dialect: Dialect) {
        let mount = Mount::ALL.into_iter().find(|mount| mount.path == path);
        assert_eq!(mount.unwrap().dialect(body.as_bytes()), dialect, "{body}");
    }

    #[test]
    fn on_the_shared_path_the_model_decides() {
        check("/v1", r#"{"model":"kimi-k2.6"}"#, Dialect::Moonshot);
        check("/v1", r#"{"model":"moonshot-v1-8k"}"#, Dialect::Moonshot);
        check("/v1", r#"{"model":"gpt-5"}"#, Dialect::OpenAi);
        check("/v1", r#"{"model":"my-kimi"}"#, Dialect::OpenAi);
        check("/v1", "{}", Dialect::OpenAi);
        check("/v1", "oops", Dialect::OpenAi);
    }

    #[test]
    fn elsewhere_the_path_decides() {
        let body = r#"{"model":"kimi-k2.6"}"#;
        check("/openai/v1", body, Dialect::OpenAi);
        check("/moonshot/v1", r#"{"model":"gpt-5"}"#, Dialect::Moonshot);
        check("/api/v1", body, Dialect::OpenRouter);
        check("/coding/v1", body, Dialect::Kimi);
    }
}
