//! What a turn says, prepared once and filled in for each request.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;

use crate::llm::dialect::Dialect;
use crate::llm::dialect::responses::Echo;
use crate::llm::question::Question;
use crate::llm::question::call_id::plain;
use crate::llm::score::ids;
use crate::llm::score::turn::Receipt;
use crate::llm::script::stream::StreamShape;
use crate::llm::script::template::{
    Compiled, Filling, InvalidTemplate, UnfilledTemplate, asks_for_results, has_holes, texts_in,
};
use crate::llm::script::turn::{Arguments, FinishReason, Response, ScriptedCall, ScriptedUsage};
use crate::llm::services::routing::Route;
use crate::llm::tokens;

/// An answer as it will be given, in no dialect yet.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) turn: Arc<str>,
    pub(crate) receipt: Receipt,
    pub(crate) lane: String,
    /// Unique per answer; the letters of the response's id.
    pub(crate) letters: String,
    /// Seconds since 1970.
    pub(crate) created: i64,
    pub(crate) model: String,
    /// As the turn has it: one text for all who are answered with it.
    pub(crate) content: Option<Arc<str>>,
    pub(crate) reasoning: Option<Arc<str>>,
    pub(crate) calls: Vec<Call>,
    pub(crate) finish_reason: FinishReason,
    pub(crate) usage: Usage,
    pub(crate) stream: StreamShape,
    /// Whose machine OpenRouter has chosen.
    pub(crate) route: Option<Arc<Route>>,
    /// What it repeats of its request, if the protocol has it.
    pub(crate) echo: Option<Arc<Echo>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arguments: String,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) prompt: u64,
    pub(crate) completion: u64,
    pub(crate) reasoning: u64,
    pub(crate) cached: u64,
}

/// The circumstances in which a turn is said.
#[derive(Debug)]
pub(crate) struct Occasion<'a> {
    pub(crate) dialect: Dialect,
    pub(crate) seed: u64,
    pub(crate) created: i64,
    pub(crate) receipt: &'a Receipt,
    /// How often the turn has been said before.
    pub(crate) before: u32,
    pub(crate) route: Option<&'a Arc<Route>>,
    /// The conversation that has the turn for itself.
    pub(crate) conversation: Option<&'a str>,
}

impl Occasion<'_> {
    pub(crate) fn turn(&self) -> &Arc<str> {
        &self.receipt.turn.id
    }

    /// What ids are made of.
    fn letters(&self) -> String {
        let before = self.before.to_string();
        let parts = [&**self.turn(), &before];
        match self.conversation {
            None => ids::letters(self.seed, &parts),
            Some(conversation) => ids::letters(self.seed, &[parts[0], parts[1], conversation]),
        }
    }
}

/// The prepared response of a turn. By default it says nothing.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// Without its texts.
    response: Response,
    content: Option<Arc<str>>,
    reasoning: Option<Arc<str>>,
    /// For each call, its arguments if they have no holes.
    arguments: Vec<Option<String>>,
    has_holes: bool,
    asks_for_results: bool,
}

impl Lines {
    pub(crate) fn prepare(
        mut response: Response,
        compiled: &mut Compiled,
    ) -> Result<Self, InvalidTemplate> {
        for text in texts(&response) {
            compiled.add(text)?;
        }
        let arguments = response
            .tool_calls
            .iter()
            .map(|call| ready(&call.arguments))
            .collect();
        Ok(Self {
            has_holes: texts(&response).into_iter().any(has_holes),
            asks_for_results: texts(&response).into_iter().any(asks_for_results),
            content: response.content.take().map(|text| text.as_str().into()),
            reasoning: response.reasoning.take().map(|text| text.as_str().into()),
            response,
            arguments,
        })
    }

    /// The tools that are called.
    pub(crate) fn tools(&self) -> impl Iterator<Item = &str> {
        self.response
            .tool_calls
            .iter()
            .map(|call| call.name.as_str())
    }

    pub(crate) fn say(
        &self,
        compiled: &Compiled,
        question: &Question<'_>,
        occasion: &Occasion<'_>,
    ) -> Result<Reply, UnfilledTemplate> {
        let filling = self
            .has_holes
            .then(|| question.filling(self.asks_for_results));
        let said = Saying {
            compiled,
            filling: filling.as_ref(),
        };
        let content = said.text(self.content.as_ref())?;
        let content = content.map(|text| question.without_lead(text));
        let reasoning = said.text(self.reasoning.as_ref())?;
        let calls = self.calls(&said, question, occasion)?;
        let usage = self.usage(question, content.as_deref(), reasoning.as_deref(), &calls);
        Ok(Reply {
            turn: Arc::clone(occasion.turn()),
            receipt: occasion.receipt.clone(),
            lane: question.lane.clone(),
            letters: occasion.letters(),
            created: occasion.created,
            model: match occasion.route {
                Some(route) => route.slug.clone(),
                None => question.model.text().to_owned(),
            },
            finish_reason: self.finish_reason(),
            content,
            reasoning,
            calls,
            usage,
            stream: occasion.receipt.turn.stream.clone(),
            route: occasion.route.cloned(),
            echo: question.echo.clone(),
        })
    }

    fn finish_reason(&self) -> FinishReason {
        let usual = if self.response.tool_calls.is_empty() {
            FinishReason::Stop
        } else {
            FinishReason::ToolCalls
        };
        self.response.finish_reason.unwrap_or(usual)
    }

    fn calls(
        &self,
        said: &Saying<'_>,
        question: &Question<'_>,
        occasion: &Occasion<'_>,
    ) -> Result<Vec<Call>, UnfilledTemplate> {
        let mut ids = CallIds::after(question);
        let calls = self.response.tool_calls.iter().zip(&self.arguments);
        calls
            .enumerate()
            .map(|(place, (call, ready))| {
                Ok(Call {
                    id: ids.next(call, place, occasion),
                    name: call.name.clone(),
                    arguments: match ready {
                        Some(arguments) => arguments.clone(),
                        None => said.arguments(&call.arguments)?,
                    },
                })
            })
            .collect()
    }

    fn usage(
        &self,
        question: &Question<'_>,
        content: Option<&str>,
        reasoning: Option<&str>,
        calls: &[Call],
    ) -> Usage {
        let thought = reasoning.map_or(0, str::len);
        let called: usize = calls.iter().map(|call| call.arguments.len()).sum();
        let said = content.map_or(0, str::len) + thought + called;
        let scripted = self.response.usage.unwrap_or(ScriptedUsage {
            prompt_tokens: tokens::asked(question),
            completion_tokens: tokens::in_bytes(said),
            cached_tokens: 0,
        });
        Usage {
            prompt: scripted.prompt_tokens,
            completion: scripted.completion_tokens,
            cached: scripted.cached_tokens,
            reasoning: tokens::in_bytes(thought),
        }
    }
}

/// Fills in texts; without holes there is nothing to fill them with.
struct Saying<'a> {
    compiled: &'a Compiled,
    filling: Option<&'a Filling<'a>>,
}

impl Saying<'_> {
    fn text(&self, text: Option<&Arc<str>>) -> Result<Option<Arc<str>>, UnfilledTemplate> {
        match (text, self.filling) {
            (None, _) => Ok(None),
            (Some(text), None) => Ok(Some(Arc::clone(text))),
            (Some(text), Some(filling)) => {
                let filled = self.compiled.fill(text, filling)?;
                Ok(Some(filled.into()))
            }
        }
    }

    fn arguments(&self, arguments: &Arguments) -> Result<String, UnfilledTemplate> {
        match (arguments, self.filling) {
            (Arguments::Raw(text), None) => Ok(text.as_str().to_owned()),
            (Arguments::Raw(text), Some(filling)) => self.compiled.fill(text.as_str(), filling),
            (Arguments::Named(named), None) => Ok(as_json(named.iter())),
            (Arguments::Named(named), Some(filling)) => {
                let fill = |(name, value): (&String, &Value)| {
                    Ok((name.clone(), self.compiled.fill_all(value, filling)?))
                };
                let filled = named.iter().map(fill).collect::<Result<Vec<_>, _>>()?;
                Ok(as_json(filled.iter().map(|(name, value)| (name, value))))
            }
        }
    }
}

/// Gives each call an id that is unique in its conversation, and the same in every run.
/// Ids that a client would rewrite to the same are the same.
struct CallIds {
    taken: HashSet<String>,
    next: usize,
}

impl CallIds {
    fn after(question: &Question<'_>) -> Self {
        let taken: HashSet<_> = question.calls().map(|call| plain(call.id)).collect();
        Self {
            next: taken.len(),
            taken,
        }
    }

    fn next(&mut self, call: &ScriptedCall, place: usize, occasion: &Occasion<'_>) -> String {
        if let Some(id) = &call.id {
            return id.clone();
        }
        match occasion.dialect {
            Dialect::OpenAi | Dialect::Responses => {
                ids::call(occasion.turn(), occasion.before, place)
            }
            Dialect::Anthropic => {
                let parts = [occasion.letters(), place.to_string()];
                let letters = ids::letters(occasion.seed, &[&parts[0], &parts[1]]);
                format!("toolu_01{letters}")
            }
            Dialect::OpenRouter => self.count(&format!("functions.{}", call.name)),
            Dialect::Moonshot | Dialect::Kimi => self.count(&call.name),
        }
    }

    /// Kimi counts the calls of a conversation. One that forgot its beginning would count
    /// some twice.
    fn count(&mut self, name: &str) -> String {
        loop {
            let id = format!("{name}:{}", self.next);
            self.next += 1;
            if !self.taken.contains(plain(&id).as_str()) {
                return id;
            }
        }
    }
}

fn texts(response: &Response) -> Vec<&str> {
    let mut texts: Vec<_> = [&response.content, &response.reasoning]
        .into_iter()
        .flatten()
        .map(|text| text.as_str())
        .collect();
    for call in &response.tool_calls {
        match &call.arguments {
            Arguments::Raw(text) => texts.push(text.as_str()),
            Arguments::Named(named) => texts.extend(named.values().flat_map(texts_in)),
        }
    }
    texts
}

fn ready(arguments: &Arguments) -> Option<String> {
    match arguments {
        Arguments::Raw(text) => (!has_holes(text.as_str())).then(|| text.as_str().to_owned()),
        Arguments::Named(named) => {
            let mut texts = named.values().flat_map(texts_in);
            (!texts.any(has_holes)).then(|| as_json(named.iter()))
        }
    }
}

fn as_json<'a>(members: impl Iterator<Item = (&'a String, &'a Value)>) -> String {
    let members = members.map(|(name, value)| (name.clone(), value.clone()));
    Value::Object(members.collect()).to_string()
}
