//! One message as a few lines: who speaks, what is said, and what is called.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::alias::Aliases;
use super::elide;
use crate::llm::went_well;

const INDENT: &str = "   ";

#[derive(Deserialize)]
struct Message {
    role: String,
    #[serde(default)]
    content: Content,
    reasoning_content: Option<String>,
    /// What OpenRouter calls it; some clients send both.
    reasoning: Option<String>,
    tool_calls: Option<Vec<Call>>,
    tool_call_id: Option<String>,
    /// Of Anthropic's results.
    is_error: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(untagged)]
enum Content {
    #[default]
    Absent,
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    r#type: String,
    text: Option<String>,
}

#[derive(Deserialize)]
struct Call {
    id: String,
    function: Function,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    arguments: String,
}

/// Reads the messages of a conversation, and remembers how calls are named in it.
#[derive(Default)]
pub(super) struct Reader {
    /// By the id of the call: `bash#1`.
    calls: BTreeMap<String, String>,
    /// How many calls of each tool there are.
    counts: BTreeMap<String, usize>,
}

impl Reader {
    /// The message without its place: `user: hello`.
    pub(super) fn read(&mut self, message: &Value, aliases: &mut Aliases<'_>) -> String {
        let Ok(message) = Message::deserialize(message) else {
            let shown = elide::line(&aliases.stable(&message.to_string()));
            return format!("unreadable: {shown}");
        };
        let calls = message.tool_calls.as_deref().unwrap_or(&[]);
        let calls = calls.iter().map(|call| self.call(call, aliases));
        let calls: Vec<String> = calls.collect();
        let text = aliases.stable(&message.content.text());
        let thought = message.reasoning_content.or(message.reasoning);
        let thought = aliases.stable(&thought.unwrap_or_else(String::new));
        let speaker = match message.role.as_str() {
            "tool" => {
                let said = went_well(&text);
                let ok = message.is_error.map_or(said, |failed| !failed);
                self.tool(message.tool_call_id.as_deref(), ok)
            }
            role => role.to_owned(),
        };
        Shown {
            speaker,
            text,
            thought,
            calls,
        }
        .lines()
        .join("\n")
    }

    fn call(&mut self, call: &Call, aliases: &mut Aliases<'_>) -> String {
        let name = self.name(&call.id, &call.function.name);
        let arguments = &call.function.arguments;
        // Clients put white space where they like.
        let compact = serde_json::from_str::<Value>(arguments).map(|value| value.to_string());
        let arguments = compact.unwrap_or_else(|_malformed| format!("malformed {arguments:?}"));
        format!("calls {name} {}", elide::line(&aliases.stable(&arguments)))
    }

    fn tool(&mut self, id: Option<&str>, ok: bool) -> String {
        let outcome = if ok { "ok" } else { "failed" };
        let name = id.map_or_else(|| "of no call".to_owned(), |id| self.name(id, "unknown"));
        format!("tool {name} {outcome}")
    }

    fn name(&mut self, id: &str, tool: &str) -> String {
        if let Some(name) = self.calls.get(id) {
            return name.clone();
        }
        let count = self.counts.entry(tool.to_owned()).or_default();
        *count += 1;
        let name = format!("{tool}#{count}");
        self.calls.insert(id.to_owned(), name.clone());
        name
    }
}

struct Shown {
    speaker: String,
    text: String,
    thought: String,
    calls: Vec<String>,
}

impl Shown {
    /// On one line what fits there.
    fn lines(&self) -> Vec<String> {
        let said = elide::lines(&self.text);
        let mut lines = match said.as_slice() {
            [] if self.thought.is_empty() && self.calls.is_empty() => {
                return vec![format!("{} says nothing", self.speaker)];
            }
            [] => Vec::new(),
            [line] => vec![format!("{}: {line}", self.speaker)],
            said => {
                let below = said.iter().map(|line| format!("{INDENT}{line}"));
                [format!("{}:", self.speaker)]
                    .into_iter()
                    .chain(below)
                    .collect()
            }
        };
        let thought = elide::lines(&self.thought).into_iter();
        let more = thought
            .map(|line| format!("thinks {line}"))
            .chain(self.calls.iter().cloned());
        for line in more {
            let begin = if lines.is_empty() {
                format!("{} ", self.speaker)
            } else {
                INDENT.to_owned()
            };
            lines.push(begin + &line);
        }
        lines
    }
}

impl Content {
    fn text(&self) -> String {
        match self {
            Self::Absent => String::new(),
            Self::Text(text) => text.clone(),
            Self::Parts(parts) => {
                let shown = parts.iter().map(|part| match &part.text {
                    Some(text) => text.clone(),
                    None => format!("[{}]", part.r#type),
                });
                shown.collect::<Vec<_>>().join("\n")
            }
        }
    }
}
