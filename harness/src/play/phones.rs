//! The steps `say`, `burst` and `phone`: people on WhatsApp, and what befalls the network.

use std::collections::BTreeSet;
use std::time::Duration;

use mock_server::whatsapp::{Control, Done, Saying, Traffic};
use mock_server::yaml::At;
use mock_server::{Entry, Journal};
use serde_json::Value;

use super::Play;
use super::wanted::Place;
use crate::failure::{Failure, Trouble};
use crate::scenario::{Burst, Lapse, Names};

/// How long nanokimi may take to tell that it has a message.
const TAKEN_IN: Duration = Duration::from_secs(10);

/// What keeps messages from nanokimi while it is online, or its receipts from the server, as far
/// as the steps have said.
#[derive(Debug, Default)]
pub(super) struct HeldBack {
    /// Messages, or the receipts that tell that nanokimi has them.
    traffic: BTreeSet<Traffic>,
    /// The last entry before the connection went silent; a newer connection is a good one.
    silent_since: Option<u64>,
}

impl HeldBack {
    /// `last` is the last entry before the control.
    fn note(&mut self, control: &Control, last: u64) {
        match control {
            Control::Hold {
                what: what @ (Traffic::Messages | Traffic::Deliveries),
            } => drop(self.traffic.insert(*what)),
            Control::LetGo { what } => drop(self.traffic.remove(what)),
            // After noise, a connection may decrypt nothing any more.
            Control::HalfOpen {} | Control::Garbage {} => self.silent_since = Some(last),
            Control::Hold {
                what: Traffic::Receipts | Traffic::Acks,
            }
            // Whoever is not connected is not online, which is asked of the mock.
            | Control::Drop {}
            | Control::StreamError { .. }
            | Control::Offline {}
            | Control::Back {}
            | Control::Refuse(_)
            | Control::Offer(_)
            | Control::RefuseCode(_)
            | Control::RefuseUploads(_)
            | Control::Nack(_)
            | Control::Passkey { .. }
            | Control::Unlink {}
            | Control::Replace {}
            // Late is not never.
            | Control::Delay { .. }
            | Control::PauseAcks {}
            | Control::ResumeAcks {}
            // What people do silences nobody.
            | Control::Say(_)
            | Control::Edit(_)
            | Control::Revoke(_)
            | Control::React(_)
            | Control::Typing(_)
            | Control::Read(_)
            | Control::Presence(_)
            | Control::Redeliver { .. }
            | Control::LoseKeys { .. }
            | Control::CreateGroup(_)
            | Control::Add(_)
            | Control::Remove(_)
            | Control::Promote(_)
            | Control::Demote(_)
            | Control::Rename { .. }
            | Control::ScanQr { .. }
            | Control::EnterCode { .. }
            | Control::LowPrekeys { .. }
            | Control::Mutate(_) => {}
        }
    }
}

impl Play<'_> {
    /// Writes, and waits until nanokimi has told that it has the message, where it can have it.
    pub(super) async fn say(&mut self, saying: &Saying) -> Result<(), Trouble> {
        let awaited = self.is_within_reach().await? && !saying.undecryptable;
        let names = self.names();
        let said = self.obey(&Control::Say(saying.clone()), &names).await?;
        let awaited = awaited && !said.outside;
        let ids = said.message_id.filter(|_| awaited);
        self.receipted(ids.into_iter().collect()).await
    }

    /// Writes all, then waits for all.
    pub(super) async fn burst(&mut self, burst: &Burst) -> Result<(), Trouble> {
        let awaited = self.is_within_reach().await? && !burst.say.undecryptable;
        let control = Control::Say(burst.say.clone());
        let mut ids = BTreeSet::new();
        for n in 1..=burst.times {
            let mut names = self.names();
            names.captures.insert("n".to_owned(), n.into());
            let said = self.obey(&control, &names).await?;
            ids.extend(said.message_id.filter(|_| awaited && !said.outside));
        }
        self.receipted(ids).await
    }

    pub(super) async fn phone(&mut self, control: &Control) -> Result<(), Trouble> {
        self.held_back.note(control, self.stage.journal().last());
        let names = self.names();
        self.obey(control, &names).await.map(drop)
    }

    async fn obey(&mut self, control: &Control, names: &Names) -> Result<Done, Trouble> {
        let control = self.filled(control, names)?;
        if let Control::ScanQr { code } | Control::EnterCode { code } = &control {
            // Whoever reads it while it is good can link a device of their own.
            self.stage.keep_secret(code.trim()).await?;
        }
        let met = new_names(&control);
        let done = self.stage.mock().control(control).await?;
        self.stage.meet(&met).await?;
        Ok(done)
    }

    /// The control with values in the place of names.
    fn filled(&self, control: &Control, names: &Names) -> Result<Control, Trouble> {
        let unfit = |error: serde_json::Error| {
            Failure::new(format!(
                "with the values of its names, this is no control: {error}"
            ))
        };
        let written = serde_json::to_value(control).map_err(unfit)?;
        let mut filled = names.fill_value(&written)?;
        self.put_ids(&mut filled);
        let mut control = serde_json::from_value(filled).map_err(unfit)?;
        if let Control::Say(saying) = &mut control
            && let Some(media) = &mut saying.media
            && let Some(path) = &mut media.path
        {
            *path = self.scenario.beside(path);
        }
        Ok(control)
    }

    /// The mock knows what people's messages are called; what the assistant's are, we do.
    fn put_ids(&self, value: &mut Value) {
        let Some(fields) = value.as_object_mut() else {
            return;
        };
        for (key, value) in fields {
            let id = value.as_str().and_then(|name| self.heard.get(name));
            match id.filter(|_| ["message", "reply_to"].contains(&key.as_str())) {
                Some(id) => *value = id.clone().into(),
                None => self.put_ids(value),
            }
        }
    }

    /// Whether a message that is written now comes to nanokimi now, and its receipt comes back.
    async fn is_within_reach(&self) -> Result<bool, Trouble> {
        if self.stage.api().is_none() || !self.held_back.traffic.is_empty() {
            return Ok(false);
        }
        let journal = self.stage.journal();
        let is_silent = self.held_back.silent_since.is_some_and(|since| {
            let entries = journal.entries_after(since);
            !entries
                .iter()
                .any(|entry| entry.event == "whatsapp.connected")
        });
        Ok(!is_silent && self.stage.mock().online().await?)
    }

    /// Waits until nanokimi has told that it has these messages.
    async fn receipted(&mut self, ids: BTreeSet<String>) -> Result<(), Trouble> {
        let all = ids.len();
        let patience = self.patience(None, TAKEN_IN);
        let journal = self.stage.journal().clone();
        let failure = tokio::select! {
            biased;
            missing = missing_of(ids, &journal, patience) => {
                if missing == 0 {
                    return Ok(());
                }
                let lapse = Lapse::new(patience);
                let failure =
                    Failure::new(format!("nanokimi did not take the message in within {lapse}"));
                let failure = if all == 1 {
                    failure
                } else {
                    failure.note(format!("it has {} of {all}", all - missing))
                };
                failure.help("it says so with a receipt; `hold` messages back if it must not have it")
            },
            ended = self.stage.died() => return Err(self.death(ended?)),
        };
        Err(self.with_death(failure).await?.into())
    }

    /// Where the journal writes what is heard in a chat.
    pub(super) async fn place(&self, chat: &At<String>) -> Result<Place, Trouble> {
        let name = self.names().fill_text(chat)?;
        Ok(match self.stage.jid_on_whatsapp(&name).await? {
            Some(jid) => Place::WhatsApp { name, jid },
            None => Place::Http(format!("http:{name}")),
        })
    }

    /// Gives the message of an entry a name.
    pub(super) fn call(&mut self, name: &At<String>, seq: u64) -> Result<(), Trouble> {
        let entries = self.stage.journal().entries_after(seq.saturating_sub(1));
        let id = entries.first().and_then(|entry| entry.text("id"));
        let id = id.ok_or_else(|| Failure::new("what was heard has no id").at(name.span))?;
        self.heard.insert(name.value.clone(), id.to_owned());
        Ok(())
    }
}

/// Whom and what a control brings into the story.
fn new_names(control: &Control) -> Vec<String> {
    if let Control::CreateGroup(group) = control {
        let name = std::iter::once(&group.name);
        return name.chain(&group.members).cloned().collect();
    }
    if let Control::Add(joining) = control {
        return joining.people.clone();
    }
    Vec::new()
}

/// How many of these messages nanokimi has not told of, once it has told of no further one within
/// `patience`: it takes many one after the other, and each has its own time.
async fn missing_of(mut ids: BTreeSet<String>, journal: &Journal, patience: Duration) -> usize {
    while !ids.is_empty() {
        let before = ids.len();
        let told = journal.wait_for("messages to be taken in", patience, |entry| {
            for id in told_by(entry) {
                ids.remove(id);
            }
            ids.is_empty().then_some(())
        });
        if told.await.is_err() && ids.len() == before {
            break;
        }
    }
    ids.len()
}

/// The messages whose receipt this is. What the owner wrote elsewhere is not delivered to nanokimi,
/// but noted.
fn told_by(entry: &Entry) -> impl Iterator<Item = &str> {
    let (one, several) = match &*entry.event {
        "whatsapp.delivered" => (entry.text("id"), None),
        "whatsapp.receipt" => (None, entry.fields.get("ids").and_then(Value::as_array)),
        _ => (None, None),
    };
    let several = several.into_iter().flatten().filter_map(Value::as_str);
    one.into_iter().chain(several)
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn receipt(journal: &Journal, id: &str) {
        let fields = Map::from_iter([("id".to_owned(), json!(id))]);
        drop(journal.write("whatsapp.delivered", fields));
    }

    fn ids(count: usize) -> BTreeSet<String> {
        (1..=count).map(|n| format!("m{n}")).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn each_message_of_a_burst_has_its_own_time() {
        let journal = Journal::open();
        let (missing, ()) = tokio::join!(missing_of(ids(4), &journal, PATIENCE), async {
            for n in 1..=4 {
                tokio::time::advance(Duration::from_secs(9)).await;
                receipt(&journal, &format!("m{n}"));
            }
        });
        assert_eq!(missing, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_never_told_of_is_missing_however_much_else_is() {
        let journal = Journal::open();
        receipt(&journal, "m1");
        receipt(&journal, "somebody else's");
        let from = tokio::time::Instant::now();
        assert_eq!(missing_of(ids(3), &journal, PATIENCE).await, 2);
        // One that was told of, and then nothing.
        assert_eq!(from.elapsed(), 2 * PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_receipt_of_several_tells_of_each() {
        let journal = Journal::open();
        let fields = Map::from_iter([("ids".to_owned(), json!(["m1", "m2"]))]);
        drop(journal.write("whatsapp.receipt", fields));
        assert_eq!(missing_of(ids(2), &journal, PATIENCE).await, 0);
    }
}
