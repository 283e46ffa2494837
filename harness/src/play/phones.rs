//! The steps `say`, `burst` and `phone`: people on WhatsApp, and what befalls the network.

use std::collections::BTreeSet;
use std::time::Duration;

use mock_server::Entry;
use mock_server::whatsapp::{Control, Done, Saying, Traffic};
use mock_server::yaml::At;
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
        match said.message_id.filter(|_| awaited) {
            Some(id) => self.receipted(&id).await,
            None => Ok(()),
        }
    }

    /// Writes all, then waits for the last.
    pub(super) async fn burst(&mut self, burst: &Burst) -> Result<(), Trouble> {
        let awaited = self.is_within_reach().await? && !burst.say.undecryptable;
        let control = Control::Say(burst.say.clone());
        let mut last = None;
        for n in 1..=burst.times {
            let mut names = self.names();
            names.captures.insert("n".to_owned(), n.into());
            let said = self.obey(&control, &names).await?;
            last = said.message_id.filter(|_| !said.outside);
        }
        match last.filter(|_| awaited) {
            Some(id) => self.receipted(&id).await,
            None => Ok(()),
        }
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

    async fn receipted(&mut self, id: &str) -> Result<(), Trouble> {
        let journal = self.stage.journal().clone();
        let delivered = journal.wait_for("the message to be taken in", TAKEN_IN, |entry| {
            is_receipt_of(entry, id).then_some(())
        });
        let failure = tokio::select! {
            biased;
            delivered = delivered => match delivered {
                Ok(()) => return Ok(()),
                Err(_late) => {
                    let lapse = Lapse::new(TAKEN_IN);
                    Failure::new(format!("nanokimi did not take the message in within {lapse}"))
                        .help("it says so with a receipt; `hold` messages back if it must not have it")
                }
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

/// What the owner wrote elsewhere is not delivered to nanokimi, but noted.
fn is_receipt_of(entry: &Entry, id: &str) -> bool {
    match &*entry.event {
        "whatsapp.delivered" => entry.text("id") == Some(id),
        "whatsapp.receipt" => {
            let ids = entry.fields.get("ids").and_then(Value::as_array);
            ids.is_some_and(|ids| ids.iter().any(|one| one == id))
        }
        _ => false,
    }
}
