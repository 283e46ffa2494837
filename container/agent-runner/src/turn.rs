//! The turns, and each turn itself: question, answer, tools, until the model has nothing more to ask for.

use std::io::{Read, Write};
use std::process::ExitCode;

use agent_protocol::{AgentErrorKind, AgentEvent, AgentInput, FollowUp, Usage};

use crate::acp;
use crate::archive::archive_left;
use crate::completion::{Answer, Completion, Question};
use crate::conversation::{Message, ToolCall};
use crate::door::stand_at_door;
use crate::events::{EventLines, note};
use crate::failure::Failure;
use crate::follow_ups::FollowUps;
use crate::input::read_input;
use crate::session::Session;
use crate::settings::{Engine, Environment, Model, Settings};
use crate::system_prompt;
use crate::tools::{ReadCall, ToolOutcome, Toolbox};

/// What half an answer ends with.
pub(crate) const CUT_OFF: &str = "[The answer was cut off at the model's output limit.]";

/// What a task's prompt begins with, as the ancestors have it.
const SCHEDULED: &str = "[SCHEDULED TASK - The following message was sent automatically and is not coming directly from the user or group.]\n\n";

/// Plays one turn, or as many as are asked for: input in, events out. A failure is told as an
/// event, and is the last.
pub async fn play(stdin: impl Read, stdout: impl Write, environment: Environment) -> ExitCode {
    let mut events = EventLines::new(stdout);
    let Err(failure) = try_to_play(stdin, &mut events, &environment).await else {
        return ExitCode::SUCCESS;
    };
    note(&format!("the turn failed: {failure}"));
    // When stdout is what has failed, the note above is all that can be told.
    let (Ok(()) | Err(_)) = events.say(&failure.event());
    ExitCode::FAILURE
}

async fn try_to_play(
    stdin: impl Read,
    events: &mut EventLines<impl Write>,
    environment: &Environment,
) -> Result<(), Failure> {
    // First of all: whoever waits for input is to end with the orchestrator, too.
    stand_at_door(environment)?;
    let mut input = read_input(stdin)?;
    let settings = Settings::read(environment)?;
    let mut follow_ups = if input.waits {
        Some(FollowUps::begin(&settings.folders)?)
    } else {
        None
    };
    archive_left(&input, &settings, events)?;
    loop {
        let session = match &settings.engine {
            Engine::Builtin(model) => think(&input, &settings, model, events).await?,
            Engine::Acp(agent) => acp::delegate(&input, &settings, agent, events).await?,
        };
        events.say(&AgentEvent::Result {
            new_session_id: session.clone(),
            input_id: input.input_id.clone(),
        })?;
        let Some(follow_ups) = &mut follow_ups else {
            return Ok(());
        };
        let Some(FollowUp::Message { text, input_id }) = follow_ups.next().await? else {
            return Ok(());
        };
        input.prompt = text;
        input.input_id = input_id;
        // Read anew from the disk: a turn is the same whoever plays it.
        input.session_id = Some(session);
    }
}

/// What is asked in this turn.
pub(crate) fn question(input: &AgentInput) -> String {
    let prefix = if input.is_scheduled_task {
        SCHEDULED
    } else {
        ""
    };
    format!("{prefix}{}", input.prompt)
}

/// Returns the session in which the answer is stored.
async fn think(
    input: &AgentInput,
    settings: &Settings,
    model: &Model,
    events: &mut EventLines<impl Write>,
) -> Result<String, Failure> {
    let mut turn = Turn::begin(input, settings, model)?;
    let session_id = turn.session.id.as_str().to_owned();
    events.say(&AgentEvent::Session {
        session_id: session_id.clone(),
        resumed: input.session_id.is_some(),
    })?;
    let answered = turn.converse(events, settings.max_steps).await;
    turn.tools.close().await;
    let text = answered?;
    // Before the answer is told: whoever has heard it finds its session on disk.
    let stored = turn.session.store(&turn.system_prompt, turn.usage);
    if !text.trim().is_empty() {
        events.say(&AgentEvent::Text {
            text,
            interim: false,
        })?;
    }
    stored?;
    Ok(session_id)
}

struct Turn {
    session: Session,
    system_prompt: String,
    completion: Completion,
    tools: Toolbox,
    usage: Option<Usage>,
}

impl Turn {
    fn begin(input: &AgentInput, settings: &Settings, model: &Model) -> Result<Self, Failure> {
        let mut session = match &input.session_id {
            Some(id) => Session::resume(settings, id)?,
            None => Session::begin(settings),
        };
        session.messages.push(Message::User {
            content: question(input),
        });
        Ok(Self {
            session,
            system_prompt: system_prompt::assemble(input, &settings.folders)?,
            completion: Completion::new(model, settings.patience)?,
            tools: Toolbox::new(settings, model, input),
            usage: None,
        })
    }

    /// Asks and acts until an answer asks for no tool; returns what it says.
    async fn converse(
        &mut self,
        events: &mut EventLines<impl Write>,
        max_steps: u32,
    ) -> Result<String, Failure> {
        for _ in 0..max_steps {
            let answer = self.ask().await?;
            if let Some(usage) = answer.usage {
                self.usage = Some(usage);
                events.say(&AgentEvent::Usage(usage))?;
            }
            if answer.calls.is_empty() {
                return self.conclude(answer);
            }
            self.act(answer, events).await?;
        }
        Err(Failure {
            kind: AgentErrorKind::TooManySteps,
            message: format!("the model still asked for tools after {max_steps} requests"),
            retryable: false,
        })
    }

    async fn ask(&self) -> Result<Answer, Failure> {
        self.completion
            .ask(Question {
                session: self.session.id.as_str(),
                system_prompt: &self.system_prompt,
                messages: &self.session.messages,
                tools: self.tools.offered(),
            })
            .await
    }

    fn conclude(&mut self, answer: Answer) -> Result<String, Failure> {
        let text = final_text(&answer)?;
        self.remember(text.clone(), answer.reasoning, Vec::new());
        Ok(text)
    }

    /// Runs what an answer asks for, one after the other in its order: a later call may build
    /// on an earlier one, and a turn is the same each time it is played.
    async fn act(
        &mut self,
        answer: Answer,
        events: &mut EventLines<impl Write>,
    ) -> Result<(), Failure> {
        if !answer.text.trim().is_empty() {
            events.say(&AgentEvent::Text {
                text: answer.text.clone(),
                interim: true,
            })?;
        }
        let calls: Vec<ReadCall> = answer
            .calls
            .into_iter()
            .map(|call| self.tools.read(call))
            .collect();
        let spoken = calls.iter().map(|call| call.spoken.clone()).collect();
        self.remember(answer.text, answer.reasoning, spoken);
        for call in calls {
            let id = call.spoken.id.clone();
            let outcome = self.answer_call(call, answer.cut_off, events).await?;
            self.session.messages.push(Message::Tool {
                tool_call_id: id,
                content: outcome.output,
            });
        }
        Ok(())
    }

    async fn answer_call(
        &mut self,
        call: ReadCall,
        cut_off: bool,
        events: &mut EventLines<impl Write>,
    ) -> Result<ToolOutcome, Failure> {
        let ToolCall { id, function, .. } = call.spoken;
        events.say(&AgentEvent::ToolCall {
            id: id.clone(),
            name: function.name.clone(),
            arguments: call.arguments,
        })?;
        let outcome = match call.request {
            Ok(request) => self.tools.run(request).await,
            Err(unusable) if cut_off => ToolOutcome::failed(format_args!(
                "{unusable}; your answer reached the output limit, so ask for less at once"
            )),
            Err(unusable) => ToolOutcome::failed(unusable),
        };
        events.say(&AgentEvent::ToolResult {
            id,
            name: function.name,
            ok: outcome.ok,
            output: outcome.output.clone(),
        })?;
        Ok(outcome)
    }

    fn remember(&mut self, text: String, reasoning: String, tool_calls: Vec<ToolCall>) {
        // Beside tool calls an empty text is left out: some endpoints refuse it there.
        let silent = text.is_empty() && !tool_calls.is_empty();
        self.session.messages.push(Message::Assistant {
            content: (!silent).then_some(text),
            reasoning_content: (!reasoning.is_empty()).then_some(reasoning),
            tool_calls,
        });
    }
}

/// The text to deliver. One that the model's limit has cut says so; nobody should take half an
/// answer for a whole one.
fn final_text(answer: &Answer) -> Result<String, Failure> {
    match (answer.cut_off, answer.text.trim().is_empty()) {
        (false, _) => Ok(answer.text.clone()),
        (true, false) => Ok(format!("{}\n\n{CUT_OFF}", answer.text)),
        (true, true) => Err(Failure {
            kind: AgentErrorKind::Upstream,
            message: "the model reached its output limit before it had said anything".to_owned(),
            retryable: false,
        }),
    }
}
