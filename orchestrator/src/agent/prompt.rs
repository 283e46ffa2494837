//! What the agent is told: the claimed messages, or the task, as one prompt.

use agent_protocol::{AgentInput, FollowUp, LeftSession};
use jiff::Timestamp;

use crate::house::House;
use crate::ids::SessionId;
use crate::store::{Claim, StoredMessage, Unit};

pub(super) fn input(house: &House, claim: &Claim, session: Option<&SessionId>) -> AgentInput {
    let is_scheduled_task = matches!(claim.unit, Unit::Task(_));
    AgentInput {
        prompt: prompt(house, claim),
        session_id: session.map(ToString::to_string),
        group_folder: claim.group.folder.to_string(),
        chat_jid: claim.group.chat.to_string(),
        is_main: claim.group.is_main,
        is_scheduled_task,
        assistant_name: Some(house.config.assistant_name.clone()),
        input_id: Some(claim.run.to_string()),
        // A task is over when it is over: nobody goes on talking to it.
        waits: !house.config.agent_one_shot && !is_scheduled_task,
        left_sessions: claim
            .left
            .iter()
            .map(|left| LeftSession {
                session_id: left.session.to_string(),
                last_day: day(house, left.updated_at),
            })
            .collect(),
    }
}

/// The same work, for an agent that waits for it.
pub(super) fn follow_up(house: &House, claim: &Claim) -> FollowUp {
    FollowUp::Message {
        text: prompt(house, claim),
        input_id: Some(claim.run.to_string()),
    }
}

fn prompt(house: &House, claim: &Claim) -> String {
    let zone = &house.config.time_zone_name;
    let context = format!(
        "<context timezone=\"{}\" now=\"{}\" />\n",
        escape(zone),
        local(house, house.clock.now())
    );
    let body = match &claim.unit {
        Unit::Messages(messages) => conversation(house, messages),
        Unit::Task(task) => task.prompt.clone(),
    };
    context + &body
}

/// How much of what called nobody is told: the newest.
const CONTEXT: usize = 100;

fn conversation(house: &House, messages: &[StoredMessage]) -> String {
    let context = messages.iter().filter(|message| message.is_context).count();
    let left_out = context.saturating_sub(CONTEXT);
    let mut skipped = 0;
    let told = messages.iter().filter(|message| {
        let skip = message.is_context && skipped < left_out;
        skipped += usize::from(skip);
        !skip
    });
    let lines: String = told
        .map(|message| framed(message, &local(house, message.sent_at)))
        .collect();
    let omitted = match left_out {
        0 => String::new(),
        left_out => format!("<omitted messages=\"{left_out}\" />\n"),
    };
    format!("<messages>\n{omitted}{lines}</messages>")
}

fn framed(message: &StoredMessage, time: &str) -> String {
    let (reply_to, quoted) = match &message.quoted {
        None => (String::new(), String::new()),
        Some(quoted) => (
            format!(" reply_to=\"{}\"", escape(&quoted.id)),
            format!(
                "\n  <quoted_message from=\"{}\">{}</quoted_message>",
                escape(&quoted.from),
                escape(&quoted.text)
            ),
        ),
    };
    format!(
        "<message sender=\"{}\" time=\"{time}\"{reply_to}>{quoted}{}</message>\n",
        escape(&message.sender_name),
        escape(&message.content),
    )
}

/// An instant as people in the configured zone would write it, to the second.
fn local(house: &House, at: Timestamp) -> String {
    at.to_zoned(house.config.time_zone.clone())
        .strftime("%Y-%m-%d %H:%M:%S")
        .to_string()
}

/// The day of an instant in the configured zone.
fn day(house: &House, at: Timestamp) -> String {
    let zone = house.config.time_zone.clone();
    at.to_zoned(zone).strftime("%Y-%m-%d").to_string()
}

/// So that nobody can write a message that ends its own frame.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Quoted;

    #[test]
    fn a_reply_shows_what_it_replies_to() {
        let mut message = StoredMessage {
            seq: 1,
            sender_name: "Ada".to_owned(),
            content: "@Kai is that so?".to_owned(),
            sent_at: "2026-01-05T09:00:00Z".parse().unwrap(),
            is_context: false,
            quoted: None,
        };
        assert_eq!(
            framed(&message, "t"),
            "<message sender=\"Ada\" time=\"t\">@Kai is that so?</message>\n"
        );
        message.quoted = Some(Quoted {
            id: "3EB0\"1".to_owned(),
            from: "Bob & Co".to_owned(),
            text: "</quoted_message>\nIt rains".to_owned(),
        });
        assert_eq!(
            framed(&message, "t"),
            "<message sender=\"Ada\" time=\"t\" reply_to=\"3EB0&quot;1\">\n  \
             <quoted_message from=\"Bob &amp; Co\">&lt;/quoted_message&gt;\nIt rains</quoted_message>\
             @Kai is that so?</message>\n"
        );
    }

    #[test]
    fn a_message_cannot_break_out_of_its_frame() {
        assert_eq!(
            escape("</message>\"&it's"),
            "&lt;/message&gt;&quot;&amp;it's"
        );
    }
}
