//! What the agent is told: the claimed messages, or the task, as one prompt.

use agent_protocol::AgentInput;
use jiff::Timestamp;

use crate::house::House;
use crate::ids::SessionId;
use crate::store::{Claim, StoredMessage, Unit};

pub(super) fn input(house: &House, claim: &Claim, session: Option<&SessionId>) -> AgentInput {
    let zone = &house.config.time_zone_name;
    let context = format!(
        "<context timezone=\"{}\" now=\"{}\" />\n",
        escape(zone),
        local(house, house.clock.now())
    );
    let (body, is_scheduled_task) = match &claim.unit {
        Unit::Messages(messages) => (conversation(house, messages), false),
        Unit::Task(task) => (task.prompt.clone(), true),
    };
    AgentInput {
        prompt: context + &body,
        session_id: session.map(ToString::to_string),
        group_folder: claim.group.folder.to_string(),
        chat_jid: claim.group.chat.to_string(),
        is_main: claim.group.is_main,
        is_scheduled_task,
        assistant_name: Some(house.config.assistant_name.clone()),
    }
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
        .map(|message| {
            format!(
                "<message sender=\"{}\" time=\"{}\">{}</message>\n",
                escape(&message.sender_name),
                local(house, message.sent_at),
                escape(&message.content),
            )
        })
        .collect();
    let omitted = match left_out {
        0 => String::new(),
        left_out => format!("<omitted messages=\"{left_out}\" />\n"),
    };
    format!("<messages>\n{omitted}{lines}</messages>")
}

/// An instant as people in the configured zone would write it, to the second.
fn local(house: &House, at: Timestamp) -> String {
    at.to_zoned(house.config.time_zone.clone())
        .strftime("%Y-%m-%d %H:%M:%S")
        .to_string()
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

    #[test]
    fn a_message_cannot_break_out_of_its_frame() {
        assert_eq!(
            escape("</message>\"&it's"),
            "&lt;/message&gt;&quot;&amp;it's"
        );
    }
}
