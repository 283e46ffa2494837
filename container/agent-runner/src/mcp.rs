//! `agent-runner mcp`: the tools that reach the orchestrator, for an agent that has all others.
//!
//! A server of the Model Context Protocol on stdin and stdout. The agent starts it; who asks, and
//! where requests are left, stands in its environment. What a tool takes and does is decided in
//! `tools` alone, for this server and for our own agent alike.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation,
    ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{QuitReason, RequestContext, ServerInitializeError};
use rmcp::{ErrorData, RoleServer, ServerHandler, ServiceExt};

use crate::failure::chain;
use crate::settings::{Environment, IPC_DIR, SettingsError, ipc_folder};
use crate::tools::{Caller, IpcTools, ToolOutcome, ToolSpec};

/// The argument that makes this program such a server.
pub const MCP: &str = "mcp";

/// The server's name; agents put it before the names of its tools.
pub(crate) const SERVER: &str = "nanokimi";

const CHAT: &str = "NANOKIMI_CHAT_JID";
const GROUP: &str = "NANOKIMI_GROUP_FOLDER";
const IS_MAIN: &str = "NANOKIMI_IS_MAIN";

/// Why the tools were not served, or not to the end. Its text holds its causes.
#[derive(Debug, thiserror::Error)]
#[error("{}", chain(.0))]
pub struct McpError(McpErrorKind);

#[derive(Debug, thiserror::Error)]
enum McpErrorKind {
    #[error("the environment of the tool server is wrong")]
    Settings(#[from] SettingsError),
    #[error("the agent did not open the conversation as the Model Context Protocol has it")]
    Opening(#[from] Box<ServerInitializeError>),
    #[error("the tool server broke")]
    Broken(#[from] tokio::task::JoinError),
}

/// Serves until stdin ends.
pub async fn serve_tools(environment: Environment) -> Result<(), McpError> {
    serve(&environment).await.map_err(McpError)
}

async fn serve(environment: &Environment) -> Result<(), McpErrorKind> {
    let tools = IpcTools::new(&ipc_folder(environment), caller(environment)?);
    let served = Counter(Mutex::new(tools))
        .serve(rmcp::transport::stdio())
        .await
        .map_err(Box::new)?;
    match served.waiting().await? {
        QuitReason::JoinError(error) => Err(error.into()),
        QuitReason::Cancelled | QuitReason::Closed => Ok(()),
        _ => Ok(()),
    }
}

fn caller(environment: &Environment) -> Result<Caller, SettingsError> {
    Ok(Caller {
        chat: environment.given(CHAT)?.to_owned(),
        group: environment.given(GROUP)?.to_owned(),
        is_main: match environment.given(IS_MAIN)? {
            "true" => true,
            "false" => false,
            other => {
                return Err(SettingsError::Wrong {
                    name: IS_MAIN,
                    value: other.to_owned(),
                    expected: "`true` or `false`",
                });
            }
        },
    })
}

/// The environment in which the server knows its caller again.
pub(crate) fn environment_for(caller: &Caller, ipc: PathBuf) -> [(&'static str, OsString); 4] {
    [
        (IPC_DIR, ipc.into()),
        (CHAT, caller.chat.clone().into()),
        (GROUP, caller.group.clone().into()),
        (IS_MAIN, caller.is_main.to_string().into()),
    ]
}

/// Where an agent asks for tools. A mutex, since the SDK hands out shared references; nothing
/// waits while it is held.
struct Counter(Mutex<IpcTools>);

impl Counter {
    fn with<T>(&self, act: impl FnOnce(&mut IpcTools) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ServerHandler for Counter {
    fn get_info(&self) -> ServerConfig {
        let tools = ServerCapabilities::builder().enable_tools().build();
        ServerConfig::new(tools)
            .with_server_info(Implementation::new(SERVER, env!("CARGO_PKG_VERSION")))
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = self.with(|tools| tools.offered().iter().map(told).collect());
        Ok(ListToolsResult::with_all_items(tools))
    }

    async fn call_tool(
        &self,
        call: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = call.arguments.unwrap_or_default();
        let ToolOutcome { ok, output } = self.with(|tools| tools.call(&call.name, &arguments));
        let content = vec![ContentBlock::text(output)];
        let result = if ok {
            CallToolResult::success(content)
        } else {
            CallToolResult::error(content)
        };
        Ok(result.into())
    }
}

fn told(tool: &ToolSpec) -> Tool {
    Tool::new(tool.name, tool.about, Arc::new(tool.schema()))
}
