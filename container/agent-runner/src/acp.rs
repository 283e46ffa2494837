//! The engine `acp`: another program plays the turn, and is spoken to in the Agent Client Protocol.
//!
//! It is written for the Kimi CLI (`kimi acp`) and says at one place each what holds for that
//! program alone: `kimi_home` makes its home ready, `kimi_log` reads what it keeps from us.
//! Everything else is the protocol's. Nothing of the program outlives the turn.

use std::ffi::OsStr;
use std::io::Write;

use agent_client_protocol_schema::v1::{
    ContentBlock, EnvVariable, McpServer, McpServerStdio, PromptResponse, SessionUpdate,
    StopReason, TextContent,
};
use agent_protocol::{AgentErrorKind, AgentEvent, AgentInput};

use crate::events::{EventLines, note};
use crate::failure::Failure;
use crate::mcp;
use crate::settings::{AcpAgent, Settings};
use crate::system_prompt;
use crate::told;
use crate::tools::Caller;
use crate::turn::question;

mod dialogue;
mod kimi_home;
mod kimi_log;
mod lines;
mod measure;
mod notes;
mod process;
mod secrets;
mod telling;
mod trouble;
mod wire;

use dialogue::{Busy, Dialogue};
use kimi_home::KimiHome;
use kimi_log::TurnRecord;
use notes::Notes;
use process::AgentProcess;
use secrets::Secrets;
use telling::Telling;
use trouble::Trouble;

/// What the system prompt does not say, since our own agent has no such tools.
const ABOUT_TOOLS: &str = "The tools for the chat and for tasks are those of the MCP server \
     `nanokimi`; every other tool is your own. What you schedule or leave running with your own \
     tools ends with this turn. Nobody can answer while you work: put a question into your final \
     text.";

/// Has the turn played by the agent, which is started for it; returns the session.
pub(crate) async fn delegate(
    input: &AgentInput,
    settings: &Settings,
    agent: &AcpAgent,
    events: &mut EventLines<impl Write>,
) -> Result<String, Failure> {
    let mut secrets = Secrets::of(settings, &agent.access);
    let played = play_with(&secrets, (input, settings, agent), events).await;
    played.map_err(|failure| secrets.mask_failure(failure))
}

async fn play_with(
    secrets: &Secrets,
    (input, settings, agent): (&AgentInput, &Settings, &AcpAgent),
    events: &mut EventLines<impl Write>,
) -> Result<String, Failure> {
    let system_prompt = system_prompt::assemble(input, &settings.folders)?;
    let system_prompt = format!("{system_prompt}\n\n{ABOUT_TOOLS}\n");
    let home = KimiHome::prepare(settings, &agent.access)?;
    let environment = home.environment(settings, agent);
    let notes = || Notes::new(secrets.clone());
    let process = AgentProcess::start(settings, agent, environment, notes())?;
    let mut dialogue = Dialogue::new(process, notes(), settings.patience)?;
    let mut turn = Turn {
        telling: Telling::new(secrets.clone()),
        home,
        system_prompt,
    };
    let played = turn.play(&mut dialogue, input, settings, events).await;
    let end = dialogue.close().await;
    let (session, stop) = played.map_err(|trouble| trouble.into_failure(&end))?;
    let record = turn.home.log(&session.id).read_from(session.log_began_at);
    let answer = turn.conclude(stop, record, events)?;
    turn.home.remember(&session.id, &turn.system_prompt)?;
    take_down(settings, &session.id, (question(input), answer));
    Ok(session.id)
}

/// Keeps what was said beside the agent's own record, whose form is its business: so that it can
/// be archived when the conversation is over. That it cannot be kept costs no turn.
fn take_down(settings: &Settings, id: &str, said: (String, Option<String>)) {
    if let Err(failure) = told::take_down(settings, id, said) {
        note(&format!(
            "what was said in `{id}` is not kept for the archive: {failure}"
        ));
    }
}

struct Turn {
    telling: Telling,
    home: KimiHome,
    system_prompt: String,
}

/// The conversation on the agent's side.
struct OpenSession {
    id: String,
    /// Where this turn's part of the agent's log begins.
    log_began_at: u64,
}

impl Turn {
    /// From the handshake to the end of the answer.
    async fn play(
        &mut self,
        dialogue: &mut Dialogue,
        input: &AgentInput,
        settings: &Settings,
        events: &mut EventLines<impl Write>,
    ) -> Result<(OpenSession, StopReason), Trouble> {
        // Read when a session begins, so it must be there before.
        self.home.write_instructions(&self.system_prompt)?;
        let can_load = dialogue.initialize().await?;
        let tools = vec![our_tools(input, settings)?];
        let folder = &settings.folders.group;
        let (id, prompt) = match &input.session_id {
            None => (dialogue.new_session(folder, tools).await?, question(input)),
            Some(id) => {
                dialogue.load_session(id, can_load, folder, tools).await?;
                (
                    id.clone(),
                    self.home.question_in(id, &self.system_prompt, input),
                )
            }
        };
        events.say(&AgentEvent::Session {
            session_id: id.clone(),
            resumed: input.session_id.is_some(),
        })?;
        let session = OpenSession {
            log_began_at: self.home.log(&id).length(),
            id,
        };
        let telling = &mut self.telling;
        let hear = |update: SessionUpdate| -> Result<Busy, Failure> {
            telling.hear(update, events)?;
            Ok(telling.busy())
        };
        let prompt = vec![ContentBlock::Text(TextContent::new(prompt))];
        let PromptResponse { stop_reason, .. } = dialogue.prompt(&session.id, prompt, hear).await?;
        Ok((session, stop_reason))
    }

    /// Tells the end of the turn, if it is one; returns the answer.
    fn conclude(
        &mut self,
        stop: StopReason,
        record: TurnRecord,
        events: &mut EventLines<impl Write>,
    ) -> Result<Option<String>, Failure> {
        self.telling.tell_usage(&record.usage, events)?;
        if let Some(failure) = record.failure {
            return Err(failure);
        }
        self.telling.answer_is(&record.answer);
        ended_well(stop)?;
        if record.cut_off || stop == StopReason::MaxTokens {
            self.telling.cut_off();
        }
        self.telling.tell_answer(events)
    }
}

/// A turn may end in ways that are no answer.
fn ended_well(stop: StopReason) -> Result<(), Failure> {
    let (kind, message) = match stop {
        StopReason::EndTurn | StopReason::MaxTokens => return Ok(()),
        StopReason::MaxTurnRequests => (
            AgentErrorKind::TooManySteps,
            "the agent reached its limit of model requests in one turn",
        ),
        StopReason::Refusal => (
            AgentErrorKind::ContentFilter,
            "the agent or its model refused to answer",
        ),
        StopReason::Cancelled => (
            AgentErrorKind::Upstream,
            "the agent says that the turn was cancelled, but nobody has asked it to",
        ),
        _ => (
            AgentErrorKind::Protocol,
            "the agent ended the turn for a reason that we do not know",
        ),
    };
    Err(Failure {
        kind,
        message: message.to_owned(),
        retryable: false,
    })
}

/// Ourselves again, as the server of the tools that the agent lacks.
fn our_tools(input: &AgentInput, settings: &Settings) -> Result<McpServer, Failure> {
    let caller = Caller::from(input);
    let mut environment = Vec::new();
    for (name, value) in mcp::environment_for(&caller, settings.folders.ipc.clone()) {
        environment.push(EnvVariable::new(name, tellable(&value)?));
    }
    let binary = tellable(settings.own_binary.as_os_str())?;
    Ok(McpServer::Stdio(
        McpServerStdio::new(mcp::SERVER, binary)
            .args(vec![mcp::MCP.to_owned()])
            .env(environment),
    ))
}

/// The protocol is JSON, which knows no other text.
fn tellable(value: &OsStr) -> Result<&str, Failure> {
    value.to_str().ok_or_else(|| Failure {
        kind: AgentErrorKind::Config,
        message: format!(
            "`{}` is not valid UTF-8, and cannot be told to the agent: choose another folder",
            value.display()
        ),
        retryable: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn a_path_that_cannot_be_told_is_refused() {
        let failure = tellable(OsStr::from_bytes(b"/ipc\xff")).unwrap_err();
        assert_eq!(failure.kind, AgentErrorKind::Config);
        assert!(failure.message.contains("not valid UTF-8"), "{failure}");
        assert_eq!(tellable(OsStr::new("/ipc")).unwrap(), "/ipc");
    }
}
