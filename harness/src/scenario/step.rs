//! The steps of a scenario, one thing that happens each.

use std::borrow::Cow;

use indexmap::IndexMap;
use mock_server::whatsapp::{Control, Saying};
use mock_server::yaml::At;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::Value;

use super::boxes::{Befalling, EngineState};
use super::matcher::Matcher;
use super::phone::{self, Burst};
use super::sought::{Expect, Never, StateName};
use mock_server::{FaultRule, Lapse, StagedStorage};

/// One thing that happens. Steps run in the order they are written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schemars(transform = or_a_bare_word)]
pub(crate) enum Step {
    /// A person writes to a chat over the HTTP chat API.
    Ask(Ask),
    /// A person writes to a chat on WhatsApp.
    Say(Box<Saying>),
    /// A person writes many messages, one after the other.
    Burst(Box<Burst>),
    /// Something else is done with a phone, or befalls the network.
    Phone(#[schemars(schema_with = "phone::schema")] Box<Control>),
    /// The assistant is heard in a chat.
    Hear(Box<Hear>),
    /// A file is dropped into a group's IPC folder, as an agent would.
    Ipc(Drop),
    /// Something happens, or something comes to be.
    Expect(Expect),
    /// Something does not happen while the virtual clock moves on.
    Never(Never),
    /// The virtual clock moves; all that falls due happens on the way.
    Clock(ClockMove),
    /// nanokimi is started.
    Start(Start),
    /// nanokimi is stopped.
    Stop(Stop),
    /// nanokimi is stopped and started again.
    Restart(Restart),
    /// A turn that is held at this gate is answered.
    Release(At<String>),
    /// From now on something goes wrong with requests, by their number.
    Fault(Box<FaultRule>),
    /// Somebody locks nanokimi's store, or frees it: what nanokimi wants to keep waits, for 5 s.
    Store(StoreState),
    /// Something changes in object storage: what lies there, who may do something, or whether it
    /// answers at all. What is not named stays as it is.
    Storage(Box<StagedStorage>),
    /// Something befalls a container: `pause`, `resume`, `disconnect`, `connect`, `kill`.
    Box(Befalling),
    /// nanokimi's way to the container engine is cut, or there again: `down`, `up`.
    Engine(EngineState),
    /// All that is under way comes to its end.
    Settle(Settle),
    /// What came out is compared with the snapshot beside the scenario.
    Snapshot(Vec<At<Subject>>),
    /// A command of nanokimi is run on the same root folder.
    Run(Run),
    /// The command that runs in the background ends.
    Ended(CommandEnd),
}

impl Step {
    /// Whether it is done on somebody's phone, or befalls the network that phones use.
    #[must_use]
    pub(crate) fn needs_phones(&self) -> bool {
        matches!(self, Self::Say(_) | Self::Burst(_) | Self::Phone(_))
    }

    /// What a person writes in it.
    #[must_use]
    pub(crate) fn saying(&self) -> Option<&Saying> {
        if let Self::Phone(control) = self
            && let Control::Say(saying) = &**control
        {
            return Some(saying);
        }
        match self {
            Self::Say(saying) => Some(saying),
            Self::Burst(burst) => Some(&burst.say),
            Self::Phone(_)
            | Self::Ask(_)
            | Self::Hear(_)
            | Self::Ipc(_)
            | Self::Expect(_)
            | Self::Never(_)
            | Self::Clock(_)
            | Self::Start(_)
            | Self::Stop(_)
            | Self::Restart(_)
            | Self::Release(_)
            | Self::Fault(_)
            | Self::Store(_)
            | Self::Storage(_)
            | Self::Box(_)
            | Self::Engine(_)
            | Self::Settle(_)
            | Self::Snapshot(_)
            | Self::Run(_)
            | Self::Ended(_) => None,
        }
    }
}

/// `- settle` is `- settle:` with nothing behind it.
fn or_a_bare_word(schema: &mut Schema) {
    let words = serde_json::json!({ "enum": ["start", "stop", "restart", "settle", "ended"] });
    let steps = schema.get_mut("oneOf").and_then(Value::as_array_mut);
    steps
        .into_iter()
        .for_each(|steps| steps.push(words.clone()));
}

/// A message for the assistant.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ask {
    /// A name under `chats`.
    pub(crate) chat: At<String>,
    pub(crate) text: String,
    /// Who writes.
    pub(crate) from: Option<String>,
    /// Whether the answer is asked for as a stream of events.
    #[serde(default)]
    pub(crate) stream: bool,
    /// Waits for the answer, which must look like this.
    pub(crate) answer: Option<At<Matcher>>,
    /// Waits for the answer, which must have this HTTP status; 200 if only `answer` is given.
    pub(crate) status: Option<At<u16>>,
    /// The longest wait, in real time; 5 s if it is not given.
    pub(crate) within: Option<Lapse>,
}

/// What the assistant must be heard to say.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hear {
    /// A name under `chats`.
    pub(crate) chat: At<String>,
    pub(crate) text: Option<At<Matcher>>,
    /// What later steps call this message; on WhatsApp.
    #[serde(rename = "as")]
    pub(crate) called: Option<At<String>>,
    /// `text`, `image`, …; on WhatsApp.
    pub(crate) kind: Option<At<Matcher>>,
    /// The message it quotes; on WhatsApp.
    pub(crate) quoted: Option<At<Matcher>>,
    /// The people it mentions; on WhatsApp.
    pub(crate) mentions: Option<At<Matcher>>,
    /// The file that comes with it; on WhatsApp.
    pub(crate) media: Option<At<Matcher>>,
    /// The people whose phones could read it; on WhatsApp.
    pub(crate) heard_by: Option<At<Matcher>>,
    /// How often in all, since the scenario began; once after the last that was heard
    /// if it is not given.
    pub(crate) count: Option<At<Matcher>>,
    /// The longest wait, in real time; 5 s if it is not given.
    pub(crate) within: Option<Lapse>,
}

/// A file in `data/ipc/<group>/`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Drop {
    /// The group's folder.
    pub(crate) group: String,
    /// The name of the file; a number of its own if it is not given.
    pub(crate) name: Option<String>,
    /// Content for the `messages` folder, as JSON.
    pub(crate) message: Option<IndexMap<String, Value>>,
    /// Content for the `tasks` folder, as JSON.
    pub(crate) task: Option<IndexMap<String, Value>>,
    /// Content for the `tasks` folder, just as it is written here.
    pub(crate) raw: Option<String>,
    /// A symbolic link to this path instead of a file.
    pub(crate) symlink: Option<String>,
    /// A FIFO instead of a file.
    #[serde(default)]
    pub(crate) fifo: bool,
    /// A file of this many bytes of spaces.
    pub(crate) size: Option<u64>,
}

/// What is dropped, of which there is exactly one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum DropContent<'a> {
    Message(&'a IndexMap<String, Value>),
    Task(&'a IndexMap<String, Value>),
    Raw(&'a str),
    Symlink(&'a str),
    Fifo,
    Size(u64),
}

impl Drop {
    /// The content, or `None` if there is not exactly one.
    #[must_use]
    pub(crate) fn content(&self) -> Option<DropContent<'_>> {
        let given = [
            self.message.as_ref().map(DropContent::Message),
            self.task.as_ref().map(DropContent::Task),
            self.raw.as_deref().map(DropContent::Raw),
            self.symlink.as_deref().map(DropContent::Symlink),
            self.fifo.then_some(DropContent::Fifo),
            self.size.map(DropContent::Size),
        ];
        let mut given = given.into_iter().flatten();
        given.next().filter(|_| given.next().is_none())
    }
}

/// How the virtual clock moves.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum ClockMove {
    /// By this much.
    Advance(Lapse),
    /// To this instant (RFC 3339).
    AdvanceTo(At<String>),
    /// Back by this much, as somebody sets a clock that is wrong.
    SetBack(Lapse),
}

/// How nanokimi is started.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("type" = ["object", "null"]))]
pub(crate) struct Start {
    /// The machine it is started on, from then on: `first` is where the scenario begins, and any
    /// other name, of small letters, digits and `-`, a machine of its own. One that was not named
    /// before is fresh: an empty folder at another path, with the scenario's settings and logins
    /// and those of its `files` that lie outside `data/`, `groups/`, `logs/` and `store/`. What
    /// nanokimi has kept stays behind; only the keys of its device on WhatsApp (`store/auth`) come
    /// along, as an operator brings them who does not link it anew.
    pub(crate) machine: Option<At<String>>,
    /// nanokimi's time zone (IANA name) from then on; the one it had if it is not given.
    pub(crate) tz: Option<At<String>>,
    /// It must refuse to start, with this exit code.
    pub(crate) exit: Option<At<i32>>,
    /// What it must have written to stderr by then.
    pub(crate) stderr: Option<At<Matcher>>,
    /// Whether it is waited for until it is ready; yes if it is not given. One that is not is
    /// waited for by the next `start`.
    #[serde(rename = "await")]
    pub(crate) awaited: bool,
    /// The longest wait, in real time, until it is ready, and again until it is connected; 10 s
    /// if it is not given.
    pub(crate) within: Option<Lapse>,
}

impl Default for Start {
    fn default() -> Self {
        Self {
            machine: None,
            tz: None,
            exit: None,
            stderr: None,
            awaited: true,
            within: None,
        }
    }
}

/// How nanokimi is stopped.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("type" = ["object", "null"]))]
pub(crate) struct Stop {
    pub(crate) how: How,
    pub(crate) at: Moment,
    /// The exit code; 0 after `term` if it is not given.
    pub(crate) exit: Option<At<i32>>,
    /// The longest wait, in real time; 15 s if it is not given.
    pub(crate) within: Option<Lapse>,
}

/// What somebody else does with the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StoreState {
    /// nanokimi can read it, but not write.
    Locked,
    Free,
}

/// How nanokimi is stopped before it is started again.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("type" = ["object", "null"]))]
pub(crate) struct Restart {
    pub(crate) how: How,
    pub(crate) at: Moment,
    /// nanokimi's time zone (IANA name) from then on; the one it had if it is not given.
    pub(crate) tz: Option<At<String>>,
}

/// What ends nanokimi.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum How {
    /// SIGTERM: it may finish.
    #[default]
    Term,
    /// SIGKILL: it may not.
    Kill,
    /// No signal: it has reasons of its own.
    Itself,
}

/// When nanokimi is stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Moment {
    /// When all that is on its way has been told, so that it is the same point in each run.
    #[default]
    Quiet,
    /// At once, in the middle of whatever it does.
    Once,
}

/// Nothing to say.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("type" = ["object", "null"]))]
pub(crate) struct Settle {}

/// A command of nanokimi.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Run {
    /// Its arguments, without `--root`.
    pub(crate) args: Vec<String>,
    /// Whether the story goes on while it runs, until the step `ended`.
    #[serde(default)]
    pub(crate) background: bool,
    /// Its exit code; 0 if it is not given.
    pub(crate) exit: Option<At<i32>>,
    pub(crate) stdout: Option<At<Matcher>>,
    pub(crate) stderr: Option<At<Matcher>>,
    /// The longest wait, in real time; 10 s if it is not given.
    pub(crate) within: Option<Lapse>,
}

/// How the command in the background ends.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("type" = ["object", "null"]))]
pub(crate) struct CommandEnd {
    /// Whether it is told to end, with SIGTERM; it ends by itself if it is not given.
    pub(crate) stop: bool,
    /// Its exit code; 0 if it is not given.
    pub(crate) exit: Option<At<i32>>,
    pub(crate) stdout: Option<At<Matcher>>,
    pub(crate) stderr: Option<At<Matcher>>,
    /// The longest wait, in real time; 10 s if it is not given.
    pub(crate) within: Option<Lapse>,
}

/// What a snapshot shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// What was said in the chats, by whom.
    Transcript,
    /// What the model was sent, request by request, long texts cut short.
    Model,
    /// Everything that happened.
    Journal,
    State(StateName),
}

impl Subject {
    const NAMED: [&'static str; 8] = [
        "transcript",
        "model",
        "journal",
        "db.<table>",
        "files.<glob>",
        "storage.<bucket>",
        "log",
        "engine.containers",
    ];
}

impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Ok(match name.as_str() {
            "transcript" => Self::Transcript,
            "model" => Self::Model,
            "journal" => Self::Journal,
            other => match StateName::parse(other) {
                Some(state) => Self::State(state),
                None => return Err(D::Error::unknown_variant(other, &Self::NAMED)),
            },
        })
    }
}

impl JsonSchema for Subject {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Subject".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^(transcript|model|journal|log|engine\.containers|db\.[a-z_]+|files\..+|storage\..+)$"
        })
    }
}
