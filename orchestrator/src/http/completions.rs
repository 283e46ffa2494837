//! `POST /v1/chat/completions`: the OpenAI-compatible way to write to the assistant.
//!
//! Unlike a bare model, the assistant remembers: only the last message of the request is read,
//! the rest of the conversation is its own. `session_id` names the conversation, or `user` does.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderName, StatusCode};
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::{Deserialize, Serialize};

use super::Api;
use super::answer::{Answer, Heard};
use super::problem::{Problem, json};
use crate::ids::ChatJid;
use crate::intake::Received;
use crate::registration;
use crate::store::NewMessage;

/// So that no proxy between us and the client takes a thinking agent for a dead one.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

#[derive(Deserialize)]
struct ChatRequest {
    messages: Vec<ChatMessage>,
    #[serde(default)]
    stream: bool,
    session_id: Option<String>,
    user: Option<String>,
}

#[derive(Deserialize)]
struct ChatMessage {
    role: String,
    content: Content,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    text: Option<String>,
}

#[derive(Serialize)]
struct Completion<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    model: &'static str,
    session_id: &'a str,
    choices: [Choice<'a>; 1],
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Spoken<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<Spoken<'a>>,
    finish_reason: Option<&'static str>,
}

#[derive(Default, Serialize)]
struct Spoken<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
}

/// A message that is stored, but calls nobody.
#[derive(Serialize)]
struct Stored<'a> {
    object: &'static str,
    session_id: &'a str,
    state: &'static str,
    message: &'static str,
}

/// What every part of one answer carries.
#[derive(Clone)]
struct Heading {
    id: String,
    created: i64,
    session: String,
}

pub(super) async fn complete(
    State(api): State<Api>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body =
        body.map_err(|rejected| Problem::new(rejected.status(), "body", rejected.body_text()))?;
    if api.stop.is_cancelled() {
        return Err(Problem::stopping());
    }
    let request: ChatRequest = serde_json::from_slice(&body).map_err(|error| {
        Problem::bad_request(format!("the body is not a chat request: {error}"))
    })?;
    let (session, sender) = whose(&request)?;
    let chat =
        ChatJid::http(&session).map_err(|error| Problem::bad_request(crate::chain(&error)))?;
    let text = last_text(&request)?;
    let group = registration::of_conversation(&api.house, chat.clone()).await?;
    let id = uuid::Uuid::new_v4().to_string();
    let heading = Heading {
        id: format!("chatcmpl-{id}"),
        created: api.house.clock.now().as_second(),
        session,
    };
    let reader = api.house.events.read_after(api.house.events.newest());
    let new = NewMessage {
        chat: chat.clone(),
        id,
        sender: sender.clone(),
        sender_name: sender,
        content: text,
        sent_at: api.house.clock.now(),
        from_me: false,
        quoted: None,
        media: None,
        media_note: None,
    };
    match api.intake.receive(&group, new).await? {
        Received::Queued { seq } => {
            let answer = Answer::new(&api.waiting, reader, (chat, seq));
            if request.stream {
                Ok(streamed(heading, answer))
            } else {
                whole(&heading, answer).await
            }
        }
        Received::Waiting { .. } | Received::Own { .. } | Received::Duplicate => {
            Ok(stored(&heading))
        }
    }
}

/// The conversation and who writes in it. `user` alone may be `<user>/<conversation>`.
fn whose(request: &ChatRequest) -> Result<(String, String), Problem> {
    let user = request
        .user
        .as_deref()
        .map(str::trim)
        .filter(|user| !user.is_empty());
    match (&request.session_id, user) {
        (Some(session), user) => Ok((session.clone(), user.unwrap_or("user").to_owned())),
        (None, Some(user)) => {
            let sender = user.split_once('/').map_or(user, |(sender, _)| sender);
            Ok((user.to_owned(), sender.to_owned()))
        }
        (None, None) => Err(Problem::bad_request(
            "name the conversation: `session_id`, or `user` as `<user>/<conversation>`; `session_id: \"main\"` is the main group",
        )),
    }
}

fn last_text(request: &ChatRequest) -> Result<String, Problem> {
    let Some(last) = request.messages.last() else {
        return Err(Problem::bad_request("`messages` is empty"));
    };
    if last.role != "user" {
        return Err(Problem::bad_request(format!(
            "the last message must be the user's, not `{}`'s",
            last.role
        )));
    }
    let text = match &last.content {
        Content::Text(text) => text.clone(),
        Content::Parts(parts) => parts
            .iter()
            .filter_map(|part| part.text.as_deref())
            .collect::<Vec<_>>()
            .join("\n"),
    };
    if text.trim().is_empty() {
        return Err(Problem::bad_request("the last message has no text"));
    }
    Ok(text)
}

async fn whole(heading: &Heading, mut answer: Answer) -> Result<Response, Problem> {
    let mut texts = Vec::new();
    loop {
        match answer.next().await {
            Heard::Text(text) => texts.push(text),
            Heard::End => break,
            Heard::Failed(problem) => return Err(problem),
        }
    }
    let content = texts.join("\n\n");
    let choice = Choice {
        index: 0,
        message: Some(Spoken {
            role: Some("assistant"),
            content: Some(&content),
        }),
        delta: None,
        finish_reason: Some("stop"),
    };
    let completion = heading.completion("chat.completion", choice);
    let session = [(
        HeaderName::from_static("x-session-id"),
        heading.session.clone(),
    )];
    Ok((session, json(completion)).into_response())
}

fn stored(heading: &Heading) -> Response {
    let stored = Stored {
        object: "chat.message.stored",
        session_id: &heading.session,
        state: "waiting",
        message: "the message is kept as context; this group's assistant answers when it is called by name",
    };
    (StatusCode::ACCEPTED, json(stored)).into_response()
}

/// Where a stream stands.
enum Streaming {
    Role(Heading, Answer),
    Texts(Heading, Answer, bool),
    Done,
    Closed,
}

type Frame = Result<axum::response::sse::Event, std::convert::Infallible>;

fn streamed(heading: Heading, answer: Answer) -> Response {
    let session = [(
        HeaderName::from_static("x-session-id"),
        heading.session.clone(),
    )];
    let frames = stream::unfold(Streaming::Role(heading, answer), |part| async move {
        let (event, next) = next_frame(part).await?;
        Some((Frame::Ok(event), next))
    });
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE).text("keep-alive");
    (session, Sse::new(frames).keep_alive(keep_alive)).into_response()
}

async fn next_frame(part: Streaming) -> Option<(axum::response::sse::Event, Streaming)> {
    match part {
        Streaming::Role(heading, answer) => {
            let role = Spoken {
                role: Some("assistant"),
                content: Some(""),
            };
            let event = heading.chunk(role, None);
            Some((event, Streaming::Texts(heading, answer, false)))
        }
        Streaming::Texts(heading, mut answer, spoken) => match answer.next().await {
            Heard::Text(text) => {
                // Two texts of one answer are two paragraphs.
                let text = if spoken { format!("\n\n{text}") } else { text };
                let content = Spoken {
                    role: None,
                    content: Some(&text),
                };
                let event = heading.chunk(content, None);
                Some((event, Streaming::Texts(heading, answer, true)))
            }
            Heard::End => Some((
                heading.chunk(Spoken::default(), Some("stop")),
                Streaming::Done,
            )),
            Heard::Failed(problem) => {
                let event = axum::response::sse::Event::default()
                    .event("error")
                    .data(problem.body());
                Some((event, Streaming::Closed))
            }
        },
        Streaming::Done => {
            let event = axum::response::sse::Event::default().data("[DONE]");
            Some((event, Streaming::Closed))
        }
        Streaming::Closed => None,
    }
}

impl Heading {
    fn completion<'a>(&'a self, object: &'static str, choice: Choice<'a>) -> Completion<'a> {
        Completion {
            id: &self.id,
            object,
            created: self.created,
            model: "nanokimi",
            session_id: &self.session,
            choices: [choice],
        }
    }

    fn chunk(
        &self,
        delta: Spoken<'_>,
        finish_reason: Option<&'static str>,
    ) -> axum::response::sse::Event {
        let choice = Choice {
            index: 0,
            message: None,
            delta: Some(delta),
            finish_reason,
        };
        let chunk = self.completion("chat.completion.chunk", choice);
        // Our own texts always serialise; a newline in them is escaped by JSON.
        let text = serde_json::to_string(&chunk).unwrap_or_else(|error| error.to_string());
        axum::response::sse::Event::default().data(text)
    }
}
