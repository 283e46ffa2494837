//! What a message says, in plain text: from WhatsApp's many forms to the one that an agent
//! reads. It fetches nothing and asks nobody; names are put in later.
//!
//! The rule: words are taken as they are; pictures, sounds and documents become an attachment
//! beside their caption; places, contacts, polls and the like become a short note in brackets.
//! Reactions, poll votes, pins and what devices tell each other are not messages.

use waproto::whatsapp as wa;
use waproto::whatsapp::message::protocol_message::Type as ProtocolType;

use super::attachment::{Attachment, attachment};

/// Real messages are wrapped twice at most; one that is wrapped for ever is not opened for ever.
const DEEPEST_WRAPPING: usize = 8;
const LONGEST_QUOTE: usize = 500;

/// What one message means to us.
#[derive(Debug)]
pub(super) enum Said {
    Message(Box<Wording>),
    /// An earlier message has a new text, which may be empty beside a file.
    Edited {
        id: String,
        text: String,
        mentions: Vec<String>,
    },
    /// An earlier message is taken back; by its author, or by an admin if it was somebody else's.
    Revoked {
        id: String,
        of_another: bool,
    },
    /// Nothing that an agent should read.
    Nothing,
}

/// The words of a message.
#[derive(Debug, Default)]
pub(super) struct Wording {
    /// May be empty if there is an attachment.
    pub text: String,
    pub attachment: Option<Attachment>,
    pub quote: Option<Quote>,
    /// Who is mentioned, as JIDs; in the text they stand as `@<user part>`.
    pub mentions: Vec<String>,
}

/// The message that is replied to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Quote {
    pub id: String,
    /// Its author's JID, if it is told.
    pub from: Option<String>,
    pub text: String,
}

/// Reads a message as it was decrypted.
#[must_use]
pub(super) fn read(message: &wa::Message) -> Said {
    let message = unwrap(message);
    if let Some(protocol) = message.protocol_message.as_option() {
        return read_protocol(protocol);
    }
    let (text, attachment) = words(message);
    if text.trim().is_empty() && attachment.is_none() {
        return Said::Nothing;
    }
    let context = context(message);
    Said::Message(Box::new(Wording {
        text,
        attachment,
        quote: context.and_then(quote),
        mentions: mentions(context),
    }))
}

fn mentions(context: Option<&wa::ContextInfo>) -> Vec<String> {
    context.map_or_else(Vec::new, |context| context.mentioned_jid.clone())
}

/// The message inside: disappearing, view-once, copied from another device of the owner …
fn unwrap(message: &wa::Message) -> &wa::Message {
    let mut message = message;
    for _ in 0..DEEPEST_WRAPPING {
        match inside(message) {
            Some(inner) => message = inner,
            None => break,
        }
    }
    message
}

fn inside(message: &wa::Message) -> Option<&wa::Message> {
    if let Some(sent) = message.device_sent_message.as_option() {
        return sent.message.as_option();
    }
    let wrappers = [
        &message.ephemeral_message,
        &message.view_once_message,
        &message.view_once_message_v2,
        &message.view_once_message_v2_extension,
        &message.document_with_caption_message,
        &message.edited_message,
        &message.group_mentioned_message,
        &message.lottie_sticker_message,
        &message.associated_child_message,
        &message.bot_forwarded_message,
        &message.spoiler_message,
    ];
    wrappers
        .into_iter()
        .find_map(|wrapper| wrapper.as_option()?.message.as_option())
}

fn read_protocol(protocol: &wa::message::ProtocolMessage) -> Said {
    let key = protocol.key.as_option();
    let Some(id) = key.and_then(|key| key.id.clone()) else {
        return Said::Nothing;
    };
    if protocol.r#type == Some(ProtocolType::REVOKE) {
        let from_me = key.and_then(|key| key.from_me).unwrap_or(false);
        return Said::Revoked {
            id,
            of_another: !from_me,
        };
    }
    let Some(edited) = protocol.edited_message.as_option().map(unwrap) else {
        return Said::Nothing;
    };
    let (text, attachment) = words(edited);
    if text.trim().is_empty() && attachment.is_none() {
        return Said::Nothing;
    }
    Said::Edited {
        id,
        text,
        mentions: mentions(context(edited)),
    }
}

/// The words of an unwrapped message, and what is attached to it.
fn words(message: &wa::Message) -> (String, Option<Attachment>) {
    if let Some((attachment, caption)) = attachment(message) {
        return (caption, Some(attachment));
    }
    let text = said(message).or_else(|| noted(message)).unwrap_or_default();
    (text, None)
}

/// Words that somebody wrote or chose.
fn said(message: &wa::Message) -> Option<String> {
    if let Some(text) = &message.conversation {
        return Some(text.clone());
    }
    if let Some(extended) = message.extended_text_message.as_option() {
        return extended.text.clone();
    }
    if let Some(chosen) = message.template_button_reply_message.as_option() {
        return chosen.selected_display_text.clone();
    }
    if let Some(chosen) = message.list_response_message.as_option() {
        return chosen.title.clone();
    }
    if let Some(chosen) = message.buttons_response_message.as_option() {
        let wa::message::buttons_response_message::Response::SelectedDisplayText(text) =
            chosen.response.as_ref()?;
        return Some(text.clone());
    }
    let answered = message.interactive_response_message.as_option()?;
    answered.body.as_option()?.text.clone()
}

/// A short note of what is more than words.
fn noted(message: &wa::Message) -> Option<String> {
    if let Some(place) = message.location_message.as_option() {
        let named = [place.name.as_deref(), place.address.as_deref()];
        return Some(place_note(
            place.degrees_latitude,
            place.degrees_longitude,
            &named,
        ));
    }
    if let Some(place) = message.live_location_message.as_option() {
        let named = [place.caption.as_deref()];
        return Some(place_note(
            place.degrees_latitude,
            place.degrees_longitude,
            &named,
        ));
    }
    if let Some(contact) = message.contact_message.as_option() {
        return Some(format!("[contact: {}]", contact_note(contact)));
    }
    if let Some(contacts) = message.contacts_array_message.as_option() {
        let all: Vec<String> = contacts.contacts.iter().map(contact_note).collect();
        return Some(format!("[contacts: {}]", all.join("; ")));
    }
    if let Some(invite) = message.group_invite_message.as_option() {
        let name = invite.group_name.as_deref().unwrap_or("a group");
        return Some(note("invitation", &[Some(name), invite.caption.as_deref()]));
    }
    if let Some(event) = message.event_message.as_option() {
        let told = [event.name.as_deref(), event.description.as_deref()];
        return Some(note("event", &told));
    }
    poll_note(message)
}

fn poll_note(message: &wa::Message) -> Option<String> {
    let polls = [
        &message.poll_creation_message,
        &message.poll_creation_message_v2,
        &message.poll_creation_message_v3,
        &message.poll_creation_message_v5,
    ];
    let poll = polls.into_iter().find_map(|poll| poll.as_option())?;
    let options = poll.options.iter();
    let options: Vec<&str> = options.filter_map(|o| o.option_name.as_deref()).collect();
    Some(note(
        "poll",
        &[poll.name.as_deref(), Some(&options.join(" / "))],
    ))
}

/// `[kind: a, b]`, leaving out what is empty.
fn note(kind: &str, told: &[Option<&str>]) -> String {
    let told = told.iter().flatten().map(|told| told.trim());
    let told: Vec<&str> = told.filter(|told| !told.is_empty()).collect();
    format!("[{kind}: {}]", told.join(", "))
}

fn place_note(latitude: Option<f64>, longitude: Option<f64>, named: &[Option<&str>]) -> String {
    let degrees = match (latitude, longitude) {
        (Some(latitude), Some(longitude)) => Some(format!("{latitude}, {longitude}")),
        (None | Some(_), None | Some(_)) => None,
    };
    let mut told = vec![degrees.as_deref()];
    told.extend_from_slice(named);
    note("location", &told)
}

/// A contact's name, and the numbers on its card.
fn contact_note(contact: &wa::message::ContactMessage) -> String {
    let card = contact.vcard.as_deref().unwrap_or_default();
    let numbers = card
        .lines()
        .filter(|line| line.contains("TEL"))
        .filter_map(|line| line.rsplit_once(':'))
        .map(|(_, number)| number.trim().to_owned());
    let name = contact.display_name.clone();
    let told: Vec<String> = name.into_iter().chain(numbers).collect();
    told.join(", ")
}

/// What a message carries besides itself: whom it replies to, whom it mentions.
fn context(message: &wa::Message) -> Option<&wa::ContextInfo> {
    macro_rules! first_context {
        ($($field:ident),+ $(,)?) => {
            None$(.or_else(|| message.$field.as_option()?.context_info.as_option()))+
        };
    }
    first_context!(
        extended_text_message,
        image_message,
        video_message,
        ptv_message,
        document_message,
        audio_message,
        sticker_message,
        location_message,
        live_location_message,
        contact_message,
        contacts_array_message,
        poll_creation_message,
        poll_creation_message_v3,
        group_invite_message,
        buttons_response_message,
        list_response_message,
        template_button_reply_message,
    )
}

fn quote(context: &wa::ContextInfo) -> Option<Quote> {
    let id = context.stanza_id.clone()?;
    let quoted = context.quoted_message.as_option().map(unwrap)?;
    let (text, attachment) = words(quoted);
    let text = match attachment {
        Some(attachment) => format!("{text} [{}]", attachment.kind.word()),
        None => text,
    };
    Some(Quote {
        id,
        from: context.participant.clone(),
        text: shortened(text.trim()),
    })
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST_QUOTE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The text with every mention in words: `name` tells what to call a JID, if it knows.
#[must_use]
pub(super) fn with_names(
    text: &str,
    mentions: &[String],
    name: impl Fn(&str) -> Option<String>,
) -> String {
    let mut text = text.to_owned();
    for jid in mentions {
        let user = jid.split(['@', ':']).next().unwrap_or_default();
        if user.is_empty() {
            continue;
        }
        if let Some(name) = name(jid) {
            text = text.replace(&format!("@{user}"), &format!("@{name}"));
        }
    }
    text
}

#[cfg(test)]
mod tests;
