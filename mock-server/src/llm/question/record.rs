//! What the journal is told about a request.

use serde_json::{Map, Value, json};

use crate::llm::dialect::Dialect;
use crate::llm::dialect::responses::Conversations;
use crate::llm::question::Question;
use crate::llm::question::request::ChatBody;
use crate::llm::script::pattern::Heard;

/// All fields of an `llm.request`, so that the map need not grow.
const FIELDS: usize = 11;

/// A request that came, for who looks at it later.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) n: u64,
    /// Where it was asked.
    pub(crate) path: Box<str>,
    pub(crate) body: Kept,
    /// What the client tells about itself.
    pub(crate) device: Map<String, Value>,
    /// The lane it was put in, if it could be read.
    pub(crate) lane: Option<String>,
}

/// A body that was read once. Most are never looked at again, and what came on the wire is
/// much smaller than what is made of it.
#[derive(Debug)]
pub(crate) enum Kept {
    AsItCame {
        dialect: Dialect,
        /// Bytes of its own: those on the wire would hold on to all that came with them.
        wire: Box<[u8]>,
        /// Whom it was for in the end.
        model: Option<String>,
    },
    /// It cannot be read again: what it refers to may be gone by then.
    Read(Box<ChatBody>),
}

impl Kept {
    pub(crate) fn of(dialect: Dialect, wire: &[u8], read: ChatBody) -> Self {
        if dialect.refers_to_others() {
            Self::Read(Box::new(read))
        } else {
            Self::AsItCame {
                dialect,
                wire: wire.into(),
                model: read.model,
            }
        }
    }

    fn open(self) -> ChatBody {
        match self {
            Self::Read(body) => *body,
            Self::AsItCame {
                dialect,
                wire,
                model,
            } => {
                let read = dialect.read(&wire, &Conversations::default());
                let mut body = read.unwrap_or_else(|_it_was_read_before| ChatBody::default());
                body.model = model;
                body
            }
        }
    }
}

impl Record {
    pub(crate) fn fields(self) -> Map<String, Value> {
        let Self {
            n,
            path,
            body,
            device,
            lane,
        } = self;
        let mut body = body.open();
        let mut fields = envelope(n, &path, device, &body);
        if let Some(lane) = &lane
            && let Ok(question) = Question::read(&body)
        {
            open(&question, lane, &mut fields);
        }
        let messages = std::mem::take(&mut body.messages);
        fields.insert("messages".to_owned(), messages.into());
        fields
    }
}

/// What stands on the envelope.
fn envelope(n: u64, path: &str, device: Map<String, Value>, body: &ChatBody) -> Map<String, Value> {
    let mut fields = Map::with_capacity(FIELDS);
    fields.insert("n".to_owned(), n.into());
    fields.insert("path".to_owned(), path.into());
    fields.insert("model".to_owned(), body.model.clone().into());
    fields.insert("stream".to_owned(), body.wants_stream().into());
    fields.insert("tools".to_owned(), body.tools().map(Value::from).collect());
    fields.insert("session".to_owned(), body.prompt_cache_key.clone().into());
    // Only some clients tell these, and a journal of the others is no longer for it.
    if !device.is_empty() {
        fields.insert("device".to_owned(), device.into());
    }
    if !body.models.is_empty() {
        fields.insert("models".to_owned(), body.models.clone().into());
    }
    fields
}

/// What a look inside tells.
fn open(question: &Question<'_>, lane: &str, fields: &mut Map<String, Value>) {
    let text = |heard: &Option<Heard<'_>>| Value::from(heard.as_ref().map(Heard::text));
    let results = question
        .tool_results
        .iter()
        .map(|result| json!({ "name": result.name, "text": &*result.text, "ok": result.ok }));
    fields.insert("lane".to_owned(), lane.into());
    fields.insert("user".to_owned(), text(&question.user));
    fields.insert("tool_results".to_owned(), results.collect());
    fields.insert("system".to_owned(), text(&question.system));
}
