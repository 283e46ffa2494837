//! What a scenario file may say. The text of a scenario is its only interface.
//!
//! Read and checked here, played elsewhere: whatever [`load`] returns can be played.

mod background;
mod boxes;
mod cast;
mod chat;
mod check;
mod faults;
mod form;
mod known_names;
mod matcher;
mod matrix;
mod phone;

mod rehearsal;
mod schema;
mod scripts;
mod sought;
mod step;
mod templates;
mod within_root;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;
use jiff::Timestamp;
use mock_server::yaml::{At, Document, Mistakes, Source};
use mock_server::{
    FaultRule, LaneRule, Script, ScriptedServices, ScriptedTurn, StagedStorage, WireRule,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

pub(crate) use boxes::{AgentOf, Befalling, EngineState, Networked, Whose};
pub(crate) use cast::OWNER;
pub(crate) use chat::Chat;
pub use form::{Form, UnknownForm};
pub(crate) use matcher::{Kind, Matcher, Pattern, Test};
pub(crate) use mock_server::Lapse;
pub(crate) use phone::Burst;
pub use schema::schema;
pub(crate) use sought::{Expect, Never, Sought, StateName};
pub(crate) use step::{
    Ask, ClockMove, CommandEnd, Drop, DropContent, Hear, How, Moment, Restart, Run, Start, Step,
    Stop, StoreState, Subject,
};
pub(crate) use templates::{Names, UnknownName};

/// One scenario, ready to be played.
#[derive(Debug)]
pub struct Scenario {
    /// The file, to point at places in it.
    pub(crate) source: Arc<Source>,
    /// Where the file lies.
    pub path: PathBuf,
    /// Which row of the matrix this is.
    pub(crate) row: Option<String>,
    pub(crate) file: ScenarioFile,
    /// What the model may say: the files of `scripts`, then what is written inline.
    pub(crate) scripts: Vec<Script>,
}

/// A scenario as it is written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "A scenario of the nanokimi harness")]
pub(crate) struct ScenarioFile {
    /// One sentence: what a person would notice if this broke.
    pub(crate) story: At<String>,
    /// Words to select scenarios by.
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    /// What it needs beside what every scenario has.
    #[serde(default)]
    pub(crate) requires: Vec<Requirement>,
    /// The forms of the stage it is played on; all of them if it is not given. A comment in the
    /// line above says why not on the others.
    pub(crate) stages: Option<At<Vec<Form>>>,
    /// The longest the whole scenario may take, in real time; 30 s if it is not given.
    pub(crate) timeout: Option<Lapse>,
    /// The frozen clock of the orchestrator.
    #[serde(default)]
    pub(crate) clock: ClockStart,
    /// Keys of `nanokimi.toml`.
    #[serde(default)]
    pub(crate) config: IndexMap<String, Value>,
    /// The chats that take part, by name; `main` is always there.
    #[serde(default)]
    pub(crate) chats: IndexMap<String, Option<Chat>>,
    /// How nanokimi is linked with WhatsApp; needed only where it differs from the usual, or
    /// where no chat is on WhatsApp.
    pub(crate) whatsapp: Option<Linking>,
    /// What the Kimi CLI is logged in with; without it there is a key.
    pub(crate) kimi_login: Option<KimiLogin>,
    /// What the model says, in order.
    #[serde(default)]
    pub(crate) script: Vec<At<ScriptedTurn>>,
    /// Files below `scripts/` whose turns come first, without `.yaml`.
    #[serde(default)]
    pub(crate) scripts: Vec<At<String>>,
    /// Lanes of the model beside `main`, by what their requests have in common.
    #[serde(default)]
    pub(crate) lanes: IndexMap<String, LaneRule>,
    /// Rules of the model's wire that requests need not keep in this scenario.
    #[serde(default)]
    pub(crate) lenient: Vec<WireRule>,
    /// What goes wrong with requests by their number, whatever turn answers them.
    #[serde(default)]
    pub(crate) faults: Vec<At<FaultRule>>,
    /// The services around the model: keys, quotas, accounts, login.
    #[serde(default)]
    pub(crate) services: ScriptedServices,
    /// What lies in object storage before anything happens, and who may do something there.
    #[serde(default)]
    pub(crate) storage: StagedStorage,
    /// Files below the root folder before the first start: path to content.
    #[serde(default)]
    pub(crate) files: IndexMap<String, At<String>>,
    /// Rows of variables; the scenario is played once for each row. `row` names it.
    #[serde(default, rename = "matrix")]
    pub(crate) _matrix: Vec<IndexMap<String, Value>>,
    /// What must not be told apart in journals and snapshots, beside the usual.
    #[serde(default)]
    pub(crate) redact: Vec<Redaction>,
    /// Error-level log lines that belong to the story, as regular expressions.
    #[serde(default)]
    pub(crate) allow: Vec<Pattern>,
    /// What happens, in order.
    pub(crate) steps: Vec<At<Step>>,
    /// Steps that are played at the end, also when an earlier one failed.
    #[serde(default)]
    pub(crate) finally: Vec<At<Step>>,
}

/// Where the frozen clock begins.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("type" = ["object", "null"]))]
pub(crate) struct ClockStart {
    /// An instant with an offset; 2026-01-05T09:00:00Z if it is not given.
    #[schemars(with = "String")]
    pub(crate) start: Timestamp,
    /// The orchestrator's time zone (IANA name); UTC if it is not given.
    pub(crate) tz: Option<String>,
}

impl Default for ClockStart {
    fn default() -> Self {
        Self {
            start: Timestamp::constant(1_767_603_600, 0),
            tz: None,
        }
    }
}

/// How nanokimi is linked with WhatsApp when the scenario begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("type" = ["object", "null"]))]
pub(crate) struct Linking {
    /// Whether it was linked before; yes if it is not given. If it was not, nanokimi runs only
    /// from the step `start` on.
    pub(crate) linked: bool,
    /// Whether each start waits until it is connected; yes if it is not given.
    #[serde(rename = "await")]
    pub(crate) awaited: bool,
}

impl Default for Linking {
    fn default() -> Self {
        Self {
            linked: true,
            awaited: true,
        }
    }
}

/// The tokens that `kimi login` has left behind.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KimiLogin {
    /// Opens the model.
    pub(crate) access: String,
    /// Gets a new pair, once.
    pub(crate) refresh: String,
    /// Whether the CLI can see that the access token has run out; no if it is not given.
    #[serde(default)]
    pub(crate) expired: bool,
    /// Whether it is the operator's own, in their home; else it was made for agents.
    #[serde(default)]
    pub(crate) at_home: bool,
}

/// What a scenario needs beside what every one has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Requirement {
    /// A first pairing: `nanokimi auth` is that of the build which takes the mock for WhatsApp.
    Pairing,
    /// nanokimi is a user without rights of its own who may speak to the container engine, also
    /// where root plays; on the stage `docker`.
    OrdinaryUser,
    /// Agents are the real Kimi CLI, driven by the engine `acp`; the scenario is not played
    /// where the CLI cannot be had.
    Kimi,
}

/// Text that differs from run to run.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Redaction {
    pub(crate) pattern: Pattern,
    /// What is written instead, without brackets.
    #[serde(rename = "as")]
    pub(crate) name: String,
}

/// A scenario file that cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    #[error("{0}")]
    Mistakes(Mistakes),
    #[error("the scenario cannot be read")]
    Unreadable(#[source] std::io::Error),
}

/// Reads a scenario file: one scenario, or one for each row of its matrix.
///
/// # Errors
/// All mistakes of the file, or that it cannot be read.
pub fn load(path: &Path) -> Result<Vec<Scenario>, ScenarioError> {
    let text = fs_err::read_to_string(path).map_err(ScenarioError::Unreadable)?;
    parse(path, &text).map_err(ScenarioError::Mistakes)
}

/// Reads the text of a scenario; `path` is named in mistakes and says where `scripts/` is.
///
/// # Errors
/// All mistakes of the text.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Scenario>, Mistakes> {
    let document = Document::parse(&shown(path), text)?;
    let rows = matrix::rows(&document)?;
    rows.into_iter().map(|row| read_row(path, row)).collect()
}

fn read_row(path: &Path, row: matrix::Row) -> Result<Scenario, Mistakes> {
    let document = &row.document;
    let decoded = document.decode::<ScenarioFile>();
    let mut mistakes = decoded.mistakes;
    let Some(file) = decoded.value else {
        return Err(row.explain(mistakes));
    };
    let scripts = scripts::gather(path, &file, &mut mistakes);
    check::check(document, &file, &scripts, &mut mistakes);
    if !mistakes.is_empty() {
        return Err(row.explain(mistakes));
    }
    Ok(Scenario {
        source: Arc::clone(document.source()),
        path: path.to_owned(),
        row: row.name,
        file,
        scripts,
    })
}

/// The path from the folder that holds `scenarios/` on, so that messages read the same
/// wherever they are made.
pub(crate) fn shown(path: &Path) -> String {
    let parts: Vec<_> = path.components().collect();
    let start = parts
        .iter()
        .rposition(|part| part.as_os_str() == "scenarios" || part.as_os_str() == "tests");
    let shown: PathBuf = parts.into_iter().skip(start.unwrap_or(0)).collect();
    shown.display().to_string()
}

#[cfg(test)]
mod tests;

impl Scenario {
    #[must_use]
    pub fn story(&self) -> &str {
        &self.file.story
    }

    /// Whether it takes the build of nanokimi that can be linked with the mock.
    #[must_use]
    pub fn needs_pairing(&self) -> bool {
        self.file.requires.contains(&Requirement::Pairing)
    }

    /// Whether somebody pulls a cable in it.
    #[must_use]
    pub(crate) fn pulls_a_cable(&self) -> bool {
        let mut steps = self.file.steps.iter().chain(&self.file.finally);
        steps.any(|step| matches!(&step.value, Step::Box(befalling) if befalling.disconnects()))
    }

    /// Whether nanokimi must not be root in it.
    #[must_use]
    pub(crate) fn needs_an_ordinary_user(&self) -> bool {
        self.file.requires.contains(&Requirement::OrdinaryUser)
    }

    /// Whether it has the container engine go away from nanokimi.
    #[must_use]
    pub(crate) fn cuts_the_engine(&self) -> bool {
        let mut steps = self.file.steps.iter().chain(&self.file.finally);
        steps.any(|step| matches!(step.value, Step::Engine(_)))
    }

    /// Whether its agents are the real Kimi CLI.
    #[must_use]
    pub fn needs_kimi(&self) -> bool {
        self.file.requires.contains(&Requirement::Kimi)
    }

    /// Whether it can be played on this form of the stage.
    #[must_use]
    pub fn plays_on(&self, form: Form) -> bool {
        let stages = self.file.stages.as_ref();
        stages.is_none_or(|stages| stages.contains(&form))
    }

    /// How nanokimi is linked with WhatsApp; `None` if the story has nothing to do with it.
    #[must_use]
    pub(crate) fn linking(&self) -> Option<Linking> {
        let mut chats = self.file.chats.values().flatten();
        let mut steps = self.file.steps.iter().chain(&self.file.finally);
        // A step may also be what makes the first chat.
        let mut speaks =
            || chats.any(Chat::is_on_whatsapp) || steps.any(|step| step.needs_phones());
        self.file
            .whatsapp
            .or_else(|| speaks().then(Linking::default))
    }

    /// A path that is written as seen from the scenario's file.
    #[must_use]
    pub(crate) fn beside(&self, path: &Path) -> PathBuf {
        self.path
            .parent()
            .map_or_else(|| path.to_owned(), |folder| folder.join(path))
    }

    #[must_use]
    pub fn tags(&self) -> &[String] {
        &self.file.tags
    }

    /// Everything the steps may wait for, together.
    #[must_use]
    pub fn timeout(&self) -> std::time::Duration {
        // Less than the test runner gives it, so that the story is told.
        const WHOLE: std::time::Duration = std::time::Duration::from_secs(30);
        self.file.timeout.map_or(WHOLE, Lapse::length)
    }

    /// The longest it takes with all that comes after the last step, whatever goes wrong, where so
    /// many share a processor.
    #[must_use]
    pub fn longest(&self, form: Form, crowding: std::num::NonZeroU32) -> std::time::Duration {
        let parts = if self.file.finally.is_empty() { 1 } else { 2 };
        let alone = self.timeout() * parts + crate::outcome::LONGEST_END;
        form.leisurely(alone) * crowding.get()
    }

    /// `bootstrap/identity-is-kept` or `ipc/matrix [paused]`.
    #[must_use]
    pub fn name(&self) -> String {
        let file = shown(&self.path);
        let name = file
            .strip_prefix("scenarios/")
            .map_or(file.as_str(), |name| name);
        let name = name.strip_suffix(".yaml").map_or(name, |name| name);
        match &self.row {
            Some(row) => format!("{name} [{row}]"),
            None => name.to_owned(),
        }
    }
}
