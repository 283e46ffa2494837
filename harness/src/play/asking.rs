//! The step `ask`: a person writes over the HTTP chat API.

use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{PATIENCE, Play};
use crate::failure::{Failure, Trouble};
use crate::judge::compare;
use crate::scenario::{Ask, Lapse};
use crate::stage::{Answer, Api, Question};

/// Tells what came back for a message, or why nothing did.
type Told = oneshot::Receiver<Result<Answer, String>>;

impl Play<'_> {
    /// Posts a message. With an expectation it waits for the answer; without, only until
    /// nanokimi has the message.
    pub(super) async fn ask(&mut self, ask: &Ask) -> Result<(), Trouble> {
        let Some(api) = self.stage.api().cloned() else {
            return Err(Failure::new("nanokimi is not running, so nobody can be asked").into());
        };
        let names = self.names();
        let question = Question {
            chat: names.fill_text(&ask.chat)?,
            from: ask.from.clone(),
            text: names.fill_text(&ask.text)?,
            stream: ask.stream,
        };
        let before = self.stage.journal().last();
        let told = self.post(api, question.clone()).await?;
        if ask.answer.is_none() && ask.status.is_none() {
            return self.taken_in(&question, before, ask.within, told).await;
        }
        let patience = ask.within.map_or(PATIENCE, Lapse::length);
        match timeout(patience, told).await {
            Ok(Ok(Ok(answer))) => self.answered(ask, answer),
            Ok(Ok(Err(error))) => {
                let failure = Failure::new("the request broke off").note(error);
                Err(self.with_death(failure).await?.into())
            }
            // The sender goes only with its request, which is ours.
            Ok(Err(_)) | Err(_) => {
                let lapse = Lapse::new(patience);
                let failure = Failure::new(format!("no answer came within {lapse}"));
                let failure = match &ask.answer {
                    Some(answer) => failure.at(answer.span).label("this was to be the answer"),
                    None => failure,
                };
                Err(self.with_death(failure).await?.into())
            }
        }
    }

    /// Posts in the background; what comes back is written down, and told.
    async fn post(&mut self, api: Api, question: Question) -> Result<Told, Trouble> {
        let asked = [
            ("chat", question.chat.clone().into()),
            ("from", question.from.clone().into()),
            ("text", question.text.clone().into()),
        ];
        self.stage.write("ask.sent", asked).await?;
        let (tell, told) = oneshot::channel();
        let chronicle = self.stage.mock().chronicle().clone();
        self.stage.leave_open(async move {
            let answer = api.ask(&question).await.map_err(|error| root_cause(&error));
            let came = match &answer {
                Ok(answer) => vec![
                    ("status", Value::from(answer.status)),
                    ("text", answer.text.clone().into()),
                ],
                Err(error) => vec![("error", error.clone().into())],
            };
            let chat = ("chat", question.chat.into());
            let fields = std::iter::once(chat).chain(came);
            let fields = fields.map(|(name, value)| (name.to_owned(), value));
            let written = chronicle.write("ask.answered", fields.collect()).await;
            let answer = written.map_err(|error| error.to_string()).and(answer);
            // Nobody listens when the step asked for no answer.
            let (Ok(()) | Err(_)) = tell.send(answer);
        });
        Ok(told)
    }

    async fn taken_in(
        &mut self,
        question: &Question,
        before: u64,
        within: Option<Lapse>,
        told: Told,
    ) -> Result<(), Trouble> {
        let chat = format!("http:{}", question.chat);
        let patience = within.map_or(PATIENCE, Lapse::length);
        let journal = self.stage.journal().clone();
        let received = journal.wait_for("the message to be taken in", patience, |entry| {
            let ours = entry.event == "message.received" && entry.text("chat") == Some(&chat);
            (ours && entry.seq > before).then_some(())
        });
        let failure = tokio::select! {
            biased;
            received = received => match received {
                Ok(()) => return Ok(()),
                Err(_late) => {
                    let lapse = Lapse::new(patience);
                    Failure::new(format!("nanokimi did not take the message in within {lapse}"))
                }
            },
            // The sender goes only with its request, which is ours.
            Ok(answer) = told => match answer {
                Ok(answer) if answer.status < 400 => return Ok(()),
                Ok(answer) => Failure::new("nanokimi did not take the message in")
                    .note(format!("it answers with status {}", answer.status))
                    .note(format!("it says: {}", first_line(&answer.text)))
                    .help("if this belongs to the story, add the `status` to the step"),
                Err(error) => Failure::new("the request broke off").note(error),
            },
        };
        Err(self.with_death(failure).await?.into())
    }

    fn answered(&mut self, ask: &Ask, answer: Answer) -> Result<(), Trouble> {
        let status = ask.status.as_ref().map_or(200, |status| status.value);
        if answer.status != status {
            let failure = Failure::new("the answer has another status")
                .note(format!("expected: {status}\n     got: {}", answer.status))
                .note(format!("it says: {}", first_line(&answer.text)));
            let span = ask.status.as_ref().map(|status| status.span);
            return Err(span.map_or(failure.clone(), |span| failure.at(span)).into());
        }
        let Some(wanted) = &ask.answer else {
            return Ok(());
        };
        let text = Value::String(answer.text);
        let compared = compare(wanted, Some(&text), &self.names())?;
        self.captures.extend(compared.captures.clone());
        if compared.matches() {
            return Ok(());
        }
        let failure = Failure::new("the answer is another one").at(wanted.span);
        Err(super::waiting::with_diff(failure, "answer", &compared).into())
    }
}

/// The innermost cause, which is the one that says something.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

fn first_line(text: &str) -> &str {
    text.lines().next().map_or("", |line| line)
}
