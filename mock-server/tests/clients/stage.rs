//! A mock with the script of a case, and what it must have been sent in the end.

use mock_server::{MockOptions, MockServer, yaml};
use serde_json::Value;

use super::cases::Case;

/// A longer text is a client's own, such as its system prompt.
const SHOWN: usize = 400;

pub(crate) struct Stage {
    server: MockServer,
}

impl Stage {
    pub(crate) async fn set(case: &Case) -> Self {
        let server = MockServer::start(MockOptions::default()).await.unwrap();
        let script = yaml::read(case.name, case.script);
        let script = script.unwrap_or_else(|mistakes| panic!("{mistakes}"));
        server.llm().add(script).unwrap();
        Self { server }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// The whole journal, for failures.
    pub(crate) fn story(&self) -> String {
        let entries = self.server.journal().entries();
        let lines = entries.iter().map(|entry| entry.to_string());
        format!(
            "the journal holds:\n  {}",
            lines.collect::<Vec<_>>().join("\n  ")
        )
    }

    /// The model was told what the case says, said all it had to, and nothing else came.
    pub(crate) async fn ends_as(self, case: &Case) {
        let entries = self.server.journal().entries();
        let requests = entries.iter().filter(|entry| entry.event == "llm.request");
        let told: Vec<_> = requests
            .map(|entry| told(&entry.fields["messages"]))
            .collect();
        assert_eq!(told, case.told, "`{}`\n{}", case.name, self.story());
        let unsaid: Vec<_> = self.server.llm().unsaid();
        assert!(unsaid.is_empty(), "{unsaid:?}\n{}", self.story());
        let unexpected = self.server.unexpected();
        assert_eq!(unexpected.len(), case.unexpected, "{unexpected:#?}");
        self.server.join().await.unwrap();
    }
}

/// A conversation as one line: who said what, who called what, and what came of it. Without what
/// a client adds in the user's name.
fn told(messages: &Value) -> String {
    let messages = messages.as_array().unwrap().iter();
    let real = messages.filter(|message| {
        let content = message["content"].as_str();
        content.is_none_or(|text| !text.starts_with("<system-reminder>"))
    });
    let messages = real.map(|message| {
        let mut line = vec![format!("{}:", message["role"].as_str().unwrap())];
        line.extend(text(&message["content"]));
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let function = &call["function"];
            let (name, arguments) = (&function["name"], &function["arguments"]);
            line.push(format!(
                "{}{}",
                name.as_str().unwrap(),
                arguments.as_str().unwrap()
            ));
        }
        line.join(" ")
    });
    messages.collect::<Vec<_>>().join(" / ")
}

fn text(content: &Value) -> Option<String> {
    match content {
        Value::String(text) if text.is_empty() => None,
        Value::String(text) if text.len() > SHOWN => Some("…".to_owned()),
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part["text"].as_str());
            Some(texts.collect::<Vec<_>>().join(" "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}
