//! What one agent says, heard to its result or its end: outputs are kept, the rest is told.

use std::time::Duration;

use agent_protocol::AgentEvent;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Turns;
use crate::agent::{AgentEnd, AgentFault, RunningAgent};
use crate::clock::Work;
use crate::events::Event;
use crate::ids::SessionId;
use crate::splitting::split_text;
use crate::store::{Claim, Output, Queued, StoreError};

/// How long a text waits for the result behind it, so that both are kept in one step: whoever
/// has heard the answer then finds its session kept. Real time, as it is for agents.
const RESULT_FOLLOWS: Duration = Duration::from_millis(100);

/// Letters of what a tool was given, or came to, that an event tells.
const SHOWN: usize = 4096;

/// Texts that a chat is sent of one turn. Who says more has lost control of itself.
const MOST_OUTPUTS: u32 = 100;

/// What one agent came to.
pub(super) struct Ran {
    pub(super) end: AgentEnd,
    pub(super) session: Option<SessionId>,
    /// Its last text, if that is not kept yet.
    pub(super) answer: Option<Output>,
    /// Who has given its result, and may be alive; every other has ended.
    pub(super) agent: Option<RunningAgent>,
    /// It ended by itself before it had said a word.
    pub(super) is_unheard: bool,
    /// It has called a tool, or said something that is kept: another run may not do it again.
    pub(super) has_acted: bool,
    /// It is another session than it was to go on with.
    pub(super) is_healed: bool,
}

impl Ran {
    fn ended(end: AgentEnd) -> Self {
        Self {
            end,
            session: None,
            answer: None,
            agent: None,
            is_unheard: false,
            has_acted: false,
            is_healed: false,
        }
    }
}

/// What has been heard so far.
#[derive(Default)]
struct Heard {
    /// Texts that are kept.
    outputs: u32,
    /// A text that is not kept yet.
    held: Option<Output>,
    /// There was an event.
    anything: bool,
    called_a_tool: bool,
    finished: bool,
    session: Option<SessionId>,
    /// What the agent itself said is wrong.
    fault: Option<AgentFault>,
}

/// What comes next of an agent.
enum Said {
    Event(AgentEvent),
    /// It is silent for the moment.
    Nothing,
    /// It has said its last, or has run out of time.
    Over,
}

impl Turns {
    /// Runs an agent on what was claimed, until it has given its result or has ended without.
    pub(super) async fn run(
        &self,
        claim: &Claim,
        session: Option<&SessionId>,
        stop: &CancellationToken,
    ) -> Ran {
        match self.agent.start(claim, session, stop).await {
            Ok(agent) => self.listen(claim, agent, stop).await,
            Err(fault) => Ran::ended(AgentEnd::Failed(self.masked(fault))),
        }
    }

    /// Listens to an agent that was asked what is claimed, until its result or its end.
    pub(super) async fn listen(
        &self,
        claim: &Claim,
        mut agent: RunningAgent,
        stop: &CancellationToken,
    ) -> Ran {
        let mut heard = Heard::default();
        loop {
            let next = self.next_event(&mut agent, &heard, stop).await;
            let is_over = matches!(next, Said::Over);
            if let Err(error) = self.hear(claim, next, &mut heard).await {
                // What cannot be kept must not be said either: another run will say it.
                let message = format!("what it said cannot be kept: {}", crate::chain(&error));
                heard.fault = Some(AgentFault::retryable(message));
                agent.give_up();
                break;
            }
            if heard.outputs > MOST_OUTPUTS {
                let message = format!("it said more than {MOST_OUTPUTS} texts in one turn");
                heard.fault = Some(AgentFault::lasting(message));
                agent.give_up();
                break;
            }
            if is_over {
                break;
            }
            if heard.finished && heard.fault.is_some() {
                agent.has_finished();
            } else if heard.finished {
                // A result is the success, however its agent ends.
                agent.settle_home();
                return Ran {
                    end: AgentEnd::Done,
                    session: heard.session,
                    answer: heard.held,
                    agent: Some(agent),
                    is_unheard: false,
                    has_acted: true,
                    is_healed: false,
                };
            }
        }
        let is_unheard = !heard.anything && !agent.is_overdue();
        let end = match agent.end().await {
            AgentEnd::Interrupted => AgentEnd::Interrupted,
            AgentEnd::Failed(ended) => AgentEnd::Failed(self.masked(heard.fault.unwrap_or(ended))),
            AgentEnd::Done => {
                let fault = heard.fault.unwrap_or_else(AgentFault::no_result);
                AgentEnd::Failed(self.masked(fault))
            }
        };
        Ran {
            is_unheard,
            has_acted: heard.called_a_tool || heard.outputs > 0,
            ..Ran::ended(end)
        }
    }

    /// Sees an agent that has given its result to its end. Nothing that it says now belongs to
    /// the turn.
    pub(super) async fn part_with(&self, mut agent: RunningAgent, stop: &CancellationToken) {
        agent.has_finished();
        while let Some(event) = agent.next_event(stop).await {
            if let AgentEvent::Error { message, .. } = event {
                let message = self.house.config.masked(&message);
                tracing::warn!(agent = ?agent, "an agent failed after its result: {message}");
            }
        }
        agent.end().await;
    }

    /// A fault is told to chats and kept in the store, where no secret may stand.
    fn masked(&self, mut fault: AgentFault) -> AgentFault {
        fault.message = self.house.config.masked(&fault.message);
        fault
    }

    async fn next_event(
        &self,
        agent: &mut RunningAgent,
        heard: &Heard,
        stop: &CancellationToken,
    ) -> Said {
        let next = agent.next_event(stop);
        let event = if heard.held.is_none() {
            next.await
        } else {
            match timeout(RESULT_FOLLOWS, next).await {
                Ok(event) => event,
                Err(_elapsed) => return Said::Nothing,
            }
        };
        event.map_or(Said::Over, Said::Event)
    }

    async fn hear(&self, claim: &Claim, next: Said, heard: &mut Heard) -> Result<(), StoreError> {
        heard.anything |= matches!(next, Said::Event(_));
        heard.called_a_tool |= matches!(next, Said::Event(AgentEvent::ToolCall { .. }));
        if let Said::Event(AgentEvent::Result {
            new_session_id,
            input_id,
        }) = &next
        {
            heard.finished = true;
            heard.session = read_session(claim, new_session_id);
            let is_ours = input_id.as_ref().is_none_or(|id| id == claim.run.as_str());
            if !is_ours && heard.fault.is_none() {
                let message = "the agent answered something that it was not asked";
                heard.fault = Some(AgentFault::retryable(message));
                heard.held = None;
            }
            if heard.fault.is_none() {
                return Ok(());
            }
        }
        if let Some(held) = heard.held.take() {
            self.keep_output(claim, held).await?;
        }
        match next {
            Said::Event(AgentEvent::Text {
                text,
                interim: false,
            }) => {
                heard.held = self.output(claim, heard.outputs, &text);
                heard.outputs += u32::from(heard.held.is_some());
            }
            Said::Event(AgentEvent::Error {
                kind,
                message,
                retryable,
            }) => {
                heard.fault = Some(AgentFault::told(kind, message, retryable));
            }
            Said::Event(AgentEvent::Archived { session_id, file }) => {
                self.forget_archived(claim, &session_id, file).await?;
            }
            Said::Event(event) => self.tell(claim, event),
            Said::Nothing | Said::Over => {}
        }
        Ok(())
    }

    async fn forget_archived(
        &self,
        claim: &Claim,
        session: &str,
        file: Option<String>,
    ) -> Result<(), StoreError> {
        let group = claim.group.folder.clone();
        let Some(session) = read_session(claim, session) else {
            return Ok(());
        };
        let store = &self.house.store;
        store
            .forget_left_session(group.clone(), session.clone())
            .await?;
        self.house.events.tell(Event::SessionArchived {
            group,
            session,
            file,
        });
        Ok(())
    }

    /// What a chat hears of a text, if it hears anything.
    fn output(&self, claim: &Claim, index: u32, text: &str) -> Option<Output> {
        let text = self.house.config.masked(&spoken(text));
        if text.is_empty() {
            return None;
        }
        let parts = split_text(&text, self.channels.longest_text(&claim.group.chat));
        Some(Output { index, parts })
    }

    /// Keeps an output and has it sent.
    async fn keep_output(&self, claim: &Claim, output: Output) -> Result<(), StoreError> {
        // What the agent sent by IPC before it said this is heard before this.
        self.ipc.drain(&claim.group.folder).await;
        let busy = self.house.clock.busy(Work::Outbox);
        let now = self.house.clock.now();
        let queued = self.house.store.queue_output(claim, output, now).await?;
        if queued == Queued::New {
            self.outbox.wake(busy).await;
        }
        Ok(())
    }

    fn tell(&self, claim: &Claim, event: AgentEvent) {
        let (run, group) = (claim.run.clone(), claim.group.folder.clone());
        let config = &self.house.config;
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
                arguments: shown_json(&config.masked(&arguments.to_string())),
            },
            AgentEvent::ToolResult {
                name, ok, output, ..
            } => Event::RunToolResult {
                run,
                group,
                name,
                ok,
                output: shown(&config.masked(&output)),
            },
            AgentEvent::Usage(usage) => Event::RunUsage {
                run,
                group,
                prompt_tokens: usage.prompt_tokens,
                completion_tokens: usage.completion_tokens,
            },
            AgentEvent::Text { .. }
            | AgentEvent::Archived { .. }
            | AgentEvent::Result { .. }
            | AgentEvent::Error { .. } => return,
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

/// What an event tells of a text: so much that a client that looks on knows what it is, and so
/// little that no agent fills our memory with what it says.
fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}… ({} bytes in all)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}

/// The same of JSON, which stays JSON if it is short.
fn shown_json(text: &str) -> serde_json::Value {
    let shown = shown(text);
    serde_json::from_str(&shown).unwrap_or(serde_json::Value::String(shown))
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
    fn an_event_tells_no_more_than_fits() {
        let long = "é".repeat(SHOWN + 1);
        let fits = &long[..2 * SHOWN];
        assert_eq!(shown(fits), fits);
        assert_eq!(shown(&long), format!("{fits}… (8194 bytes in all)"));
        assert_eq!(shown_json(r#"{"a":[1]}"#), serde_json::json!({"a": [1]}));
        let cut = shown_json(&format!(r#"{{"a":"{long}"}}"#));
        assert!(cut.as_str().unwrap().starts_with(r#"{"a":"éé"#), "{cut}");
    }

    #[test]
    fn internal_thoughts_are_not_spoken() {
        assert_eq!(spoken("<internal>hm</internal> Yes."), "Yes.");
        assert_eq!(spoken("a<internal>b\nc</internal>d"), "ad");
        assert_eq!(spoken("<internal>only</internal>\n"), "");
        assert_eq!(spoken("a <internal> b"), "a <internal> b");
    }
}
