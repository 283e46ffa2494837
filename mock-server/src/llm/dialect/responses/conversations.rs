//! What the server remembers of its answers, so that a client may go on from one.
//!
//! The latest of them, until the mocks begin anew. A recorder remembers those of others.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;
use serde_json::{Value, json};

use crate::llm::dialect::Dialect;
use crate::llm::dialect::responses::answer::output;
use crate::llm::dialect::responses::items::Talk;
use crate::llm::dialect::responses::{Unfit, document};
use crate::llm::question::request::ChatBody;
use crate::llm::score::lines::Reply;

/// How many are kept: each holds the whole of what was said before it, and a long run has no end.
const KEPT: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Conversations {
    kept: Mutex<IndexMap<String, Kept>>,
}

/// An answer, and what led to it.
#[derive(Debug)]
struct Kept {
    /// The whole conversation, the answer included.
    messages: Vec<Value>,
    input: Vec<Value>,
    output: Vec<Value>,
    /// None if another server gave it.
    reply: Option<Arc<Reply>>,
}

impl Conversations {
    /// Keeps an answer, unless its client wanted it forgotten.
    pub(crate) fn keep(&self, body: &ChatBody, reply: &Arc<Reply>) {
        let Some(request) = body.responses.as_ref().filter(|request| request.is_stored) else {
            return;
        };
        let mut talk = Talk::after(body.messages[request.instructions..].to_vec());
        talk.answer(reply);
        let id = Dialect::Responses.response_id(reply.created, &reply.letters);
        let kept = Kept {
            messages: talk.messages,
            input: listed(&id, &request.input),
            output: output(reply),
            reply: Some(Arc::clone(reply)),
        };
        self.insert(id, kept);
    }

    /// Keeps an answer of another server, as its document is.
    pub(crate) fn keep_document(&self, body: &ChatBody, document: &Value) -> Result<(), Unfit> {
        let request = body.responses.as_ref();
        let request = request.filter(|request| request.is_stored);
        let (Some(request), Some(id)) = (request, document["id"].as_str()) else {
            return Ok(());
        };
        let output = document["output"].as_array().cloned().unwrap_or_default();
        let mut talk = Talk::after(body.messages[request.instructions..].to_vec());
        for (place, item) in output.iter().enumerate() {
            talk.add(place, item.clone())?;
        }
        let kept = Kept {
            messages: talk.messages,
            input: listed(id, &request.input),
            output,
            reply: None,
        };
        self.insert(id.to_owned(), kept);
        Ok(())
    }

    fn insert(&self, id: String, kept: Kept) {
        let mut all = self.kept();
        if all.len() == KEPT {
            all.shift_remove_index(0);
        }
        all.insert(id, kept);
    }

    /// The conversation up to an answer.
    pub(super) fn messages(&self, id: &str) -> Result<Vec<Value>, Unfit> {
        let id = || id.to_owned();
        let kept = self.kept();
        let kept = kept
            .get(&id())
            .ok_or_else(|| Unfit::NoPrevious { id: id() })?;
        Ok(kept.messages.clone())
    }

    /// The item itself, or the one that it refers to.
    pub(super) fn resolve(&self, item: &Value) -> Result<Value, Unfit> {
        if item["type"] != "item_reference" {
            return Ok(item.clone());
        }
        let kept = self.kept();
        let mut items = kept
            .values()
            .flat_map(|kept| kept.output.iter().chain(&kept.input));
        let found = items.find(|known| known["id"] == item["id"]);
        found.cloned().ok_or_else(|| Unfit::NoItem {
            id: item["id"].as_str().unwrap_or_default().to_owned(),
        })
    }

    /// The answer as it was given.
    pub(crate) fn document(&self, id: &str) -> Option<serde_json::Result<bytes::Bytes>> {
        let kept = self.kept();
        let reply = kept.get(id)?.reply.as_deref()?;
        Some(document(reply))
    }

    /// What was asked, the latest first.
    pub(crate) fn input(&self, id: &str) -> Option<Vec<Value>> {
        let kept = self.kept();
        let input = kept.get(id)?.input.iter().rev();
        Some(input.cloned().collect())
    }

    /// Whether there was something to forget.
    pub(crate) fn forget(&self, id: &str) -> bool {
        self.kept().shift_remove(id).is_some()
    }

    pub(crate) fn forget_all(&self) {
        self.kept().clear();
    }

    fn kept(&self) -> MutexGuard<'_, IndexMap<String, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The items with ids, which a client need not give.
fn listed(response: &str, input: &[Value]) -> Vec<Value> {
    let letters = response.trim_start_matches("resp_");
    let items = input.iter().enumerate().map(|(place, item)| {
        let mut item = item.clone();
        if let Value::Object(fields) = &mut item {
            let id = || json!(format!("in_{letters}{place}"));
            fields.entry("id").or_insert_with(id);
            if fields.contains_key("role") {
                fields.entry("type").or_insert("message".into());
            }
        }
        item
    });
    items.collect()
}
