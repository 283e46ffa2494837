//! OpenAI's Responses: its items, its rules, its answers and what it remembers of them.
//!
//! Shapes as the service documents them and as its own clients read them. Scripts never
//! see them: a request becomes a chat request here, and an answer leaves from here.

mod answer;
mod conversations;
mod echo;
mod items;
mod request;
mod rules;
mod stream;
#[cfg(test)]
mod tests;

pub(crate) use answer::document;
pub(crate) use conversations::Conversations;
pub(crate) use echo::Echo;
pub(crate) use request::{Request, read};
pub(crate) use rules::Unfit;
pub(super) use stream::{Scribe, error_event, failed_event};
