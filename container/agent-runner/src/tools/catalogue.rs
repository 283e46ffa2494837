//! The tools as the model is told of them.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// One tool: a name, what it is for, and what it takes. Serialises as the completion API's
/// function tool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ToolSpec {
    pub name: &'static str,
    pub about: &'static str,
    parameters: &'static [Parameter],
    /// Only the main group is offered it.
    main_only: bool,
    /// It leaves a request for the orchestrator.
    pub over_ipc: bool,
}

#[derive(Clone, Copy, Debug)]
struct Parameter {
    name: &'static str,
    about: &'static str,
    shape: Shape,
    required: bool,
}

#[derive(Clone, Copy, Debug)]
enum Shape {
    Text,
    OneOf(&'static [&'static str]),
    Whole,
    YesNo,
}

/// What a turn's model is offered.
pub(super) fn offered(is_main: bool) -> Vec<ToolSpec> {
    let fits = |tool: &&ToolSpec| is_main || !tool.main_only;
    TOOLS.iter().filter(fits).copied().collect()
}

/// Those of them that reach the orchestrator: what an agent that brings tools of its own lacks.
pub(super) fn offered_over_ipc(is_main: bool) -> Vec<ToolSpec> {
    let mut tools = offered(is_main);
    tools.retain(|tool| tool.over_ipc);
    tools
}

const SCHEDULE_TYPES: Shape = Shape::OneOf(&["cron", "interval", "once"]);
const SCHEDULE_VALUE: &str = "cron: five fields, local time, e.g. `0 9 * * 1-5`; interval: a number and a unit, e.g. `5m`; once: a local date and time, e.g. `2026-01-05T09:00`";
const TASK_ID: Parameter = must("task_id", Shape::Text, "as list_tasks shows it");

const TOOLS: [ToolSpec; 14] = [
    tool(
        "bash",
        "Runs a command with bash in your working folder and returns its exit code and output. What it leaves running in the background ends with this turn.",
        &[
            must("command", Shape::Text, "the command line"),
            may(
                "timeout_ms",
                Shape::Whole,
                "ends the command after this time; 120000 when absent, at most 1800000",
            ),
        ],
    ),
    tool(
        "read_file",
        "Reads a text file.",
        &[
            must(
                "path",
                Shape::Text,
                "relative to your working folder, or absolute",
            ),
            may("offset", Shape::Whole, "first line to read, counted from 1"),
            may(
                "limit",
                Shape::Whole,
                "how many lines to read; 2000 when absent",
            ),
        ],
    ),
    tool(
        "write_file",
        "Writes a file, replacing what was there; makes its folders.",
        &[
            must(
                "path",
                Shape::Text,
                "relative to your working folder, or absolute",
            ),
            must("content", Shape::Text, "the whole new content"),
        ],
    ),
    tool(
        "edit_file",
        "Replaces a piece of text in a file. The piece must occur exactly once unless `all` is true.",
        &[
            must(
                "path",
                Shape::Text,
                "relative to your working folder, or absolute",
            ),
            must(
                "old",
                Shape::Text,
                "the piece as it stands in the file, to the blank",
            ),
            must("new", Shape::Text, "what to put in its place"),
            may("all", Shape::YesNo, "replace every occurrence"),
        ],
    ),
    tool(
        "web_fetch",
        "Fetches a web page and returns its text.",
        &[must("url", Shape::Text, "an http or https address")],
    ),
    ask(
        "send_message",
        "Says something in the chat now, while you work on. Your final answer is sent without it.",
        &[
            must("text", Shape::Text, "what to say"),
            may(
                "media",
                Shape::Text,
                "a file below your folder to send along, e.g. chart.png; text is its caption",
            ),
            may(
                "sender",
                Shape::Text,
                "a name to speak under, where the chat can show one",
            ),
        ],
    ),
    ask(
        "schedule_task",
        "Asks for a task that wakes you later or again, with a prompt of your own.",
        &[
            must(
                "prompt",
                Shape::Text,
                "what you will be asked then; say all you need to know",
            ),
            must(
                "schedule_type",
                SCHEDULE_TYPES,
                "how schedule_value is read",
            ),
            must("schedule_value", Shape::Text, SCHEDULE_VALUE),
            may(
                "context_mode",
                Shape::OneOf(&["group", "isolated"]),
                "group (when absent): in this conversation; isolated: in one of its own",
            ),
            may(
                "target_group_jid",
                Shape::Text,
                "main group only: the chat to speak in",
            ),
        ],
    ),
    ask(
        "list_tasks",
        "Lists the tasks as they were when this turn began.",
        &[],
    ),
    ask("pause_task", "Asks to pause a task.", &[TASK_ID]),
    ask("resume_task", "Asks to resume a paused task.", &[TASK_ID]),
    ask("cancel_task", "Asks to remove a task for good.", &[TASK_ID]),
    ask(
        "update_task",
        "Asks to change a task's prompt or schedule.",
        &[
            TASK_ID,
            may("prompt", Shape::Text, "the new prompt"),
            may("schedule_type", SCHEDULE_TYPES, "the new kind of schedule"),
            may("schedule_value", Shape::Text, SCHEDULE_VALUE),
        ],
    ),
    for_main(
        "register_group",
        "Asks to make a chat one of your groups, with a folder of its own.",
        &[
            must(
                "jid",
                Shape::Text,
                "the chat, as available_groups.json lists it",
            ),
            must("name", Shape::Text, "what people call it"),
            must(
                "folder",
                Shape::Text,
                "lower-case letters, digits, `-` and `_`",
            ),
            must(
                "trigger",
                Shape::Text,
                "how people address you there, e.g. `@Kai`",
            ),
            may(
                "requires_trigger",
                Shape::YesNo,
                "false: answer every message",
            ),
        ],
    ),
    for_main(
        "refresh_groups",
        "Asks to renew the list of chats in available_groups.json.",
        &[],
    ),
];

const fn tool(
    name: &'static str,
    about: &'static str,
    parameters: &'static [Parameter],
) -> ToolSpec {
    ToolSpec {
        name,
        about,
        parameters,
        main_only: false,
        over_ipc: false,
    }
}

const fn ask(
    name: &'static str,
    about: &'static str,
    parameters: &'static [Parameter],
) -> ToolSpec {
    ToolSpec {
        over_ipc: true,
        ..tool(name, about, parameters)
    }
}

const fn for_main(
    name: &'static str,
    about: &'static str,
    parameters: &'static [Parameter],
) -> ToolSpec {
    ToolSpec {
        main_only: true,
        ..ask(name, about, parameters)
    }
}

const fn must(name: &'static str, shape: Shape, about: &'static str) -> Parameter {
    Parameter {
        name,
        about,
        shape,
        required: true,
    }
}

const fn may(name: &'static str, shape: Shape, about: &'static str) -> Parameter {
    Parameter {
        required: false,
        ..must(name, shape, about)
    }
}

impl Serialize for ToolSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Function {
            name: &'static str,
            description: &'static str,
            parameters: Map<String, Value>,
        }
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("type", "function")?;
        map.serialize_entry(
            "function",
            &Function {
                name: self.name,
                description: self.about,
                parameters: self.schema(),
            },
        )?;
        map.end()
    }
}

impl ToolSpec {
    /// The JSON Schema of its arguments.
    pub(crate) fn schema(&self) -> Map<String, Value> {
        let properties: Map<String, Value> = self
            .parameters
            .iter()
            .map(|parameter| (parameter.name.to_owned(), parameter.schema()))
            .collect();
        let required: Vec<&str> = self
            .parameters
            .iter()
            .filter(|parameter| parameter.required)
            .map(|parameter| parameter.name)
            .collect();
        Map::from_iter([
            ("type".to_owned(), "object".into()),
            ("properties".to_owned(), properties.into()),
            ("required".to_owned(), required.into()),
            ("additionalProperties".to_owned(), false.into()),
        ])
    }
}

impl Parameter {
    fn schema(&self) -> Value {
        let about = self.about;
        match self.shape {
            Shape::Text => serde_json::json!({"type": "string", "description": about}),
            Shape::OneOf(words) => {
                serde_json::json!({"type": "string", "enum": words, "description": about})
            }
            Shape::Whole => {
                serde_json::json!({"type": "integer", "minimum": 1, "description": about})
            }
            Shape::YesNo => serde_json::json!({"type": "boolean", "description": about}),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(is_main: bool) -> Vec<&'static str> {
        offered(is_main).iter().map(|tool| tool.name).collect()
    }

    #[test]
    fn only_the_main_group_is_offered_the_groups() {
        assert!(names(true).contains(&"register_group"));
        assert!(!names(false).contains(&"register_group"));
        assert!(!names(false).contains(&"refresh_groups"));
    }

    #[test]
    fn nothing_that_runs_or_writes_here_goes_over_ipc() {
        let names: Vec<&str> = offered_over_ipc(false)
            .iter()
            .map(|tool| tool.name)
            .collect();
        let ours = [
            "send_message",
            "schedule_task",
            "list_tasks",
            "pause_task",
            "resume_task",
            "cancel_task",
            "update_task",
        ];
        assert_eq!(names, ours);
        assert_eq!(offered_over_ipc(true).len(), ours.len() + 2);
    }

    #[test]
    fn a_tool_has_the_shape_of_the_api() {
        let bash = serde_json::to_value(TOOLS[0]).unwrap();
        assert_eq!(bash["type"], "function");
        assert_eq!(bash["function"]["name"], "bash");
        let parameters = &bash["function"]["parameters"];
        assert_eq!(parameters["required"], serde_json::json!(["command"]));
        assert_eq!(parameters["properties"]["timeout_ms"]["type"], "integer");
    }
}
