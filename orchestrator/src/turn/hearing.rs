//! What one agent says, heard to its end: outputs are kept, the rest is told.

use agent_protocol::AgentEvent;
use tokio_util::sync::CancellationToken;

use super::Turns;
use crate::agent::{AgentEnd, AgentFault};
use crate::clock::Work;
use crate::events::Event;
use crate::ids::SessionId;
use crate::splitting::split_text;
use crate::store::{Claim, Queued, StoreError};

/// What one agent left behind.
pub(super) struct Ran {
    pub(super) end: AgentEnd,
    pub(super) session: Option<SessionId>,
}

/// What has been heard so far.
#[derive(Default)]
struct Heard {
    outputs: u32,
    finished: bool,
    session: Option<SessionId>,
    /// What the agent itself said is wrong.
    fault: Option<AgentFault>,
}

impl Turns {
    /// Runs an agent on what was claimed. It has ended, whatever happened, when this returns.
    pub(super) async fn run(
        &self,
        claim: &Claim,
        session: Option<&SessionId>,
        stop: &CancellationToken,
    ) -> Ran {
        let mut process = match self.agent.start(claim, session, stop).await {
            Ok(process) => process,
            Err(fault) => {
                return Ran {
                    end: AgentEnd::Failed(self.masked(fault)),
                    session: None,
                };
            }
        };
        let mut heard = Heard::default();
        while let Some(event) = process.next_event(stop).await {
            if let Err(error) = self.hear(claim, event, &mut heard).await {
                // What cannot be kept must not be said either: another run will say it.
                let message = format!("what it said cannot be kept: {}", crate::chain(&error));
                heard.fault = Some(AgentFault::retryable(message));
                process.give_up();
                break;
            }
            if heard.finished {
                process.has_finished();
            }
        }
        let end = match process.end().await {
            AgentEnd::Interrupted => AgentEnd::Interrupted,
            AgentEnd::Failed(ended) => AgentEnd::Failed(heard.fault.unwrap_or(ended)),
            AgentEnd::Done => match (heard.fault, heard.finished) {
                (Some(fault), _) => AgentEnd::Failed(fault),
                (None, true) => AgentEnd::Done,
                (None, false) => AgentEnd::Failed(AgentFault::no_result()),
            },
        };
        Ran {
            end: match end {
                AgentEnd::Failed(fault) => AgentEnd::Failed(self.masked(fault)),
                AgentEnd::Done | AgentEnd::Interrupted => end,
            },
            session: heard.session,
        }
    }

    /// A fault is told to chats and kept in the store, where no secret may stand.
    fn masked(&self, mut fault: AgentFault) -> AgentFault {
        fault.message = self.house.config.masked(&fault.message);
        fault
    }

    async fn hear(
        &self,
        claim: &Claim,
        event: AgentEvent,
        heard: &mut Heard,
    ) -> Result<(), StoreError> {
        match event {
            AgentEvent::Text { interim: true, .. } => {}
            AgentEvent::Text { text, .. } => {
                let said = self.keep_output(claim, heard.outputs, &text).await?;
                heard.outputs += u32::from(said);
            }
            AgentEvent::Result { new_session_id } => {
                heard.finished = true;
                heard.session = read_session(claim, &new_session_id);
            }
            AgentEvent::Error {
                kind,
                message,
                retryable,
            } => {
                heard.fault = Some(AgentFault {
                    kind: Some(kind),
                    message,
                    retryable,
                });
            }
            AgentEvent::Session { .. }
            | AgentEvent::ToolCall { .. }
            | AgentEvent::ToolResult { .. }
            | AgentEvent::Usage(_) => self.tell(claim, event),
        }
        Ok(())
    }

    /// Keeps an output and has it sent; says whether there was anything to say.
    async fn keep_output(&self, claim: &Claim, index: u32, text: &str) -> Result<bool, StoreError> {
        let text = self.house.config.masked(&spoken(text));
        if text.is_empty() {
            return Ok(false);
        }
        // What the agent sent by IPC before it said this is heard before this.
        self.ipc.drain(&claim.group.folder).await;
        let busy = self.house.clock.busy(Work::Outbox);
        let now = self.house.clock.now();
        let parts = split_text(&text, self.channels.longest_text(&claim.group.chat));
        let queued = self
            .house
            .store
            .queue_output(claim, index, parts, now)
            .await?;
        if queued == Queued::New {
            self.outbox.wake(busy).await;
        }
        Ok(true)
    }

    fn tell(&self, claim: &Claim, event: AgentEvent) {
        let (run, group) = (claim.run.clone(), claim.group.folder.clone());
        let told = match event {
            AgentEvent::Session {
                session_id,
                resumed,
            } => {
                tracing::info!(%group, resumed, %session_id, "Session initialized");
                let Ok(session) = session_id.parse() else {
                    return;
                };
                Event::RunSession {
                    run,
                    group,
                    session,
                    resumed,
                }
            }
            AgentEvent::ToolCall {
                name, arguments, ..
            } => Event::RunToolCall {
                run,
                group,
                name,
                arguments,
            },
            AgentEvent::ToolResult {
                name, ok, output, ..
            } => Event::RunToolResult {
                run,
                group,
                name,
                ok,
                output: self.house.config.masked(&output),
            },
            AgentEvent::Usage(usage) => Event::RunUsage {
                run,
                group,
                prompt_tokens: usage.prompt_tokens,
                completion_tokens: usage.completion_tokens,
            },
            AgentEvent::Text { .. } | AgentEvent::Result { .. } | AgentEvent::Error { .. } => {
                return;
            }
        };
        self.house.events.tell(told);
    }
}

fn read_session(claim: &Claim, text: &str) -> Option<SessionId> {
    match text.parse() {
        Ok(session) => Some(session),
        Err(error) => {
            let error = crate::chain(&error);
            tracing::warn!(group = %claim.group.folder, error, "the agent named a session that cannot be kept");
            None
        }
    }
}

/// What a chat hears of an output: without what the agent marked as internal.
fn spoken(text: &str) -> String {
    let mut spoken = String::new();
    let mut rest = text;
    while let Some((before, inside)) = rest.split_once("<internal>") {
        spoken.push_str(before);
        let Some((_internal, after)) = inside.split_once("</internal>") else {
            // Never closed: better said than lost.
            spoken.push_str("<internal>");
            rest = inside;
            continue;
        };
        rest = after;
    }
    spoken.push_str(rest);
    spoken.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_thoughts_are_not_spoken() {
        assert_eq!(spoken("<internal>hm</internal> Yes."), "Yes.");
        assert_eq!(spoken("a<internal>b\nc</internal>d"), "ad");
        assert_eq!(spoken("<internal>only</internal>\n"), "");
        assert_eq!(spoken("a <internal> b"), "a <internal> b");
    }
}
