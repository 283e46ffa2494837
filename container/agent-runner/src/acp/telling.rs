//! From what the agent tells to what we tell.
//!
//! Its texts come in pieces and its tool calls grow; ours are whole. A text before a tool call
//! is told as interim, the last one is the answer.

use std::io::Write;

use agent_client_protocol_schema::v1::{
    ContentBlock, ContentChunk, MessageId, SessionUpdate, ToolCall, ToolCallContent, ToolCallId,
    ToolCallStatus, ToolCallUpdate, ToolCallUpdateFields,
};
use agent_protocol::{AgentErrorKind, AgentEvent, Usage};
use serde_json::Value;

use super::dialogue::Busy;
use super::measure::Measure;
use super::secrets::Secrets;
use crate::events::EventLines;
use crate::failure::Failure;
use crate::tools::Excerpt;
use crate::turn::CUT_OFF;

/// The turn as far as it has been told.
#[derive(Debug)]
pub(super) struct Telling {
    secrets: Secrets,
    text: String,
    /// Of which message `text` is, where the agent says so.
    message: Option<MessageId>,
    calls: Vec<Call>,
    measure: Measure,
    /// Tokens in the conversation, as the agent last said.
    context: Option<u64>,
}

#[derive(Debug)]
struct Call {
    id: ToolCallId,
    name: String,
    /// What the agent shows of the call: its arguments as they grow, its output later.
    shown: String,
    /// Once they are complete.
    arguments: Option<Value>,
    told: bool,
    /// It runs, as far as we know: it has been told of since the model last spoke.
    runs: bool,
    ended: bool,
}

impl Telling {
    pub(super) fn new(secrets: Secrets) -> Self {
        Self {
            secrets,
            text: String::new(),
            message: None,
            calls: Vec::new(),
            measure: Measure::default(),
            context: None,
        }
    }

    /// Takes in what the agent tells; what is whole is told at once.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the protocol grows, and we need only what we tell"
    )]
    pub(super) fn hear(
        &mut self,
        update: SessionUpdate,
        events: &mut EventLines<impl Write>,
    ) -> Result<(), Failure> {
        match update {
            SessionUpdate::AgentMessageChunk(chunk) => {
                self.nothing_runs();
                self.hear_text(chunk, events)
            }
            SessionUpdate::AgentThoughtChunk(_) => {
                self.nothing_runs();
                Ok(())
            }
            SessionUpdate::ToolCall(call) => self.hear_call(call, events),
            SessionUpdate::ToolCallUpdate(update) => self.hear_progress(update, events),
            SessionUpdate::UsageUpdate(usage) => {
                self.context = Some(usage.used);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A tool counts as running from when its arguments are complete until it ends or the model
    /// speaks: an end may have been kept from us.
    pub(super) fn busy(&self) -> Busy {
        if self.calls.iter().any(|call| call.runs) {
            Busy::InTool
        } else {
            Busy::Thinking
        }
    }

    fn nothing_runs(&mut self) {
        for call in &mut self.calls {
            call.runs = false;
        }
    }

    fn hear_text(
        &mut self,
        chunk: ContentChunk,
        events: &mut EventLines<impl Write>,
    ) -> Result<(), Failure> {
        if chunk.message_id.is_some() && chunk.message_id != self.message {
            self.tell_interim(events)?;
            self.message = chunk.message_id;
        }
        if let ContentBlock::Text(text) = chunk.content {
            self.measure.add_text(text.text.len())?;
            self.text.push_str(&text.text);
        }
        Ok(())
    }

    fn hear_call(
        &mut self,
        call: ToolCall,
        events: &mut EventLines<impl Write>,
    ) -> Result<(), Failure> {
        self.tell_interim(events)?;
        let mut fields = ToolCallUpdateFields::new()
            .status(call.status)
            .content(call.content);
        fields.raw_input = call.raw_input;
        fields.raw_output = call.raw_output;
        // The Kimi CLI names the tool in the first title and describes the call in later ones.
        let name = call.name.unwrap_or(call.title);
        self.progress(call.tool_call_id, &name, fields, events)
    }

    fn hear_progress(
        &mut self,
        update: ToolCallUpdate,
        events: &mut EventLines<impl Write>,
    ) -> Result<(), Failure> {
        let fields = update.fields;
        let name = fields.name.as_deref().or(fields.title.as_deref());
        let name = name.unwrap_or("unknown").to_owned();
        self.progress(update.tool_call_id, &name, fields, events)
    }

    fn progress(
        &mut self,
        id: ToolCallId,
        name: &str,
        fields: ToolCallUpdateFields,
        events: &mut EventLines<impl Write>,
    ) -> Result<(), Failure> {
        let known = self.calls.iter().position(|call| call.id == id);
        let at = known.unwrap_or(self.calls.len());
        if known.is_none() {
            self.measure.add_call()?;
            self.calls.push(Call::new(id, name));
        }
        let call = &mut self.calls[at];
        if call.ended {
            return Ok(());
        }
        let ok = match fields.status {
            Some(ToolCallStatus::Completed) => Some(true),
            Some(ToolCallStatus::Failed) => Some(false),
            Some(_) | None => None,
        };
        if let Some(arguments) = fields.raw_input {
            self.measure.add_arguments(arguments.to_string().len())?;
            call.arguments = Some(arguments);
        }
        if call.arguments.is_some() || ok.is_some() {
            call.tell(&mut self.secrets, events)?;
        }
        if let Some(content) = fields.content {
            let shown = shown(&content);
            // It grows, and is shown anew each time.
            let more = shown.len().saturating_sub(call.shown.len());
            self.measure.add_arguments(more)?;
            call.shown = shown;
        }
        call.runs = call.told;
        let Some(ok) = ok else {
            return Ok(());
        };
        call.ended = true;
        call.runs = false;
        // Masked first, since half a secret is not found again.
        let output = self.secrets.mask(output(fields.raw_output, &call.shown));
        events.say(&AgentEvent::ToolResult {
            id: call.id.to_string(),
            name: call.name.clone(),
            ok,
            output: Excerpt::of(&output),
        })
    }

    fn tell_interim(&mut self, events: &mut EventLines<impl Write>) -> Result<(), Failure> {
        let text = std::mem::take(&mut self.text);
        if text.trim().is_empty() {
            return Ok(());
        }
        events.say(&AgentEvent::Text {
            text: self.secrets.mask(text),
            interim: true,
        })
    }

    /// What each request has cost, where the agent's log says so; else how long the
    /// conversation has become.
    pub(super) fn tell_usage(
        &self,
        requests: &[Usage],
        events: &mut EventLines<impl Write>,
    ) -> Result<(), Failure> {
        for usage in requests {
            events.say(&AgentEvent::Usage(*usage))?;
        }
        match self.context {
            Some(prompt_tokens) if requests.is_empty() => events.say(&AgentEvent::Usage(Usage {
                prompt_tokens,
                ..Usage::default()
            })),
            Some(_) | None => Ok(()),
        }
    }

    /// Drops what an attempt that broke off has left before the answer.
    pub(super) fn answer_is(&mut self, answer: &str) {
        if !answer.trim().is_empty() && self.text.ends_with(answer) {
            answer.clone_into(&mut self.text);
        }
    }

    /// The model's limit has cut the answer; nobody should take half of it for the whole.
    pub(super) fn cut_off(&mut self) {
        if !self.text.trim().is_empty() && !self.text.ends_with(CUT_OFF) {
            self.text.push_str("\n\n");
            self.text.push_str(CUT_OFF);
        }
    }

    /// Tells the last text as the answer, and returns it. Silence after tools have run may be meant.
    pub(super) fn tell_answer(
        &mut self,
        events: &mut EventLines<impl Write>,
    ) -> Result<Option<String>, Failure> {
        let text = std::mem::take(&mut self.text);
        if !text.trim().is_empty() {
            let text = self.secrets.mask(text);
            events.say(&AgentEvent::Text {
                text: text.clone(),
                interim: false,
            })?;
            return Ok(Some(text));
        }
        if !self.calls.iter().any(|call| call.ended) {
            return Err(Failure {
                kind: AgentErrorKind::Upstream,
                message:
                    "the agent ended its turn without a word and without a whole tool call; its \
                          own log may say why"
                        .to_owned(),
                retryable: true,
            });
        }
        Ok(None)
    }
}

impl Call {
    fn new(id: ToolCallId, name: &str) -> Self {
        Self {
            id,
            name: name.to_owned(),
            shown: String::new(),
            arguments: None,
            told: false,
            runs: false,
            ended: false,
        }
    }

    fn tell(
        &mut self,
        secrets: &mut Secrets,
        events: &mut EventLines<impl Write>,
    ) -> Result<(), Failure> {
        if self.told {
            return Ok(());
        }
        self.told = true;
        self.name = secrets.mask(std::mem::take(&mut self.name));
        let arguments = match &self.arguments {
            Some(arguments) => arguments.clone(),
            None => self.arguments_shown(),
        };
        events.say(&AgentEvent::ToolCall {
            id: self.id.to_string(),
            name: self.name.clone(),
            arguments: secrets.mask_value(arguments),
        })
    }

    /// A call that failed before it ran has no arguments but those that were shown.
    fn arguments_shown(&self) -> Value {
        match serde_json::from_str(&self.shown) {
            Ok(arguments) => arguments,
            Err(_broken) => Value::String(self.shown.clone()),
        }
    }
}

fn output(raw: Option<Value>, shown: &str) -> String {
    match raw {
        Some(Value::String(text)) => text,
        Some(Value::Null) | None => shown.to_owned(),
        Some(other) => other.to_string(),
    }
}

/// The texts of what is shown; pictures and the like have none.
fn shown(content: &[ToolCallContent]) -> String {
    let texts = content.iter().filter_map(|content| {
        if let ToolCallContent::Content(content) = content
            && let ContentBlock::Text(text) = &content.content
        {
            Some(text.text.as_str())
        } else {
            None
        }
    });
    texts.collect::<Vec<_>>().join("\n")
}
