//! How each channel stands, and when the names of its groups were last read.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::rows::{instant, parsed, parsed_or_null, words};
use super::{Store, StoreError};
use crate::channel::{ChannelState, ChannelStatus};

words!(ChannelState, "channel state", {
    Off => "off",
    NotLinked => "not_linked",
    Connecting => "connecting",
    Connected => "connected",
    Waiting => "waiting",
    Replaced => "replaced",
    LoggedOut => "logged_out",
    Outdated => "outdated",
    Banned => "banned",
    Passkey => "passkey",
    Stopped => "stopped",
});

const GROUPS: &str = "whatsapp groups";

impl Store {
    /// Keeps how a channel stands now.
    pub(crate) async fn note_channel(&self, status: ChannelStatus) -> Result<(), StoreError> {
        self.call(move |tx| {
            let retry_at = status.retry_at.map(instant);
            tx.execute(
                "INSERT INTO channels (name, state, detail, retry_at, since) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (name) DO UPDATE SET state = ?2, detail = ?3, retry_at = ?4, since = ?5",
                params![status.channel, status.state.word(), status.detail, retry_at, instant(status.since)],
            )?;
            Ok(())
        })
        .await
    }

    /// How every channel stood last.
    pub(crate) async fn channels(&self) -> Result<Vec<ChannelStatus>, StoreError> {
        self.call(|tx| channels_in(tx)).await
    }

    /// When the names of WhatsApp's groups were last read; none if they never were.
    pub(crate) async fn groups_synced_at(&self) -> Result<Option<Timestamp>, StoreError> {
        self.call(|tx| {
            let at = tx
                .prepare_cached("SELECT at FROM syncs WHERE what = ?1")?
                .query_row([GROUPS], |row| parsed(row, "at"))
                .optional()?;
            Ok(at)
        })
        .await
    }

    pub(crate) async fn note_groups_synced(&self, at: Timestamp) -> Result<(), StoreError> {
        self.call(move |tx| {
            tx.execute(
                "INSERT INTO syncs (what, at) VALUES (?1, ?2)
                 ON CONFLICT (what) DO UPDATE SET at = ?2",
                params![GROUPS, instant(at)],
            )?;
            Ok(())
        })
        .await
    }
}

pub(super) fn channels_in(connection: &Connection) -> Result<Vec<ChannelStatus>, StoreError> {
    let mut rows = connection.prepare_cached("SELECT * FROM channels ORDER BY name")?;
    let channels = rows
        .query_map([], |row| {
            Ok(ChannelStatus {
                channel: row.get("name")?,
                state: parsed(row, "state")?,
                detail: row.get("detail")?,
                retry_at: parsed_or_null(row, "retry_at")?,
                since: parsed(row, "since")?,
            })
        })?
        .collect::<Result<_, _>>()?;
    Ok(channels)
}
