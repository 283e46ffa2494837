//! One request as the script sees it: what is asked, in which lane, and after what.

mod binding;
mod broken;
pub(crate) mod call_id;
mod clause;
pub(crate) mod given;
pub(crate) mod protocol;
pub(crate) mod record;
pub(crate) mod request;
pub(crate) mod result_json;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use crate::llm::dialect::responses::Echo;
use crate::llm::question::binding::{AnsweredCall, result_function};
use crate::llm::question::given::GivenIds;
use crate::llm::question::protocol::Violation;
use crate::llm::question::request::{ChatBody, Message, Role, ToolCall, ToolResult};
use crate::llm::script::pattern::Heard;
use crate::llm::script::template::Filling;

/// A request, taken apart. Everything is borrowed from its body.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    pub(crate) lane: String,
    pub(crate) model: Heard<'a>,
    pub(crate) user: Option<Heard<'a>>,
    pub(crate) system: Option<Heard<'a>>,
    /// What the tools said after the model's last message.
    pub(crate) tool_results: Vec<ToolResult<'a>>,
    pub(crate) tools: Vec<&'a str>,
    pub(crate) messages: Vec<Said<'a>>,
    pub(crate) wants_thinking: bool,
    pub(crate) wants_json: bool,
    /// What the service would say against it, before anybody looked inside.
    pub(crate) unfit: Option<&'a Violation>,
    /// What the answer repeats of the request.
    pub(crate) echo: Option<Arc<Echo>>,
    /// What the client calls the conversation.
    pub(crate) conversation: Option<&'a str>,
    /// Which calls turns have made; a script may name them so.
    pub(crate) given: Arc<GivenIds>,
}

/// A message with its text ready to be looked at.
#[derive(Debug)]
pub(crate) struct Said<'a> {
    pub(crate) message: Message<'a>,
    pub(crate) text: Heard<'a>,
}

impl<'a> Question<'a> {
    /// Reads the conversation; which lane it is in is for the script to say.
    pub(crate) fn read(body: &'a ChatBody) -> Result<Self, Violation> {
        let messages = body
            .messages
            .iter()
            .enumerate()
            .map(|(place, message)| read_message(place, message))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            lane: crate::llm::script::lane::MAIN_LANE.to_owned(),
            model: Heard::new(body.model.as_deref().unwrap_or_default()),
            user: last_user_text(&messages).map(Heard::new),
            system: system_prompt(&messages).map(Heard::new),
            tool_results: tool_results(settled(&messages)),
            tools: body.tools().collect(),
            messages,
            wants_thinking: body.wants_thinking(),
            wants_json: body.wants_json(),
            unfit: body.unfit.as_ref(),
            echo: (body.responses.as_ref()).map(|request| Arc::clone(&request.echo)),
            conversation: body.conversation(),
            given: Arc::default(),
        })
    }

    /// Which answer of the model is asked for, from 1.
    pub(crate) fn turn(&self) -> usize {
        let settled = settled(&self.messages).iter();
        let said = settled.filter(|said| said.message.role == Role::Assistant);
        said.count() + 1
    }

    /// The beginning of the answer that is asked for, if the client has one already.
    pub(crate) fn lead(&self) -> Option<&Said<'a>> {
        self.messages.get(settled(&self.messages).len())
    }

    /// In Moonshot's partial mode the answer goes on where the client has begun it.
    pub(crate) fn without_lead(&self, answer: Arc<str>) -> Arc<str> {
        let lead = self.lead().filter(|said| said.message.is_partial());
        match lead.and_then(|lead| answer.strip_prefix(lead.text.text())) {
            Some(rest) => rest.into(),
            None => answer,
        }
    }

    /// What began the conversation.
    pub(crate) fn first_user(&self) -> Option<Cow<'a, str>> {
        let mut users = self.said_by(Role::User);
        users.find_map(|said| said.message.real_text())
    }

    pub(crate) fn said_by(&self, role: Role) -> impl Iterator<Item = &Said<'a>> {
        self.messages
            .iter()
            .filter(move |said| said.message.role == role)
    }

    /// All calls of the conversation, in order.
    pub(crate) fn calls(&self) -> impl Iterator<Item = &ToolCall<'a>> {
        self.messages
            .iter()
            .flat_map(|said| said.message.tool_calls())
    }

    /// What templates may name. Of each tool the call that was answered last; results only
    /// if a template asks for them.
    pub(crate) fn filling(&self, asks_for_results: bool) -> Filling<'_> {
        let arguments = |call: &ToolCall<'a>| {
            let text = call.function.arguments;
            // Malformed arguments can still be quoted.
            serde_json::from_str(text).unwrap_or_else(|_malformed| Value::from(text))
        };
        Filling {
            user: self.user.as_ref().map(Heard::text),
            tool_result: self.tool_results.last().map(|result| &*result.text),
            tool: self
                .answered()
                .map(|(call, _)| (call.function.name, arguments(call)))
                .collect::<BTreeMap<_, _>>(),
            results: asks_for_results.then(|| self.results()),
        }
    }

    fn results(&self) -> minijinja::Value {
        let answered = self.answered().map(|(call, said)| AnsweredCall {
            id: call.id.to_owned(),
            tool: call.function.name.to_owned(),
            arguments: call.function.arguments.to_owned(),
            text: said.text.text().to_owned(),
        });
        result_function(answered.collect(), Arc::clone(&self.given))
    }

    /// The calls that have a result, in the order of the results.
    fn answered(&self) -> impl Iterator<Item = (&ToolCall<'a>, &Said<'a>)> {
        self.said_by(Role::Tool).filter_map(|said| {
            let mut calls = self.calls();
            let call = calls.find(|call| said.message.tool_call_id == Some(call.id))?;
            Some((call, said))
        })
    }
}

/// The conversation without the beginning of the answer that is asked for. A client whose
/// stream broke sends what it has heard; one that wants an answer to begin so, writes that.
fn settled<'q, 'a>(messages: &'q [Said<'a>]) -> &'q [Said<'a>] {
    match messages {
        [settled @ .., last]
            if last.message.role == Role::Assistant && last.message.tool_calls().is_empty() =>
        {
            settled
        }
        [..] => messages,
    }
}

fn read_message(place: usize, message: &Value) -> Result<Said<'_>, Violation> {
    let message = Message::deserialize(message).map_err(|fault| Violation::Unreadable {
        place,
        fault: fault.to_string(),
    })?;
    Ok(Said {
        text: Heard::new(message.text()),
        message,
    })
}

fn last_user_text<'a>(messages: &[Said<'a>]) -> Option<Cow<'a, str>> {
    let mut latest_first = messages.iter().rev().map(|said| &said.message);
    latest_first.find_map(|message| match message.role {
        Role::User => message.real_text(),
        Role::System | Role::Developer | Role::Assistant | Role::Tool => None,
    })
}

fn system_prompt<'a>(messages: &[Said<'a>]) -> Option<Cow<'a, str>> {
    messages
        .iter()
        .map(|said| &said.message)
        .filter(|message| matches!(message.role, Role::System | Role::Developer))
        .map(Message::text)
        .reduce(|prompt, more| Cow::Owned(format!("{prompt}\n{more}")))
}

fn tool_results<'a>(messages: &[Said<'a>]) -> Vec<ToolResult<'a>> {
    let Some(last) = messages
        .iter()
        .rposition(|said| said.message.role == Role::Assistant)
    else {
        return Vec::new();
    };
    let calls = messages[last].message.tool_calls();
    let answered = |message: &Message<'a>| {
        let call = calls
            .iter()
            .find(|call| Some(call.id) == message.tool_call_id)?;
        Some(ToolResult {
            call: call.id,
            name: call.function.name,
            arguments: call.function.arguments,
            ok: message.went_well(),
            text: message.text(),
        })
    };
    messages[last..]
        .iter()
        .filter_map(|said| answered(&said.message))
        .collect()
}
