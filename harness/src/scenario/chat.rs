//! The chats of a scenario: over HTTP, or on WhatsApp as a group or with one person.

use indexmap::IndexMap;
use mock_server::whatsapp::Addressing;
use mock_server::yaml::{Document, Mistake, Node, Span};
use schemars::JsonSchema;
use serde::Deserialize;

/// A chat and the group it belongs to, registered when nanokimi first runs. With nothing
/// behind its name (`ada:`) it is a chat over HTTP, left to register itself with its first
/// message; with `group` or `direct` it is one on WhatsApp.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Chat {
    /// The group's folder; the chat's name if it is not given.
    pub(crate) folder: Option<String>,
    /// The text that calls the assistant, e.g. `@Kai`.
    pub(crate) trigger: Option<String>,
    /// Whether a message must begin with the trigger to be answered; yes if there is one, and
    /// in groups on WhatsApp.
    pub(crate) requires_trigger: Option<bool>,
    /// A group on WhatsApp, by the number before its `@g.us`.
    pub(crate) group: Option<u64>,
    /// Who is in the group, by name; `owner`, whose phone nanokimi is linked with, always is.
    pub(crate) members: Vec<String>,
    /// What the group is called; the chat's name if it is not given.
    pub(crate) subject: Option<String>,
    /// How the group names its members on the wire; by phone number if it is not given.
    pub(crate) addressing: Option<Addressing>,
    /// A chat on WhatsApp with this person.
    pub(crate) direct: Option<String>,
    /// Whether nanokimi serves the chat from its first start on; yes if it is not given.
    pub(crate) registered: Option<bool>,
}

impl Chat {
    #[must_use]
    pub(crate) fn is_on_whatsapp(&self) -> bool {
        self.group.is_some() || self.direct.is_some()
    }

    /// The options of `nanokimi groups register` that say when the assistant is meant.
    #[must_use]
    pub(crate) fn calling(&self) -> Vec<&str> {
        match (&self.trigger, self.requires_trigger) {
            (_, Some(false)) => vec!["--always"],
            (Some(trigger), Some(true) | None) => vec!["--trigger", trigger],
            (None, Some(true)) => Vec::new(),
            // A group is other people's; whoever writes to the assistant alone means it.
            (None, None) if self.group.is_some() => Vec::new(),
            (None, None) => vec!["--always"],
        }
    }
}

/// Adds what does not fit together in the chats.
pub(super) fn check(
    document: &Document,
    chats: &IndexMap<String, Option<Chat>>,
    mistakes: &mut Vec<Mistake>,
) {
    let mut groups: IndexMap<u64, &str> = IndexMap::new();
    for (name, chat) in chats {
        let Some(chat) = chat else { continue };
        let mut checked = Checked {
            written: document
                .root()
                .get("chats")
                .and_then(|chats| chats.get(name)),
            document,
            mistakes,
        };
        checked.kind(chat);
        if name == "main" && *chat != Chat::default() {
            let help = "give another chat these settings";
            checked.mistake(None, "the chat `main` is always there, as it is", help);
        }
        if let Some(other) = chat.group.and_then(|id| groups.insert(id, name)) {
            let message = format!("this is the group `{other}`");
            checked.mistake(
                Some("group"),
                &message,
                "give each group a number of its own",
            );
        }
    }
}

struct Checked<'a> {
    document: &'a Document,
    written: Option<&'a Node>,
    mistakes: &'a mut Vec<Mistake>,
}

impl Checked<'_> {
    fn kind(&mut self, chat: &Chat) {
        if chat.group.is_some() && chat.direct.is_some() {
            let help = "take one of them out, or write two chats";
            self.mistake(
                Some("direct"),
                "a chat is a group or with one person, not both",
                help,
            );
        }
        let of_groups = [
            ("members", !chat.members.is_empty()),
            ("subject", chat.subject.is_some()),
            ("addressing", chat.addressing.is_some()),
        ];
        for (key, _) in of_groups.iter().filter(|(_, given)| *given) {
            if chat.group.is_none() {
                let message = format!("only a group has `{key}`");
                self.mistake(Some(key), &message, "add `group: 120363000000000001`");
            }
        }
        if chat.registered.is_some() && !chat.is_on_whatsapp() {
            let help =
                "a chat over HTTP that is not registered is one with nothing behind its name";
            let message = "`registered` means nothing for a chat over HTTP";
            self.mistake(Some("registered"), message, help);
        }
        for person in chat.members.iter().chain(&chat.direct) {
            self.person(person);
        }
    }

    fn person(&mut self, name: &str) {
        let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
        if name.is_empty() || !name.chars().all(plain) {
            let message = format!("`{name}` is no name of a person here");
            self.mistake(
                None,
                &message,
                "write small letters and digits, as in `ada`",
            );
        }
    }

    fn mistake(&mut self, key: Option<&str>, message: &str, help: &str) {
        let part = key.and_then(|key| self.written.and_then(|chat| chat.get(key)));
        let span = part
            .or(self.written)
            .map_or_else(|| self.document.root().span(), Node::span);
        self.told(span, message, help);
    }

    fn told(&mut self, span: Span, message: &str, help: &str) {
        self.mistakes
            .push(Mistake::new(span, message.to_owned()).help(help));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let chat: Chat = mock_server::yaml::read("c.yaml", text).unwrap();
        assert_eq!(chat.calling(), expected, "{text}");
    }

    #[test]
    fn a_group_wants_a_call_and_a_person_does_not() {
        check("{}", &["--always"]);
        check("{ trigger: hey }", &["--trigger", "hey"]);
        check("{ group: 1 }", &[]);
        check("{ group: 1, requires_trigger: false }", &["--always"]);
        check("{ group: 1, trigger: hey }", &["--trigger", "hey"]);
        check("{ direct: ada }", &["--always"]);
        check("{ direct: ada, requires_trigger: true }", &[]);
    }
}
