//! What was heard so far, as the turns of a script.
//!
//! Each new question is told from those before, and those before from it where they were
//! not yet: the matches of a recording grow with it, and stay as small as they can be.

use std::num::NonZeroU32;

use serde_json::{Value, json};

use crate::llm::{
    Any, ChatBody, Clauses, Conversations, Dialect, InvalidTemplate, Match, NumberOr, Question,
    ScriptedFault, ScriptedTurn, Times,
};
use crate::record::answer::Answer;
use crate::record::matching::smallest;
use crate::record::pace::Pace;
use crate::record::unfit::Unfit;
use crate::record::wording::response;

#[derive(Debug, Default)]
pub(crate) struct Recording {
    takes: Vec<Take>,
    /// What clients may go on from.
    conversations: Conversations,
}

/// One question and its answer.
#[derive(Debug)]
struct Take {
    body: ChatBody,
    answer: Answer,
    clauses: Clauses,
    /// The first take that asks the same.
    same_as: usize,
}

/// A turn that is said as often as its take was seen.
struct Counted<'a> {
    take: &'a Take,
    times: u32,
}

/// A turn that cannot be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnwritableTurn {
    #[error("a turn cannot be written")]
    Json(#[from] serde_json::Error),
    #[error("an answer cannot be quoted: {0}")]
    Template(#[from] InvalidTemplate),
}

impl Recording {
    /// Adds what was asked, as the body of the request, and what was answered; and the
    /// response that is the answer, if a client may go on from it by its id.
    pub(crate) fn add(
        &mut self,
        dialect: Dialect,
        request: &str,
        answer: Answer,
        response: Option<&Value>,
    ) -> Result<(), Unfit> {
        let refused = |fault: String| Unfit::Request(fault);
        let body = dialect.read(request.as_bytes(), &self.conversations);
        let body = body.map_err(|violation| match violation.unheard() {
            Some(id) => Unfit::Unheard(id.to_owned()),
            None => refused(violation.to_string()),
        })?;
        let question = Question::read(&body).map_err(|violation| refused(violation.to_string()))?;
        if let Some(unfit) = question.unfit {
            return Err(refused(unfit.to_string()));
        }
        if let Some(response) = response {
            let kept = self.conversations.keep_document(&body, response);
            kept.map_err(|unfit| Unfit::Unreadable(unfit.to_string()))?;
        }
        let place = self.takes.len();
        self.takes.push(Take {
            body,
            answer,
            clauses: Clauses::default(),
            same_as: place,
        });
        self.tell_apart(place);
        Ok(())
    }

    fn tell_apart(&mut self, place: usize) {
        let questions = self.questions();
        let (mine, before) = (&questions[place], &questions[..place]);
        if let Some(same) = before.iter().position(|before| asks_the_same(before, mine)) {
            let (clauses, same_as) = (self.takes[same].clauses.clone(), self.takes[same].same_as);
            let take = &mut self.takes[place];
            (take.clauses, take.same_as) = (clauses, same_as);
            return;
        }
        // Of each question once.
        let firsts = (0..=place).filter(|at| self.takes[*at].same_as == *at);
        let firsts: Vec<usize> = firsts.collect();
        let is_confused = |at: &usize| *at == place || self.takes[*at].clauses.hold(mine);
        let confused = firsts.iter().copied().filter(is_confused);
        let told: Vec<(usize, Clauses)> = confused
            .map(|at| {
                let rivals = firsts.iter().filter(|rival| **rival != at);
                let rivals: Vec<_> = rivals.map(|rival| &questions[*rival]).collect();
                (at, smallest(&questions[at], &rivals))
            })
            .collect();
        for (first, clauses) in told {
            let takes = self.takes.iter_mut();
            takes
                .filter(|take| take.same_as == first)
                .for_each(|take| take.clauses = clauses.clone());
        }
    }

    /// Those that could not be read were refused.
    fn questions(&self) -> Vec<Question<'_>> {
        let bodies = self.takes.iter().map(|take| &take.body);
        let read = bodies.map(Question::read);
        read.filter_map(|question| match question {
            Ok(question) => Some(question),
            Err(_refused) => None,
        })
        .collect()
    }

    /// The turns in the order of the questions, as they stand in a script.
    pub(crate) fn turns(&self, with_pace: bool) -> Result<Vec<Value>, UnwritableTurn> {
        let counted = self.counted();
        let written = counted.iter().map(|turn| turn.written(with_pace));
        written.collect()
    }

    /// What was asked again and answered the same is one turn, unless a turn stands between
    /// that would answer first.
    fn counted(&self) -> Vec<Counted<'_>> {
        let mut turns: Vec<Counted<'_>> = Vec::new();
        for (take, question) in self.takes.iter().zip(self.questions()) {
            let mut latest_first = turns.iter_mut().rev();
            let last = latest_first.find(|turn| turn.take.clauses.hold(&question));
            match last {
                Some(turn)
                    if turn.take.same_as == take.same_as
                        && turn.take.answer.says_as(&take.answer) =>
                {
                    turn.times += 1;
                }
                Some(_) | None => turns.push(Counted { take, times: 1 }),
            }
        }
        turns
    }
}

impl Counted<'_> {
    fn written(&self, with_pace: bool) -> Result<Value, UnwritableTurn> {
        let answer = &self.take.answer;
        let fault = answer.fault.clone();
        let is_answered = fault.is_none() || answer.is_begun();
        // What is broken behind its words never comes whole: asked again, it is another turn.
        let always = is_answered.then_some(Times::Word(Any::Any));
        let turn = ScriptedTurn {
            matches: shortest(&self.take.clauses),
            response: is_answered.then(|| response(answer)).transpose()?,
            fault: fault.map(|fault| ScriptedFault {
                times: always,
                fault,
            }),
            times: NumberOr::Number(NonZeroU32::MIN.saturating_add(self.times - 1)),
            ..ScriptedTurn::default()
        };
        let mut written = serde_json::to_value(turn)?;
        if with_pace && let Some(pace) = self.take.answer.pace {
            written["stream"] = paced(pace);
        }
        Ok(written)
    }
}

fn paced(pace: Pace) -> Value {
    json!({
        "first_token": format!("{}ms", pace.first_token.as_millis()),
        "per_token": format!("{}ms", pace.per_token.as_millis()),
    })
}

/// A condition on the user's text alone is written as that text.
fn shortest(clauses: &Clauses) -> Option<Match> {
    if *clauses == Clauses::default() {
        return None;
    }
    let user = clauses.user.clone().map(Match::User);
    let is_alone = user.clone().map(Clauses::from).as_ref() == Some(clauses);
    user.filter(|_| is_alone)
        .or_else(|| Some(Match::All(Box::new(clauses.clone()))))
}

/// Whether a mock could not tell them apart: ids of calls are made anew in each run.
fn asks_the_same(one: &Question<'_>, other: &Question<'_>) -> bool {
    let said = |question: &Question<'_>| -> Vec<_> {
        let messages = question.messages.iter();
        let said = messages.map(|said| {
            let calls = said.message.tool_calls().iter();
            let calls =
                calls.map(|call| format!("{}{}", call.function.name, call.function.arguments));
            (
                said.message.role,
                said.text.text().to_owned(),
                calls.collect::<Vec<_>>(),
            )
        });
        said.collect()
    };
    one.model.text() == other.model.text() && said(one) == said(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::{ErrorMoment, Fault, StreamError};

    fn answer(content: &str) -> Answer {
        Answer {
            content: Some(content.to_owned()),
            ..Answer::default()
        }
    }

    fn request(model: &str, user: &str) -> String {
        json!({ "model": model, "messages": [{ "role": "user", "content": user }] }).to_string()
    }

    /// `question > answer`, as they come; then each turn as `match > answer x times`.
    #[track_caller]
    fn check(heard: &[&str], expected: &[&str]) {
        let mut recording = Recording::default();
        for line in heard {
            let (question, said) = line.split_once(" > ").unwrap();
            recording
                .add(
                    Dialect::OpenAi,
                    &request("kimi-k2", question),
                    answer(said),
                    None,
                )
                .unwrap();
        }
        let turns = recording.turns(false).unwrap();
        let shown = turns.iter().map(|turn| {
            let said = turn["response"]["content"].as_str().unwrap();
            let asked = turn["match"].as_str().unwrap();
            format!("{asked} > {said} x {}", turn["times"].as_u64().unwrap_or(1))
        });
        assert_eq!(shown.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_asked_again_and_answered_the_same_is_one_turn() {
        check(
            &["hi > a", "bye > b", "hi > a"],
            &["hi > a x 2", "bye > b x 1"],
        );
        check(
            &["hi > a", "hi > b", "hi > a"],
            &["hi > a x 1", "hi > b x 1", "hi > a x 1"],
        );
    }

    #[test]
    fn a_later_question_makes_an_earlier_match_narrower() {
        check(&["my cat > a"], &["my cat > a x 1"]);
        check(
            &["my cat > a", "is my cat here > b"],
            &["/^my cat$/ > a x 1", "is my cat here > b x 1"],
        );
    }

    #[test]
    fn questions_that_no_match_can_tell_apart_keep_their_order() {
        let mut recording = Recording::default();
        // A match does not look at the arguments of earlier calls.
        for (command, said) in [("ls", "a"), ("rm", "b"), ("ls", "a")] {
            let call = json!({ "id": "c", "function": { "name": "bash", "arguments": command } });
            let messages = json!([
                { "role": "user", "content": "hi" },
                { "role": "assistant", "tool_calls": [call] },
                { "role": "tool", "tool_call_id": "c", "content": "ok" },
            ]);
            let request = json!({ "model": "m", "messages": messages }).to_string();
            recording
                .add(Dialect::OpenAi, &request, answer(said), None)
                .unwrap();
        }
        let turns = recording.turns(false).unwrap();
        let said: Vec<_> = turns
            .iter()
            .map(|turn| &turn["response"]["content"])
            .collect();
        assert_eq!(said, ["a", "b", "a"]);
    }

    #[test]
    fn a_request_that_no_mock_would_take_is_refused() {
        #[track_caller]
        fn check(request: &str, complaint: &str) {
            let refused = Recording::default()
                .add(Dialect::OpenAi, request, answer("a"), None)
                .unwrap_err();
            assert!(refused.to_string().contains(complaint), "{refused}");
        }
        check("{", "EOF");
        check(r#"{"messages":[{"role":"wizard"}]}"#, "messages[0]");
    }

    #[test]
    fn what_is_broken_behind_its_words_is_a_turn_of_its_own_each_time() {
        let mut recording = Recording::default();
        let fault = Fault::Error(StreamError {
            after: ErrorMoment::Said,
            ..StreamError::default()
        });
        let broken = || Answer {
            fault: Some(fault.clone()),
            ..answer("It is")
        };
        for said in [broken(), broken(), answer("It is noon.")] {
            let request = request("m", "what time is it?");
            recording
                .add(Dialect::OpenAi, &request, said, None)
                .unwrap();
        }
        let turns = recording.turns(false).unwrap();
        assert_eq!(
            turns[0],
            json!({
                "match": "what time is it",
                "response": { "content": "It is" },
                "times": 2,
                "fault": { "times": "any", "error": { "after": "said" } },
            })
        );
        assert_eq!(turns[1]["response"]["content"], "It is noon.");
        assert_eq!(turns[1]["fault"], Value::Null);
    }

    #[test]
    fn a_question_that_goes_on_is_matched_by_the_whole_conversation() {
        let mut recording = Recording::default();
        let ask = |previous: Option<&str>, input: &str| {
            json!({ "model": "m", "previous_response_id": previous, "input": input }).to_string()
        };
        let response = |id: &str, text: &str| {
            let part = json!({ "type": "output_text", "text": text });
            let said = json!({ "type": "message", "role": "assistant", "content": [part] });
            json!({ "id": id, "output": [said] })
        };
        for (previous, id, input, said) in [
            (None, "resp_1", "my cat", "Noted."),
            (None, "resp_2", "my dog", "Noted."),
            (Some("resp_1"), "resp_3", "go on", "Meow."),
            (Some("resp_2"), "resp_4", "go on", "Woof."),
        ] {
            let response = response(id, said);
            let (request, said) = (ask(previous, input), answer(said));
            recording
                .add(Dialect::Responses, &request, said, Some(&response))
                .unwrap();
        }
        let turns = recording.turns(false).unwrap();
        let matches: Vec<_> = turns.iter().map(|turn| &turn["match"]).collect();
        let going_on = |pet: &str| json!({ "user": "go on", "messages": { "user": pet } });
        assert_eq!(
            matches,
            [
                &json!("my cat"),
                &json!("my dog"),
                &going_on("my cat"),
                &going_on("my dog")
            ]
        );
        let unheard = ask(Some("resp_9"), "go on");
        let refused = recording.add(Dialect::Responses, &unheard, answer("a"), None);
        assert_eq!(refused, Err(Unfit::Unheard("resp_9".to_owned())));
    }

    #[test]
    fn a_pace_is_written_as_the_shape_of_a_stream() {
        let mut recording = Recording::default();
        let ms = std::time::Duration::from_millis;
        let pace = Some(Pace {
            first_token: ms(300),
            per_token: ms(20),
        });
        let answer = Answer {
            pace,
            ..answer("a")
        };
        recording
            .add(Dialect::OpenAi, &request("m", "hi"), answer, None)
            .unwrap();
        let with = &recording.turns(true).unwrap()[0]["stream"];
        assert_eq!(
            *with,
            json!({ "first_token": "300ms", "per_token": "20ms" })
        );
        assert_eq!(recording.turns(false).unwrap()[0]["stream"], Value::Null);
    }
}
