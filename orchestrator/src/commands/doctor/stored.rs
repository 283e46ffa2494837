//! What the store says: that it is whole, how WhatsApp stands, and whether the clock can be right.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::finding::{Check, Finding};
use super::process::Presence;
use crate::channel::{ChannelState, ChannelStatus, whatsapp as channel};
use crate::config::{Config, WhatsAppMode};
use crate::store::{Checkup, StoreError};

/// Clocks of phones and servers differ by minutes.
const AHEAD: Duration = Duration::from_mins(10);

/// This program is not older.
const BEFORE_US: Timestamp = Timestamp::constant(1_767_225_600, 0);

pub(super) fn store(root: &Path) -> (Option<Checkup>, Finding) {
    let damaged = "stop nanokimi, keep a copy of store/, and restore a backup; `sqlite3 store/messages.db .recover` may save what is left";
    let broken = |cause: String, way_out: &str| Finding::broken(Check::Store, cause, way_out);
    let checkup = match Checkup::of(root) {
        Ok(Some(checkup)) => checkup,
        Ok(None) => {
            let cause = "there is no store yet: nanokimi has never run here";
            let way_out = "start it once, or give the folder it runs in with --root";
            return (None, Finding::warning(Check::Store, cause, way_out));
        }
        Err(StoreError::Newer { found, known, .. }) => {
            let cause = format!(
                "it was written by a newer nanokimi (schema {found}, this one knows {known})"
            );
            let way_out = "run that version, or restore a backup";
            return (None, broken(cause, way_out));
        }
        Err(error) => return (None, broken(crate::chain(&error), damaged)),
    };
    let found = match &checkup.damage {
        Some(damage) => broken(format!("store/messages.db is damaged: {damage}"), damaged),
        None => Finding::ok(Check::Store, format!("whole, schema {}", checkup.schema)),
    };
    (Some(checkup), found)
}

pub(super) fn clock(now: Timestamp, checkup: Option<&Checkup>) -> Finding {
    let newest = checkup.and_then(|checkup| checkup.newest);
    let way_out = "set the clock, e.g. with `timedatectl set-ntp true`, then start nanokimi again: schedules go by it";
    match newest {
        Some(newest) if newest.duration_since(now).unsigned_abs() > AHEAD && newest > now => {
            let cause =
                format!("it says {now:.0}, but the newest message in the store is of {newest:.0}");
            Finding::broken(Check::Clock, cause, way_out)
        }
        Some(_) | None if now < BEFORE_US => {
            let cause = format!("it says {now:.0}, when there was no such program yet");
            Finding::broken(Check::Clock, cause, way_out)
        }
        Some(_) | None => Finding::ok(Check::Clock, format!("it says {now:.0}")),
    }
}

pub(super) async fn whatsapp(
    root: &Path,
    config: &Config,
    presence: Presence,
    checkup: Option<&Checkup>,
) -> Finding {
    let is_linked = match config.whatsapp.mode {
        WhatsAppMode::Off => return Finding::ok(Check::WhatsApp, "switched off"),
        WhatsAppMode::WhenLinked | WhatsAppMode::Required => channel::is_linked(root).await,
    };
    let status = checkup
        .and_then(|checkup| checkup.channels.iter().find(|c| c.channel == "whatsapp"))
        .cloned();
    match (is_linked, config.whatsapp.mode) {
        (Err(error), _) => Finding::broken(
            Check::WhatsApp,
            format!("store/auth cannot be read: {error}"),
            "if it is damaged, link anew with `nanokimi auth --reset`",
        ),
        (Ok(false), WhatsAppMode::Required) => Finding::broken(
            Check::WhatsApp,
            "no device is linked, and whatsapp is `required`",
            "link one with `nanokimi auth`",
        ),
        (Ok(false), WhatsAppMode::WhenLinked | WhatsAppMode::Off) => Finding::warning(
            Check::WhatsApp,
            "no device is linked",
            "link one with `nanokimi auth`, or set whatsapp to `off` if none is wanted",
        ),
        (Ok(true), _) => match status {
            Some(status) => linked(status, presence),
            None => Finding::ok(Check::WhatsApp, "a device is linked"),
        },
    }
}

/// How a linked device stood last.
fn linked(mut status: ChannelStatus, presence: Presence) -> Finding {
    if presence == Presence::Absent {
        status.state = status.state.at_rest();
    }
    let cause = status.in_words();
    let broken = |way_out| Finding::broken(Check::WhatsApp, cause.clone(), way_out);
    match status.state {
        ChannelState::Connected => Finding::ok(Check::WhatsApp, "a device is linked, connected"),
        ChannelState::Stopped | ChannelState::Off | ChannelState::NotLinked => {
            Finding::ok(Check::WhatsApp, "a device is linked")
        }
        ChannelState::Connecting | ChannelState::Waiting => Finding::warning(
            Check::WhatsApp,
            cause,
            "it is tried again by itself; if that lasts, look at the network and at logs/nanokimi.log",
        ),
        ChannelState::Replaced => {
            broken("stop the other program that uses this device, then start nanokimi again")
        }
        ChannelState::LoggedOut => {
            broken("link it again with `nanokimi auth --reset`, then start nanokimi again")
        }
        ChannelState::Outdated => broken(
            "update nanokimi, or set whatsapp_version to the one that web.whatsapp.com runs; then start it again",
        ),
        ChannelState::Banned => broken(
            "wait until then and leave the device linked: nanokimi tries again by itself, and linking anew makes it worse",
        ),
        ChannelState::Passkey => {
            broken("confirm the device on the phone, or use an account without a passkey")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    #[track_caller]
    fn check_linked(state: ChannelState, presence: Presence, expected: State, way_out: &str) {
        let found = linked(
            ChannelStatus::whatsapp(state, Timestamp::UNIX_EPOCH),
            presence,
        );
        assert_eq!(found.state, expected, "{found}");
        let told = found.way_out.as_deref().map_or("", |way_out| way_out);
        assert!(told.contains(way_out), "{found}");
    }

    #[test]
    fn every_state_of_a_device_has_its_own_way_out() {
        use ChannelState::{
            Banned, Connected, Connecting, LoggedOut, Outdated, Passkey, Replaced, Waiting,
        };
        use Presence::{Absent, Running};
        check_linked(Connected, Running, State::Ok, "");
        check_linked(Connecting, Absent, State::Ok, "");
        check_linked(Waiting, Running, State::Warning, "tried again by itself");
        check_linked(Replaced, Absent, State::Broken, "the other program");
        check_linked(LoggedOut, Absent, State::Broken, "nanokimi auth --reset");
        check_linked(Outdated, Absent, State::Broken, "whatsapp_version");
        check_linked(Banned, Absent, State::Broken, "wait until then");
        check_linked(Passkey, Absent, State::Broken, "on the phone");
    }

    #[track_caller]
    fn check_clock(now: &str, newest: Option<&str>, state: State, cause: &str) {
        let checkup = Checkup {
            schema: 2,
            damage: None,
            newest: newest.map(|at| at.parse().unwrap()),
            channels: Vec::new(),
            owed: Vec::new(),
            sessions: Vec::new(),
        };
        let found = clock(now.parse().unwrap(), Some(&checkup));
        assert_eq!(found.state, state, "{found}");
        assert!(found.cause.contains(cause), "{found}");
    }

    #[test]
    fn a_clock_behind_the_newest_message_or_this_program_is_wrong() {
        let message = Some("2027-03-01T12:00:00Z");
        check_clock("2027-03-01T12:00:01Z", message, State::Ok, "it says");
        check_clock("2027-03-01T11:50:00Z", message, State::Ok, "it says");
        let ahead = "is of 2027-03-01T12:00:00Z";
        check_clock("2027-03-01T11:49:59Z", message, State::Broken, ahead);
        check_clock("2026-01-01T00:00:00Z", None, State::Ok, "it says");
        check_clock("1970-01-01T00:01:00Z", None, State::Broken, "no such");
    }
}
