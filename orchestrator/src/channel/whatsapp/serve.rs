//! Serves the linked device: puts the client together, gives it its line, and puts it together
//! anew should it break.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use whatsapp_rust::InboundDurabilityHook;

use super::call::Call;
use super::client::{self, Built, ClientError};
use super::connection::{Connection, Verdict};
use super::guidance::guidance;
use super::inbound::{Admission, Ears};
use super::line::{Done, Ended, Line, Remains};
use super::notices::{Acknowledgements, Listener, Notice, Notices};
use super::parting;
use super::people::Names;
use super::{Linked, Order, groups, library_log, typing};
use crate::channel::{ChannelEnd, ChannelState, ChannelStatus, Prefix, note_state};
use crate::clock::Busy;
use crate::house::House;
use crate::intake::Intake;
use crate::outbox::Outbox;

/// Serves the linked device. Returns early only if the link is gone.
pub(crate) async fn serve(
    linked: Linked,
    house: House,
    intake: Intake,
    outbox: Outbox,
    stop: CancellationToken,
) -> Result<(), ChannelEnd> {
    library_log::connect();
    let Linked { mut orders } = linked;
    let (told, mut notices) = Notices::new(house.clock.clone());
    let service = Service {
        admission: Arc::new(Admission::open(intake)),
        house,
        told,
        stop,
    };
    if let Some(why) = already_over(&service.house).await {
        part(&service.house, why).await;
        return Err(ChannelEnd::LoggedOut);
    }
    let mut remains = Remains {
        connection: connection(&service.house).await,
        outbox: Some(outbox),
        sync_due: groups::due(&service.house).await,
    };
    loop {
        match service.once(remains, &mut orders, &mut notices).await {
            Ok(Ended::Stopped) => return Ok(()),
            Ok(Ended::LoggedOut { why }) => {
                if let Err(error) = parting::note(&service.house.root, &why).await {
                    tracing::warn!(%error, "the next start asks WhatsApp once more");
                }
                return Err(ChannelEnd::LoggedOut);
            }
            Ok(Ended::Broken(left)) => remains = left,
            Err(error) => {
                let house = service.house.clone();
                drop(service);
                refuse(orders, &house, &error).await;
                return Ok(());
            }
        }
    }
}

/// Why the link is gone, if an earlier start was told so.
async fn already_over(house: &House) -> Option<String> {
    match parting::noted(&house.root).await {
        Ok(why) => why,
        Err(error) => {
            tracing::warn!(%error, "whether the link is gone is not known; WhatsApp is asked");
            None
        }
    }
}

async fn part(house: &House, why: String) {
    let (state, detail) = guidance(&Verdict::LoggedOut { why });
    tracing::error!("{detail}");
    let mut status = ChannelStatus::whatsapp(state, house.clock.now());
    status.detail = Some(detail);
    note_state(house, status).await;
}

/// Where the connection begins: with an attempt, or in a ban that an earlier start was told of.
async fn connection(house: &House) -> Connection {
    let stood = house.store.channels().await.unwrap_or_else(|error| {
        let error = crate::chain(&error);
        tracing::warn!(error, "how WhatsApp stood last is not known");
        Vec::new()
    });
    let banned = stood
        .into_iter()
        .find(|status| status.channel == "whatsapp" && status.state == ChannelState::Banned);
    match banned.and_then(|status| status.retry_at.zip(status.detail)) {
        Some((until, why)) if until > house.clock.now() => Connection::banned(until, why),
        Some(_) | None => Connection::new(),
    }
}

/// What outlives a client.
struct Service {
    house: House,
    admission: Arc<Admission>,
    told: Notices,
    stop: CancellationToken,
}

impl Service {
    /// Serves with one client, until it is told to stop or the client breaks.
    async fn once(
        &self,
        remains: Remains,
        orders: &mut mpsc::Receiver<Order>,
        notices: &mut mpsc::Receiver<(Notice, Busy)>,
    ) -> Result<Ended, ClientError> {
        let house = &self.house;
        let ears = Arc::new(Ears {
            house: house.clone(),
            admission: Arc::clone(&self.admission),
            names: Names::default(),
            prefix: Prefix::of(&house.config),
            notices: self.told.clone(),
        });
        let hook: Arc<dyn InboundDurabilityHook> = ears.clone();
        let built = client::build(&house.root, &house.config, Some(hook)).await?;
        let Built {
            client,
            tasks,
            missed,
            versions,
        } = built;
        let acknowledgements = Arc::new(Acknowledgements::default());
        let listener = Listener::new(self.told.clone(), Arc::clone(&acknowledgements));
        let _heard = client.subscribe_handler(Arc::new(listener));
        let (shows, shown) = mpsc::channel(32);
        let mut work = JoinSet::new();
        let show = typing::show_all(Arc::clone(&client), shown);
        work.spawn(async move {
            show.await;
            Done::Errand
        });
        let line = Line {
            house: house.clone(),
            client,
            missed,
            versions,
            ears,
            admission: Arc::clone(&self.admission),
            outbox: remains.outbox,
            acknowledgements,
            connection: remains.connection,
            call: Call::new(),
            connecting: None,
            ending: None,
            frames_before: 0,
            composing: Default::default(),
            shows,
            sync_due: remains.sync_due,
            work,
        };
        let ended = line.serve(orders, notices, &self.stop).await;
        tasks.end().await;
        Ok(ended)
    }
}

/// Without a client nothing is sent, and the other channels go on.
async fn refuse(mut orders: mpsc::Receiver<Order>, house: &House, error: &ClientError) {
    let error = crate::chain(error);
    tracing::error!(error, "WhatsApp cannot be used");
    let mut status = ChannelStatus::whatsapp(ChannelState::NotLinked, house.clock.now());
    status.detail = Some(error);
    note_state(house, status).await;
    // Whoever asks is told that there is no connection when their order is dropped.
    while orders.recv().await.is_some() {}
}
