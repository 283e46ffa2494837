//! Answers of which the client did not wait for the end: if it asks the same again, it is
//! to get the same again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::llm::question::Question;
use crate::llm::score::Asked;
use crate::llm::score::lines::Reply;

#[derive(Debug, Default)]
pub(crate) struct Unfinished {
    answers: Mutex<Vec<Answer>>,
    /// How many there are: mostly none, and then nobody takes the lock.
    count: AtomicUsize,
}

/// An answer, and the request that it was for.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) n: u64,
    asked: Asked,
    pub(crate) reply: Arc<Reply>,
}

impl Unfinished {
    pub(crate) fn keep(&self, n: u64, asked: Asked, reply: Arc<Reply>) {
        let mut answers = self.answers();
        answers.push(Answer { n, asked, reply });
        self.count.store(answers.len(), Ordering::Release);
    }

    /// The answer to the same request, or to one that goes on where this answer broke off.
    pub(crate) fn take(&self, asked: &Asked, question: &Question<'_>) -> Option<Answer> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut answers = self.answers();
        let place = answers.iter().position(|answer| {
            let is_again =
                || answer.asked.is_same(asked) || answer.is_gone_on_with(asked, question);
            // What puts a request in its lane may stand in any header.
            answer.reply.lane == question.lane && is_again()
        })?;
        let answer = answers.remove(place);
        self.count.store(answers.len(), Ordering::Release);
        Some(answer)
    }

    pub(crate) fn forget(&self) {
        let mut answers = self.answers();
        answers.clear();
        self.count.store(0, Ordering::Release);
    }

    fn answers(&self) -> MutexGuard<'_, Vec<Answer>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answer {
    /// Whether a client sends the same conversation with what it has heard of this answer
    /// at its end, as one does after a broken stream.
    fn is_gone_on_with(&self, asked: &Asked, question: &Question<'_>) -> bool {
        let Some(lead) = question.lead() else {
            return false;
        };
        let heard = lead.text.text().trim_end();
        let said = self.reply.content.as_deref().unwrap_or_default();
        said.starts_with(heard) && self.asked.is_same_but_for_the_end(asked)
    }
}

impl Asked {
    fn is_same_but_for_the_end(&self, other: &Self) -> bool {
        let (Some(mut ours), Some(mut theirs)) = (json(&self.body), json(&other.body)) else {
            return false;
        };
        let (Some(before), Some(after)) = (messages(&mut ours), messages(&mut theirs)) else {
            return false;
        };
        // It may have broken off before, with less of it heard.
        if before.last().is_some_and(is_lead) {
            before.pop();
        }
        // What stands beside the messages, e.g. how much may be said, may have changed.
        self.is_from_where(other) && after.pop().is_some() && before == after
    }
}

/// Whether a message at the end is the beginning of the answer that is asked for.
fn is_lead(message: &Value) -> bool {
    let calls = message.get("tool_calls").and_then(Value::as_array);
    message["role"] == "assistant" && calls.is_none_or(Vec::is_empty)
}

fn json(body: &[u8]) -> Option<Value> {
    match serde_json::from_slice(body) {
        Ok(body) => Some(body),
        Err(_other_dialect) => None,
    }
}

fn messages(body: &mut Value) -> Option<&mut Vec<Value>> {
    body.get_mut("messages")?.as_array_mut()
}
