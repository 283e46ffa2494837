//! The cast of a story on WhatsApp: which people, chats and messages its steps may name.
//!
//! Looks at names as they are written; whether somebody is in a group at that moment, the mock
//! says when the step is played.

use mock_server::yaml::{At, Content, Document, Mistake, Node, one_of};

use super::ScenarioFile;
use super::sought::{Never, Sought};
use super::step::{Hear, Step};

/// Whose phone nanokimi is linked with.
pub(crate) const OWNER: &str = "owner";

/// Adds each name that nothing stands behind.
pub(super) fn check(document: &Document, file: &ScenarioFile, mistakes: &mut Vec<Mistake>) {
    let mut cast = Cast::of(document, file);
    for step in file.steps.iter().chain(&file.finally) {
        let Some(written) = written(document, step) else {
            continue;
        };
        match &step.value {
            Step::Say(_) | Step::Burst(_) | Step::Phone(_) => {
                cast.names_in(written, "", mistakes);
            }
            Step::Hear(hear)
            | Step::Never(Never {
                sought: Sought::Heard(hear),
                ..
            }) => cast.hear(hear, mistakes),
            Step::Ask(ask) => cast.asked(&ask.chat, mistakes),
            Step::Ipc(_)
            | Step::Expect(_)
            | Step::Never(_)
            | Step::Clock(_)
            | Step::Start(_)
            | Step::Stop(_)
            | Step::Restart(_)
            | Step::Release(_)
            | Step::Fault(_)
            | Step::Store(_)
            | Step::Storage(_)
            | Step::Box(_)
            | Step::Engine(_)
            | Step::Settle(_)
            | Step::Snapshot(_)
            | Step::Run(_)
            | Step::Ended(_) => {}
        }
    }
}

/// Whom and what `${jid.…}` may name.
pub(super) fn jids(document: &Document, file: &ScenarioFile) -> Vec<String> {
    let cast = Cast::of(document, file);
    cast.chats.into_iter().chain(cast.people).collect()
}

/// The chats that steps make, and those under `chats` that are on WhatsApp.
pub(super) fn chats(document: &Document, file: &ScenarioFile) -> Vec<String> {
    Cast::of(document, file).chats
}

struct Cast {
    chats: Vec<String>,
    people: Vec<String>,
    /// What steps so far have given a name.
    messages: Vec<String>,
}

impl Cast {
    fn of(document: &Document, file: &ScenarioFile) -> Self {
        let mut cast = Self {
            chats: Vec::new(),
            people: vec![OWNER.to_owned()],
            messages: Vec::new(),
        };
        for (name, chat) in &file.chats {
            let Some(chat) = chat.as_ref().filter(|chat| chat.is_on_whatsapp()) else {
                continue;
            };
            cast.chats.push(name.clone());
            cast.people.extend(chat.members.iter().cloned());
            cast.people.extend(chat.direct.clone());
        }
        for step in file.steps.iter().chain(&file.finally) {
            let made = written(document, step).and_then(|step| step.get("phone"));
            if let Some(group) = made.and_then(|phone| phone.get("create_group")) {
                cast.chats
                    .extend(texts(group.get("name").or(group.get("chat"))));
                cast.people.extend(texts(group.get("members")));
            }
            if let Some(added) = made.and_then(|phone| phone.get("add")) {
                cast.people.extend(texts(added.get("people")));
            }
        }
        cast
    }

    /// Looks at everything below a step; the key above a text says what the text names.
    fn names_in(&mut self, node: &Node, key: &str, mistakes: &mut Vec<Mistake>) {
        match node.content() {
            Content::Map(entries) => {
                // Its own keys say what it makes.
                let makes = key == "create_group";
                for (key, value) in entries.iter().filter(|_| !makes) {
                    self.names_in(value, &key.name, mistakes);
                }
            }
            Content::List(items) => {
                for item in items {
                    self.names_in(item, key, mistakes);
                }
            }
            Content::Text { text, .. } => self.named(key, text, node, mistakes),
            Content::Null | Content::Bool(_) | Content::Number(_) => {}
        }
    }

    fn named(&mut self, key: &str, name: &str, node: &Node, mistakes: &mut Vec<Mistake>) {
        let (what, known) = match key {
            "chat" => {
                let people = self.people.iter();
                (
                    "chat on WhatsApp",
                    self.chats.iter().chain(people).collect(),
                )
            }
            "from" | "person" | "people" | "mentions" => ("person", self.people.iter().collect()),
            "message" | "reply_to" => ("message", self.messages.iter().collect()),
            "as" => {
                self.messages.push(name.to_owned());
                return;
            }
            _ => return,
        };
        let known: Vec<&String> = known;
        let is_wire_id = name.contains('@') || (key != "chat" && looks_made(name));
        if known.iter().any(|known| *known == name) || name.contains("${") || is_wire_id {
            return;
        }
        let help = one_of(name, known.into_iter().map(String::as_str));
        let message = format!("unknown {what} `{name}`");
        mistakes.push(Mistake::new(node.span(), message).help(help));
    }

    fn hear(&mut self, hear: &Hear, mistakes: &mut Vec<Mistake>) {
        self.messages.extend(hear.called.as_deref().cloned());
        if self.chats.contains(&hear.chat.value) {
            return;
        }
        let of_whatsapp = [
            ("as", hear.called.as_ref().map(|name| name.span)),
            ("kind", hear.kind.as_ref().map(|one| one.span)),
            ("quoted", hear.quoted.as_ref().map(|one| one.span)),
            ("mentions", hear.mentions.as_ref().map(|one| one.span)),
            ("media", hear.media.as_ref().map(|one| one.span)),
            ("heard_by", hear.heard_by.as_ref().map(|one| one.span)),
        ];
        for (key, span) in of_whatsapp {
            if let Some(span) = span {
                let message = format!("`{key}` means nothing for a chat over HTTP");
                let help = "give the chat a `group` or say whom it is `direct` with";
                mistakes.push(Mistake::new(span, message).help(help));
            }
        }
    }

    fn asked(&self, chat: &At<String>, mistakes: &mut Vec<Mistake>) {
        if self.chats.contains(&chat.value) {
            let message = format!("`{}` is on WhatsApp, where nobody is asked", chat.value);
            let help = "write `say`, and `hear` for the answer";
            mistakes.push(Mistake::new(chat.span, message).help(help));
        }
    }
}

/// An id as phones and clients make them.
fn looks_made(name: &str) -> bool {
    let of_id = |letter: char| letter.is_ascii_uppercase() || letter.is_ascii_digit();
    name.len() >= 12 && name.chars().all(of_id)
}

/// The text itself, or the texts of a list.
fn texts(node: Option<&Node>) -> Vec<String> {
    match node.map(Node::content) {
        Some(Content::Text { text, .. }) => vec![text.clone()],
        Some(Content::List(items)) => items.iter().flat_map(|item| texts(Some(item))).collect(),
        Some(Content::Null | Content::Bool(_) | Content::Number(_) | Content::Map(_)) | None => {
            Vec::new()
        }
    }
}

/// The step as it stands in the file.
fn written<'a>(document: &'a Document, step: &At<Step>) -> Option<&'a Node> {
    let parts = ["steps", "finally"].map(|part| document.root().get(part).map(Node::content));
    let items = parts.into_iter().flatten().flat_map(|part| match part {
        Content::List(items) => items.as_slice(),
        Content::Null
        | Content::Bool(_)
        | Content::Number(_)
        | Content::Text { .. }
        | Content::Map(_) => &[],
    });
    let mut items = items;
    items.find(|item| item.span() == step.span)
}
