//! An agent of the Agent Client Protocol that follows a script: it hears what it must hear, in
//! order, and says what is written, byte for byte. It is a bash script, so a real process.
//!
//! It keeps what it has heard in `heard` beside itself.

use std::path::Path;

use serde_json::{Value, json};

use crate::stage::Stage;

/// The script, line by line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Double {
    lines: Vec<String>,
}

/// Waits for a line that holds `$1`; anything else ends the agent, and the turn with it.
const HEAR: &str = r#"
cd "$(dirname "$0")"
hear() {
    IFS= read -r line || { echo "expected $1, stdin has ended" >&2; exit 8; }
    printf '%s\n' "$line" >>heard
    case "$line" in *"$1"*) ;; *) echo "expected $1, heard $line" >&2; exit 9 ;; esac
}
"#;

impl Double {
    /// An agent that says nothing by itself.
    pub(crate) fn silent() -> Self {
        Self::default()
    }

    /// An agent that has shaken hands.
    pub(crate) fn greeted() -> Self {
        Self::silent().hears("initialize").answers(
            1,
            &json!({"protocolVersion": 1, "agentCapabilities": {"loadSession": true}}),
        )
    }

    /// An agent that has been asked something in its session `s1`.
    pub(crate) fn asked() -> Self {
        Self::greeted()
            .hears("session/new")
            .answers(2, &json!({"sessionId": "s1"}))
            .hears("session/prompt")
    }

    pub(crate) fn hears(self, method: &str) -> Self {
        self.runs(&format!("hear '\"method\":\"{method}\"'"))
    }

    /// Hears the answer to a question of its own.
    pub(crate) fn hears_answer(self) -> Self {
        self.runs("hear '\"id\":'")
    }

    pub(crate) fn answers(self, id: u64, result: &Value) -> Self {
        self.says(&json!({"jsonrpc": "2.0", "id": id, "result": result}))
    }

    pub(crate) fn refuses(self, id: u64, code: i64, message: &str) -> Self {
        let error = json!({"code": code, "message": message});
        self.says(&json!({"jsonrpc": "2.0", "id": id, "error": error}))
    }

    pub(crate) fn tells(self, update: &Value) -> Self {
        let params = json!({"sessionId": "s1", "update": update});
        self.says(&json!({"jsonrpc": "2.0", "method": "session/update", "params": params}))
    }

    pub(crate) fn writes(self, text: &str) -> Self {
        let content = json!({"type": "text", "text": text});
        self.tells(&json!({"sessionUpdate": "agent_message_chunk", "content": content}))
    }

    pub(crate) fn says(self, message: &Value) -> Self {
        self.prints(&message.to_string())
    }

    pub(crate) fn prints(self, line: &str) -> Self {
        let quoted = line.replace('\'', r"'\''");
        self.runs(&format!("printf '%s\\n' '{quoted}'"))
    }

    /// Any line of bash.
    pub(crate) fn runs(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// The end of the turn, which is the third question.
    pub(crate) fn ends(self, reason: &str) -> Self {
        self.answers(3, &json!({"stopReason": reason}))
    }

    /// Leaves a line in the log that the Kimi CLI keeps of the session.
    pub(crate) fn logs(self, entry: &Value) -> Self {
        let folder = "$KIMI_CODE_HOME/sessions/w/s1/agents/main";
        self.runs(&format!(
            "mkdir -p {folder}; echo '{entry}' >>{folder}/wire.jsonl"
        ))
    }

    pub(crate) fn write_to(&self, path: &Path) {
        let script = format!("{HEAR}{}\n", self.lines.join("\n"));
        fs_err::write(path, script).unwrap();
    }
}

/// The messages that the agent of a stage has heard.
pub(crate) fn heard(stage: &Stage) -> Vec<Value> {
    let text = stage.read("heard");
    let read = |line: &str| serde_json::from_str(line).unwrap();
    text.lines().map(read).collect()
}

/// The text of the last question that it was asked.
pub(crate) fn question(stage: &Stage) -> String {
    let heard = heard(stage);
    let asked = heard.iter().rev().find(|m| m["method"] == "session/prompt");
    let text = &asked.unwrap()["params"]["prompt"][0]["text"];
    text.as_str().unwrap().to_owned()
}
