//! WhatsApp over its wire: how soon a linked nanokimi is connected, how long an answer takes, and
//! a crowd of groups on one socket.

use std::io;
use std::time::Duration;

use serde_json::Value;

use crate::crowd::{Crowd, Memory};
use crate::samples::Samples;
use crate::stories::Stories;

const CONNECTED: &str = "\
story: It connects.
chats: { ada: { direct: ada } }
steps:
  - expect: { event: channel.state, where: { state: connected } }
";

const CONVERSATION: &str = "\
story: Messages are answered, one after the other.
chats: { ada: { direct: ada } }
script:
  - { match: hello, times: any, response: { content: Hello. } }
steps:
";

const MESSAGE: &str = "  \
  - say: { chat: ada, from: ada, text: hello }
  - hear: { chat: ada, text: { contains: Hello. } }
";

/// How many messages a conversation has, and how often one is held.
const MESSAGES: usize = 21;
const CONVERSATIONS: usize = 5;

const CROWD: Crowd = Crowd {
    groups: 100,
    rounds: 4,
    messages: 5,
};

/// From the start of the process until it is connected, and until it is ready.
pub(crate) fn connected(stories: &Stories, times: usize) -> io::Result<(Samples, Samples)> {
    let story = stories.add("connected", CONNECTED)?;
    let (mut connected, mut ready) = (Vec::new(), Vec::new());
    for _ in 0..times {
        let journal = stories.journal_of(&story)?;
        let told = |entry: &Value| entry["fields"]["state"] == "connected";
        connected.extend(waits(&journal, "process.started", |entry| {
            entry["event"] == "channel.state" && told(entry)
        })?);
        ready.extend(waits(&journal, "process.started", |entry| {
            entry["event"] == "process.ready"
        })?);
    }
    Ok((Samples::times(connected), Samples::times(ready)))
}

/// From a phone that writes to a phone that has read the answer, but for the first of each
/// conversation.
pub(crate) fn replies(stories: &Stories) -> io::Result<Samples> {
    let conversation = format!("{CONVERSATION}{}", MESSAGE.repeat(MESSAGES));
    let story = stories.add("wire", &conversation)?;
    let mut replies = Vec::new();
    for _ in 0..CONVERSATIONS {
        let journal = stories.journal_of(&story)?;
        let waits = waits(&journal, "whatsapp.said", |entry| {
            entry["event"] == "whatsapp.heard"
        });
        replies.extend(waits?.into_iter().skip(1));
    }
    Ok(Samples::times(replies))
}

/// What nanokimi's memory was after the first quarter of the crowd's messages, and at its most.
pub(crate) fn crowd(stories: &Stories) -> io::Result<(Samples, Samples)> {
    let text = CROWD.story().map_err(io::Error::other)?;
    let story = stories.add("crowd", &text)?;
    let (journal, memory) = Memory::watched(|| stories.journal_of(&story));
    CROWD.judge(&journal?).map_err(io::Error::other)?;
    let unseen = || io::Error::other("nanokimi was not seen in /proc");
    let Memory { quarter, most } = memory.ok_or_else(unseen)?;
    Ok((Samples::memory(most), Samples::memory(quarter)))
}

/// From each entry called `from` to the next that `until` accepts.
fn waits(journal: &str, from: &str, until: impl Fn(&Value) -> bool) -> io::Result<Vec<Duration>> {
    let mut waits = Vec::new();
    let mut began = None;
    for line in journal.lines() {
        let entry: Value = serde_json::from_str(line)?;
        let real = entry["real_ms"].as_f64();
        if entry["event"] == from {
            began = real;
        } else if until(&entry)
            && let (Some(start), Some(end)) = (began.take(), real)
        {
            waits.push(Duration::from_secs_f64((end - start) / 1e3));
        }
    }
    Ok(waits)
}
