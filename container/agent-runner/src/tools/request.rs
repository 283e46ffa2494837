//! A tool call, from the text the model wrote to a type.

use agent_protocol::{ContextMode, ScheduleType};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::ToolSpec;
use crate::completion::RequestedCall;
use crate::conversation::{CallKind, FunctionCall, ToolCall};

/// A call of the model, read.
#[derive(Debug)]
pub(crate) struct ReadCall {
    /// As it goes into the history: its arguments are JSON in any case.
    pub spoken: ToolCall,
    /// As it is told: what the model wrote, also where that is no JSON.
    pub arguments: Value,
    pub request: Result<ToolRequest, UnusableCall>,
}

/// What the model asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ToolRequest {
    Here(LocalRequest),
    Ipc(IpcRequest),
}

/// Done by the agent itself.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "name", content = "arguments", rename_all = "snake_case")]
pub(crate) enum LocalRequest {
    Bash(Command),
    ReadFile(FilePart),
    WriteFile(NewFile),
    EditFile(Edit),
    WebFetch(Page),
}

/// Left for the orchestrator.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "name", content = "arguments", rename_all = "snake_case")]
pub(crate) enum IpcRequest {
    SendMessage(Saying),
    ScheduleTask(NewTask),
    ListTasks(Nothing),
    PauseTask(NamedTask),
    ResumeTask(NamedTask),
    CancelTask(NamedTask),
    UpdateTask(TaskChange),
    RegisterGroup(NewGroup),
    RefreshGroups(Nothing),
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Command {
    pub command: String,
    pub timeout_ms: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FilePart {
    pub path: String,
    /// The first line, counted from 1.
    pub offset: Option<usize>,
    /// Lines.
    pub limit: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewFile {
    pub path: String,
    pub content: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Edit {
    pub path: String,
    pub old: String,
    pub new: String,
    #[serde(default)]
    pub all: bool,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    pub url: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Saying {
    #[serde(default)]
    pub text: String,
    pub sender: Option<String>,
    pub media: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTask {
    pub prompt: String,
    pub schedule_type: ScheduleType,
    pub schedule_value: String,
    pub context_mode: Option<ContextMode>,
    pub target_group_jid: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NamedTask {
    pub task_id: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskChange {
    pub task_id: String,
    pub prompt: Option<String>,
    pub schedule_type: Option<ScheduleType>,
    pub schedule_value: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewGroup {
    pub jid: String,
    pub name: String,
    pub folder: String,
    pub trigger: String,
    pub requires_trigger: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// A call that names no tool of ours, or does not say what the tool needs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnusableCall {
    #[error("there is no tool `{name}`; the tools are {}", tools.join(", "))]
    NoSuchTool {
        name: String,
        tools: Vec<&'static str>,
    },
    #[error("the arguments are not a JSON object: {0}")]
    Malformed(serde_json::Error),
    #[error("the arguments do not fit `{name}`: {problem}")]
    Unfit {
        name: String,
        problem: serde_json::Error,
    },
}

/// Reads a call. Only tools that were offered can be asked for.
pub(super) fn read_call(call: RequestedCall, offered: &[ToolSpec]) -> ReadCall {
    // A tool that takes nothing is often called with no text at all.
    let written = match call.arguments.trim() {
        "" => "{}",
        written => written,
    };
    let parsed = serde_json::from_str::<Map<String, Value>>(written);
    let (history, request, told) = match parsed {
        Ok(arguments) => (
            written.to_owned(),
            request(&call.name, &arguments, offered),
            Value::Object(arguments),
        ),
        Err(error) => (
            "{}".to_owned(),
            Err(UnusableCall::Malformed(error)),
            Value::String(call.arguments),
        ),
    };
    ReadCall {
        spoken: ToolCall {
            id: call.id,
            kind: CallKind::Function,
            function: FunctionCall {
                name: call.name,
                arguments: history,
            },
        },
        arguments: told,
        request,
    }
}

/// Reads a call whose arguments are an object already.
pub(super) fn request(
    name: &str,
    arguments: &Map<String, Value>,
    offered: &[ToolSpec],
) -> Result<ToolRequest, UnusableCall> {
    let Some(tool) = offered.iter().find(|tool| tool.name == name) else {
        return Err(UnusableCall::NoSuchTool {
            name: name.to_owned(),
            tools: offered.iter().map(|tool| tool.name).collect(),
        });
    };
    let call = json!({"name": name, "arguments": arguments});
    let read = if tool.over_ipc {
        serde_json::from_value(call).map(ToolRequest::Ipc)
    } else {
        serde_json::from_value(call).map(ToolRequest::Here)
    };
    read.map_err(|problem| UnusableCall::Unfit {
        name: name.to_owned(),
        problem,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::catalogue::offered;

    fn read(name: &str, arguments: &str) -> ReadCall {
        let call = RequestedCall {
            id: "c1".into(),
            name: name.into(),
            arguments: arguments.into(),
        };
        read_call(call, &offered(false))
    }

    #[track_caller]
    fn check_unusable(name: &str, arguments: &str, complaint: &str) {
        let told = read(name, arguments).request.unwrap_err().to_string();
        assert!(told.contains(complaint), "{told}");
    }

    #[test]
    fn every_offered_tool_is_understood() {
        // Whatever is missing, it is not the tool.
        for tool in offered(true) {
            let call = RequestedCall {
                name: tool.name.into(),
                ..RequestedCall::default()
            };
            if let Err(error) = read_call(call, &offered(true)).request {
                assert!(error.to_string().contains("missing field"), "{error}");
            }
        }
    }

    #[test]
    fn a_call_that_cannot_be_used_says_why() {
        check_unusable(
            "fly",
            "{}",
            "there is no tool `fly`; the tools are bash, read_file",
        );
        check_unusable("register_group", "{}", "there is no tool `register_group`");
        check_unusable("bash", "{}", "do not fit `bash`: missing field `command`");
        check_unusable(
            "bash",
            "{\"command\":\"ls\",\"cwd\":\"/\"}",
            "unknown field `cwd`",
        );
        check_unusable("bash", "{\"command\":\"ec", "not a JSON object: EOF");
        check_unusable("bash", "[1]", "not a JSON object");
        let task = r#"{"prompt":"p","schedule_type":"daily","schedule_value":"x"}"#;
        check_unusable("schedule_task", task, "unknown variant `daily`");
    }

    #[test]
    fn broken_arguments_are_told_but_not_kept() {
        let call = read("bash", "{\"command\": \"echo broken");
        assert_eq!(call.arguments, json!("{\"command\": \"echo broken"));
        assert_eq!(call.spoken.function.arguments, "{}");
    }

    #[test]
    fn no_text_means_no_arguments() {
        let call = read("list_tasks", "");
        assert_eq!(
            call.request.unwrap(),
            ToolRequest::Ipc(IpcRequest::ListTasks(Nothing {}))
        );
        assert_eq!(call.spoken.function.arguments, "{}");
    }
}
