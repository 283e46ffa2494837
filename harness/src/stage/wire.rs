//! WhatsApp on a stage: who is on it, the device that is linked, and when all is at rest.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use fs_err as fs;
use indexmap::IndexMap;
use mock_server::Journal;
use mock_server::whatsapp::GroupCast;
use serde_json::Value;
use tokio::time::timeout;

use super::folder::Folder;
use super::mock::{Mock, MockError};
use super::process::Ended;
use super::{Stage, StageError, paired};
use crate::scenario::{Chat, Linking, OWNER};

/// How long stanzas may be on their way.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// Far longer than a stanza, or an event, is on its way within one machine.
pub(super) const LITTLE_WHILE: Duration = Duration::from_millis(20);

/// Who never falls silent, as in a storm of logins, is ended all the same: the story of it is
/// told by what comes then.
pub(super) const LONGEST_WAIT_FOR_QUIET: Duration = Duration::from_secs(2);

/// States that a connection does not come out of by itself.
const FINAL: [&str; 6] = [
    "replaced",
    "logged_out",
    "outdated",
    "banned",
    "locked",
    "passkey",
];

/// What became of nanokimi's connection to WhatsApp.
#[derive(Debug)]
pub(crate) enum Connecting {
    Connected,
    /// It told that it does not try any more.
    GaveUp {
        state: String,
    },
    /// The last state it told.
    Silent {
        state: String,
    },
    Ended(Ended),
}

/// Lets in the device that was linked before, or leaves nanokimi unlinked.
pub(super) async fn prepare(
    mock: &Mock,
    linking: Linking,
    (folder, fixture): (&Folder, &Path),
) -> Result<(), StageError> {
    // Groups are registered before the first start, for which there must be this.
    fs::create_dir_all(folder.root().join("store")).map_err(StageError::Folder)?;
    if !linking.linked {
        return Ok(());
    }
    let account = paired::unpack(fixture, folder.root())?;
    Ok(mock.link(account).await?)
}

/// What nanokimi must know to take the mock for WhatsApp.
pub(super) async fn settings(
    mock: &Mock,
    folder: &Folder,
) -> Result<[(String, Value); 2], StageError> {
    let (socket_url, certificate) = mock.whatsapp_places().await?;
    let authority = folder.media_authority();
    fs::write(&authority, certificate).map_err(StageError::Folder)?;
    let authority = authority.display().to_string();
    Ok([
        ("whatsapp_url".to_owned(), socket_url.into()),
        ("extra_ca_file".to_owned(), authority.into()),
    ])
}

/// Whom a story on WhatsApp knows from its beginning, by name.
#[derive(Debug, Default)]
pub(super) struct Cast {
    /// The JID of each chat on WhatsApp.
    chats: IndexMap<String, String>,
    /// The JID of each person.
    people: IndexMap<String, String>,
    over_http: BTreeSet<String>,
}

/// Makes the groups and names the chats.
pub(super) async fn cast(
    mock: &Mock,
    chats: &IndexMap<String, Option<Chat>>,
) -> Result<Cast, StageError> {
    let mut cast = Cast::default();
    cast.over_http.insert("main".to_owned());
    let owner = mock.jid_of(OWNER).await?;
    let owner = owner.map(|jid| (OWNER.to_owned(), jid));
    cast.people.extend(owner);
    for (name, chat) in chats {
        let chat = chat.clone().unwrap_or_default();
        let Some(jid) = stage(mock, name, &chat).await? else {
            cast.over_http.insert(name.clone());
            continue;
        };
        cast.chats.insert(name.clone(), jid);
        for person in chat.members.into_iter().chain(chat.direct) {
            let jid = mock.jid_of(&person).await?;
            cast.people.extend(jid.map(|jid| (person, jid)));
        }
    }
    Ok(cast)
}

/// `None` for a chat over HTTP.
async fn stage(mock: &Mock, name: &str, chat: &Chat) -> Result<Option<String>, MockError> {
    if let Some(person) = &chat.direct {
        return mock.stage_direct(name, person).await.map(Some);
    }
    let Some(id) = chat.group else {
        return Ok(None);
    };
    let group = GroupCast {
        name: name.to_owned(),
        id: id.to_string(),
        subject: chat.subject.clone(),
        members: chat.members.clone(),
        addressing: chat.addressing.unwrap_or_default(),
    };
    mock.stage_group(group).await.map(Some)
}

/// Returns when no stanza is on its way.
pub(super) async fn at_rest(mock: &Mock) -> Result<(), StageError> {
    let rested = mock.at_rest(PATIENCE).await;
    rested.map_err(|error| match error {
        MockError::Refused(left) => StageError::Unsettled(left),
        gone @ MockError::Gone(_) => gone.into(),
    })
}

/// Returns when nothing has happened for a little while, or never stops happening.
pub(super) async fn quiet(journal: &Journal) {
    let mut follower = journal.follow_after(journal.last());
    let silence = async { while timeout(LITTLE_WHILE, follower.next()).await.is_ok() {} };
    drop(timeout(LONGEST_WAIT_FOR_QUIET, silence).await);
}

impl Stage {
    /// The JID of a chat on WhatsApp, `None` for one over HTTP.
    pub(crate) async fn jid_on_whatsapp(&self, chat: &str) -> Result<Option<String>, MockError> {
        let Some(cast) = &self.cast else {
            return Ok(None);
        };
        if let Some(jid) = cast.chats.get(chat) {
            return Ok(Some(jid.clone()));
        }
        if cast.over_http.contains(chat) {
            return Ok(None);
        }
        // It came to be since.
        self.mock.jid_of(chat).await
    }

    /// People and groups come into the story.
    pub(crate) async fn meet(&mut self, names: &[String]) -> Result<(), MockError> {
        let Some(cast) = &mut self.cast else {
            return Ok(());
        };
        for name in names {
            let jid = self.mock.jid_of(name).await?;
            cast.people.extend(jid.map(|jid| (name.clone(), jid)));
        }
        Ok(())
    }

    /// The JIDs of people and chats by their names; where both have one name, of the chat.
    pub(crate) fn jids(&self) -> IndexMap<String, String> {
        let Some(cast) = &self.cast else {
            return IndexMap::new();
        };
        let mut jids = cast.people.clone();
        jids.extend(cast.chats.clone());
        jids
    }

    /// The JID of any chat.
    pub(super) async fn jid(&self, chat: &str) -> Result<String, MockError> {
        let jid = self.jid_on_whatsapp(chat).await?;
        Ok(jid.unwrap_or_else(|| format!("http:{chat}")))
    }

    /// Waits until nanokimi has told, after entry `after`, that it is connected, or that it
    /// gives up.
    pub(crate) async fn connected(
        &mut self,
        after: u64,
        patience: Duration,
    ) -> Result<Connecting, StageError> {
        let mut follower = self.journal().follow_after(after);
        let mut state = "nothing".to_owned();
        let telling = async {
            loop {
                let entry = follower.next().await;
                let told = entry
                    .text("state")
                    .filter(|_| entry.event == "channel.state");
                let Some(told) = told else { continue };
                state = told.to_owned();
                if told == "connected" {
                    return Connecting::Connected;
                }
                if FINAL.contains(&told) {
                    return Connecting::GaveUp {
                        state: state.clone(),
                    };
                }
            }
        };
        let told = tokio::select! {
            biased;
            told = timeout(patience, telling) => told,
            ended = self.died() => return Ok(Connecting::Ended(ended?)),
        };
        Ok(told.unwrap_or(Connecting::Silent { state }))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, interval};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_storm_is_not_waited_out() {
        let journal = Journal::open();
        let storm = async {
            let mut gusts = interval(LITTLE_WHILE / 2);
            loop {
                gusts.tick().await;
                journal.write("whatsapp.connected", serde_json::Map::new());
            }
        };
        let began = Instant::now();
        tokio::select! {
            () = quiet(&journal) => {}
            () = storm => {}
            _ = timeout(LONGEST_WAIT_FOR_QUIET * 2, std::future::pending::<()>()) => {}
        }
        assert_eq!(began.elapsed(), LONGEST_WAIT_FOR_QUIET);
    }
}
