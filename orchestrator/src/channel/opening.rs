//! Which channels this installation has, and the tasks that serve them.

use std::io;

use crate::channel::{Channel, ChannelState, ChannelStatus, Channels, Prefix, note_state};
use crate::config::WhatsAppMode;
use crate::house::House;
use crate::intake::Intake;
use crate::outbox::Outbox;
use crate::running::Running;

use super::whatsapp::{self, Linked, WhatsApp};

/// A channel that must be there is not.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "whatsapp = \"required\", and no device is linked: link one with `nanokimi auth`, or set whatsapp = \"when_linked\""
    )]
    NotLinked,
    #[error(
        "whatsapp = \"required\", and this nanokimi is built without WhatsApp: build it with the feature `whatsapp`, or set whatsapp = \"off\""
    )]
    NotBuilt,
    #[error(
        "with a test clock WhatsApp must be on loopback or a neighbour's name without a dot, not `{0}`: set whatsapp_url to a mock's, or whatsapp = \"off\""
    )]
    TestClockInPublic(String),
    #[error(
        "this build takes any server for WhatsApp, for tests of pairing, so `{0}` is refused: it is neither on loopback nor a neighbour's name without a dot"
    )]
    Unverified(String),
    #[error("store/auth cannot be read")]
    Io(#[source] io::Error),
}

/// What has to be served so that the channels work.
#[derive(Debug)]
pub(crate) struct Lines {
    whatsapp: Option<Linked>,
}

/// Opens the channels that the settings ask for and the installation has.
pub(crate) async fn open(house: &House) -> Result<(Channels, Lines), OpenError> {
    let mut channels = vec![Channel::Http];
    let whatsapp = if has_whatsapp(house).await? {
        let (whatsapp, linked) = WhatsApp::new();
        channels.push(Channel::WhatsApp(whatsapp));
        Some(linked)
    } else {
        None
    };
    let prefix = Prefix::of(&house.config);
    Ok((Channels::new(channels, prefix), Lines { whatsapp }))
}

async fn has_whatsapp(house: &House) -> Result<bool, OpenError> {
    let settings = &house.config.whatsapp;
    match (settings.mode, cfg!(feature = "whatsapp")) {
        (WhatsAppMode::Required, false) => return Err(OpenError::NotBuilt),
        (WhatsAppMode::Off, _) | (WhatsAppMode::WhenLinked, false) => {
            stays(house, ChannelState::Off).await;
            return Ok(false);
        }
        (WhatsAppMode::WhenLinked | WhatsAppMode::Required, true) => {}
    }
    let linked = whatsapp::is_linked(&house.root).await;
    match (linked.map_err(OpenError::Io)?, settings.mode) {
        (false, WhatsAppMode::Required) => Err(OpenError::NotLinked),
        (false, WhatsAppMode::WhenLinked | WhatsAppMode::Off) => {
            tracing::info!("WhatsApp is not linked; `nanokimi auth` links it");
            stays(house, ChannelState::NotLinked).await;
            Ok(false)
        }
        (true, _) if !whatsapp::allows(settings) => {
            Err(OpenError::Unverified(settings.url.clone()))
        }
        // The real network has a time of its own, and people on it.
        (true, _) if house.clock.is_test() && !settings.is_close_by() => {
            Err(OpenError::TestClockInPublic(settings.url.clone()))
        }
        (true, _) => Ok(true),
    }
}

async fn stays(house: &House, state: ChannelState) {
    note_state(house, ChannelStatus::whatsapp(state, house.clock.now())).await;
}

impl Lines {
    /// Starts the tasks that serve the channels. Each takes messages in until it is told to
    /// stop, and sends until nobody is left who could ask it to.
    pub(crate) fn serve(
        self,
        running: &mut Running,
        house: &House,
        intake: Intake,
        outbox: Outbox,
    ) {
        if let Some(linked) = self.whatsapp {
            let house = house.clone();
            running.add_ending("WhatsApp", |stop| {
                whatsapp::serve(linked, house, intake, outbox, stop)
            });
        }
    }
}

#[cfg(test)]
#[cfg(feature = "whatsapp")]
mod tests {
    use super::*;

    /// Opens the channels of a house with these settings, in which a device is linked or not.
    async fn check(settings: &str, linked: bool, expected: &str) {
        let root = tempfile::tempdir().unwrap();
        let house = House::staged(root.path(), settings);
        if linked {
            fs_err::create_dir(root.path().join("store/auth")).unwrap();
            let device = root.path().join("store/auth/device.db");
            let linked = "CREATE TABLE device (pn TEXT); INSERT INTO device VALUES ('49151')";
            let device = rusqlite::Connection::open(device).unwrap();
            device.execute_batch(linked).unwrap();
        }
        let opened = match open(&house).await {
            Ok((_, Lines { whatsapp: Some(_) })) => "open".to_owned(),
            Ok((_, Lines { whatsapp: None })) => house.told().await.pop().unwrap(),
            Err(error) => error.to_string(),
        };
        assert!(
            opened.contains(expected),
            "{settings}, linked {linked}: {opened}"
        );
    }

    const ELSEWHERE: &str = "whatsapp_url = \"ws://127.0.0.1:9/ws/chat\"\n";

    #[tokio::test]
    async fn whatsapp_is_there_when_it_is_linked_and_must_be_when_it_is_required() {
        check(ELSEWHERE, true, "open").await;
        check("", false, "\"state\":\"not_linked\"").await;
        check("whatsapp = \"off\"\n", true, "\"state\":\"off\"").await;
        check("whatsapp = \"required\"\n", false, "nanokimi auth").await;
        check(
            &format!("{ELSEWHERE}whatsapp = \"required\"\n"),
            true,
            "open",
        )
        .await;
    }

    #[tokio::test]
    async fn a_clock_that_stands_still_is_kept_from_people() {
        check(
            "",
            true,
            "with a test clock WhatsApp must be on loopback or",
        )
        .await;
    }
}
