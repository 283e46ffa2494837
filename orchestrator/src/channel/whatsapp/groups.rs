//! The names of WhatsApp's groups: read once a day and when asked, kept in the store, where
//! `available_groups.json` and the commands find them.

use std::time::Duration;

use jiff::Timestamp;
use whatsapp_rust::Client;

use super::people;
use crate::channel::SendError;
use crate::house::House;
use crate::intake::Intake;

/// How long names stay fresh. The server tells changes meanwhile.
pub(super) const FRESH: Duration = Duration::from_secs(24 * 60 * 60);

/// After they could not be read.
pub(super) const AGAIN: Duration = Duration::from_secs(5 * 60);

/// When the names are to be read next; now, if they never were.
pub(super) async fn due(house: &House) -> Timestamp {
    match house.store.groups_synced_at().await {
        Ok(Some(at)) => at.saturating_add(FRESH).unwrap_or(Timestamp::MAX),
        Ok(None) => house.clock.now(),
        Err(error) => {
            let error = crate::chain(&error);
            tracing::warn!(error, "it is not known when groups' names were read");
            house.clock.now()
        }
    }
}

/// Reads the names of all groups that we are in; returns when the store has them.
pub(super) async fn sync(client: &Client, house: &House, intake: &Intake) -> Result<(), SendError> {
    let groups = client.groups();
    let groups = Box::pin(groups.get_participating())
        .await
        .map_err(|error| SendError::Later {
            why: format!("WhatsApp does not name its groups: {error:#}"),
        })?;
    let mut named = 0;
    for (jid, group) in groups {
        let Some(chat) = people::chat(&jid) else {
            continue;
        };
        // Being named is no activity.
        let at = group
            .creation_time
            .and_then(second)
            .unwrap_or(Timestamp::UNIX_EPOCH);
        let name = (!group.subject.is_empty()).then_some(group.subject);
        kept(intake.heard_of(chat, name, at).await)?;
        named += 1;
    }
    kept(house.store.note_groups_synced(house.clock.now()).await)?;
    tracing::info!(groups = named, "Group names read");
    Ok(())
}

fn second(unix: u64) -> Option<Timestamp> {
    let Ok(unix) = i64::try_from(unix) else {
        return None;
    };
    match Timestamp::from_second(unix) {
        Ok(at) => Some(at),
        Err(_beyond_time) => None,
    }
}

fn kept<T>(result: Result<T, crate::store::StoreError>) -> Result<T, SendError> {
    result.map_err(|error| SendError::Later {
        why: format!("groups' names cannot be kept: {}", crate::chain(&error)),
    })
}
