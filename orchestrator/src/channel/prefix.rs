//! How the assistant's words are told from people's on a number that it shares with its owner.
//!
//! Whatever the owner's own devices send comes back to us as `from me`. On a number of its own
//! the assistant is the only one who writes there; on a shared one its texts begin with its name.

use crate::config::Config;

/// The rule of this installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Prefix {
    /// Everything that this number sends is the assistant's.
    OwnNumber,
    /// What begins so is.
    Shared(String),
}

impl Prefix {
    #[must_use]
    pub(crate) fn of(config: &Config) -> Self {
        if config.assistant_has_own_number {
            Self::OwnNumber
        } else {
            Self::Shared(format!("{}:", config.assistant_name))
        }
    }

    /// A text as it leaves.
    #[must_use]
    pub(crate) fn before(&self, text: &str) -> String {
        match self {
            Self::OwnNumber => text.to_owned(),
            // A picture without a word is known by its id alone.
            Self::Shared(_) if text.is_empty() => String::new(),
            Self::Shared(prefix) => format!("{prefix} {text}"),
        }
    }

    /// How many characters it adds.
    #[must_use]
    pub(crate) fn width(&self) -> usize {
        match self {
            Self::OwnNumber => 0,
            Self::Shared(prefix) => prefix.chars().count() + 1,
        }
    }

    /// Whether what came in is the assistant's own. Nobody else's words ever are, however they
    /// begin.
    #[must_use]
    pub(crate) fn is_ours(&self, from_me: bool, text: &str) -> bool {
        from_me
            && match self {
                Self::OwnNumber => true,
                Self::Shared(prefix) => text.starts_with(prefix.as_str()),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_shared_number_the_assistant_is_known_by_its_name() {
        let shared = Prefix::Shared("Kai:".to_owned());
        assert_eq!(shared.before("Hello."), "Kai: Hello.");
        assert!(shared.is_ours(true, &shared.before("Hello.")));
        assert!(!shared.is_ours(true, "Hello."), "its owner writes");
        assert!(!shared.is_ours(false, "Kai: hello"), "somebody quotes it");
        assert!(!shared.is_ours(true, "kai: hello"), "its owner writes");
    }

    #[test]
    fn on_a_number_of_its_own_the_assistant_writes_alone() {
        let own = Prefix::OwnNumber;
        assert_eq!(own.before("Hello."), "Hello.");
        assert!(own.is_ours(true, "Hello."));
        assert!(!own.is_ours(false, "Hello."));
    }
}
