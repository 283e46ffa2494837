//! What the model may do besides talking.
//!
//! A tool's failure is an answer to the model, never the end of the turn: it can read it and
//! do better. Nothing here judges whether a request to the orchestrator is allowed.

use std::error::Error;
use std::fmt;

use agent_protocol::AgentInput;

use crate::completion::RequestedCall;
use crate::failure::chain;
use crate::settings::{Model, Secret, Settings};

mod bash;
mod catalogue;
mod excerpt;
mod files;
mod ipc;
mod ipc_tools;
mod leash;
mod page_text;
mod request;
mod schedule;
mod web_fetch;

pub(crate) use catalogue::ToolSpec;
pub(crate) use excerpt::Excerpt;
pub(crate) use ipc::Caller;
pub(crate) use ipc_tools::IpcTools;
pub use leash::{AGENT_LEASH, LEASH, hold_agent_leash, hold_leash};
pub(crate) use request::ReadCall;

use bash::Shell;
use files::GroupFiles;
use ipc::IpcFolder;
use request::{LocalRequest, ToolRequest};

/// The tools of one turn, and what they have started.
#[derive(Debug)]
pub(crate) struct Toolbox {
    offered: Vec<ToolSpec>,
    shell: Shell,
    files: GroupFiles,
    ipc: IpcFolder,
    key: Secret,
}

/// What a tool answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ToolOutcome {
    pub ok: bool,
    /// As the model reads it; begins with `error: ` when not ok.
    pub output: String,
}

impl ToolOutcome {
    pub(crate) fn done(output: impl Into<String>) -> Self {
        Self {
            ok: true,
            output: output.into(),
        }
    }

    pub(crate) fn failed(reason: impl fmt::Display) -> Self {
        Self {
            ok: false,
            output: format!("error: {reason}"),
        }
    }
}

impl<E: Error> From<Result<String, E>> for ToolOutcome {
    fn from(result: Result<String, E>) -> Self {
        match result {
            Ok(output) => Self::done(output),
            Err(error) => Self::failed(chain(&error)),
        }
    }
}

impl Toolbox {
    pub(crate) fn new(settings: &Settings, model: &Model, input: &AgentInput) -> Self {
        Self {
            offered: catalogue::offered(input.is_main),
            shell: Shell::new(settings),
            files: GroupFiles::new(&settings.folders.group),
            ipc: IpcFolder::new(&settings.folders.ipc, Caller::from(input)),
            key: model.key.clone(),
        }
    }

    /// What the model is told of.
    pub(crate) fn offered(&self) -> &[ToolSpec] {
        &self.offered
    }

    pub(crate) fn read(&self, call: RequestedCall) -> ReadCall {
        request::read_call(call, &self.offered)
    }

    /// Does what is asked. The output never holds the model's key, however it was come by.
    pub(crate) async fn run(&mut self, request: ToolRequest) -> ToolOutcome {
        let outcome = self.act(request).await;
        ToolOutcome {
            output: self.key.mask(outcome.output),
            ..outcome
        }
    }

    async fn act(&mut self, request: ToolRequest) -> ToolOutcome {
        match request {
            ToolRequest::Here(LocalRequest::Bash(command)) => self.shell.run(&command).await,
            ToolRequest::Here(LocalRequest::WebFetch(page)) => web_fetch::fetch(&page).await.into(),
            ToolRequest::Here(LocalRequest::ReadFile(part)) => self.files.read(&part).into(),
            ToolRequest::Here(LocalRequest::WriteFile(file)) => self.files.write(&file).into(),
            ToolRequest::Here(LocalRequest::EditFile(edit)) => self.files.edit(&edit).into(),
            ToolRequest::Ipc(request) => self.ipc.leave_request(request).into(),
        }
    }

    /// Ends every process that a command has left running.
    pub(crate) async fn close(&mut self) {
        self.shell.close().await;
    }
}
