//! An answer under way to its client, from the choice of the turn to its last byte.
//!
//! It knows whether it came to its end: if it is dropped before, the client went away.

mod respond;

pub(crate) use respond::respond;

use std::sync::Arc;

use serde_json::{Value, json};

use crate::llm::dialect::Dialect;
use crate::llm::question::request::ChatBody;
use crate::llm::score::lines::Reply;
use crate::llm::score::{Asked, Part};
use crate::llm::scripted::ScriptedLlm;

#[derive(Debug)]
pub(crate) struct Performance {
    llm: ScriptedLlm,
    n: u64,
    asked: Asked,
    reply: Arc<Reply>,
    gate: Option<String>,
    pub(crate) wants_stream: bool,
    pub(crate) wants_usage: bool,
    is_over: bool,
}

impl Performance {
    pub(crate) fn new(llm: ScriptedLlm, n: u64, asked: Asked, part: Part, body: &ChatBody) -> Self {
        Self {
            llm,
            n,
            asked,
            reply: part.reply,
            gate: part.gate,
            wants_stream: body.wants_stream(),
            wants_usage: body.wants_usage(),
            is_over: false,
        }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.asked.dialect
    }

    pub(crate) fn response_id(&self) -> String {
        let reply = &self.reply;
        self.dialect().response_id(reply.created, &reply.letters)
    }

    /// Waits at the gate, if there is one, and begins to speak.
    pub(crate) async fn begin(&self) -> &Reply {
        if let Some(gate) = &self.gate
            && let Some(opened) = self.llm.arrive(self.n, gate)
        {
            let _waiting = Waiting {
                llm: &self.llm,
                gate,
            };
            opened.cancelled().await;
        }
        self.llm.note("llm.reply", self.journaled());
        &self.reply
    }

    /// The last byte was handed over.
    pub(crate) fn end(&mut self) {
        self.is_over = true;
        self.llm.delivered(&self.reply);
    }

    fn journaled(&self) -> Value {
        let calls =
            self.reply.calls.iter().map(
                |call| json!({ "id": call.id, "name": call.name, "arguments": call.arguments }),
            );
        json!({
            "n": self.n,
            "lane": self.reply.lane,
            "turn": &*self.reply.turn,
            "content": self.reply.content,
            "tool_calls": calls.collect::<Value>(),
            "finish_reason": self.reply.finish_reason.as_str(),
        })
    }
}

impl Drop for Performance {
    fn drop(&mut self) {
        if !self.is_over {
            self.llm.abandoned(self.n, &self.asked, &self.reply);
        }
    }
}

/// Somebody stands at a gate, for as long as this lives.
struct Waiting<'a> {
    llm: &'a ScriptedLlm,
    gate: &'a str,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.llm.leave(self.gate);
    }
}
