//! The tools that reach the orchestrator, by themselves: for an agent that brings all others.

use std::path::Path;

use serde_json::{Map, Value};

use super::ipc::{Caller, IpcFolder};
use super::request::{self, ToolRequest};
use super::{ToolOutcome, ToolSpec, catalogue};

/// The same tools as a [`Toolbox`](super::Toolbox)'s, less those that do something here.
#[derive(Debug)]
pub(crate) struct IpcTools {
    offered: Vec<ToolSpec>,
    folder: IpcFolder,
}

impl IpcTools {
    pub(crate) fn new(folder: &Path, caller: Caller) -> Self {
        Self {
            offered: catalogue::offered_over_ipc(caller.is_main),
            folder: IpcFolder::new(folder, caller),
        }
    }

    /// What the model is told of.
    pub(crate) fn offered(&self) -> &[ToolSpec] {
        &self.offered
    }

    pub(crate) fn call(&mut self, name: &str, arguments: &Map<String, Value>) -> ToolOutcome {
        match request::request(name, arguments, &self.offered) {
            Ok(ToolRequest::Ipc(request)) => self.folder.leave_request(request).into(),
            Ok(ToolRequest::Here(_)) => {
                ToolOutcome::failed(format_args!("`{name}` is no tool of this server"))
            }
            Err(unusable) => ToolOutcome::failed(unusable),
        }
    }
}
