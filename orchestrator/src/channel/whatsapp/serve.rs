//! The one task that owns the client: it connects when `connection.rs` says so, acts on what
//! the library tells, and passes texts on.
//!
//! It takes messages in until it is told to stop, and sends until nobody is left who could ask
//! it to: what the last run said leaves before we do.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use whatsapp_rust::{Client, InboundDurabilityHook};

use super::client::{self, Built, ClientError};
use super::connection::{Connection, Ending, Standing, Verdict};
use super::dialling::Missed;
use super::guidance::guidance;
use super::inbound::{Admission, Ears};
use super::notices::{Acknowledgements, Listener, Notice};
use super::outbound::{self, Sent};
use super::people::{self, Names};
use super::typing::Change;
use super::{Linked, Order, groups, library_log, pulse, typing};
use crate::channel::{ChannelEnd, ChannelState, ChannelStatus, Prefix, SendError, note_state};
use crate::clock::{Busy, Timer, Work};
use crate::house::House;
use crate::ids::ChatJid;
use crate::intake::Intake;
use crate::outbox::Outbox;

/// Whoever closes the connection waits this long for the library to tidy up.
const FAREWELL: Duration = Duration::from_secs(3);

/// Serves the linked device. Returns early only if the link is gone.
pub(crate) async fn serve(
    linked: Linked,
    house: House,
    intake: Intake,
    outbox: Outbox,
    stop: CancellationToken,
) -> Result<(), ChannelEnd> {
    library_log::connect();
    let Linked { orders } = linked;
    // Acknowledgements do not come this way; a burst of receipts does.
    let (told, notices) = mpsc::channel(1024);
    let admission = Arc::new(Admission::open(intake));
    let ears = Arc::new(Ears {
        house: house.clone(),
        admission: Arc::clone(&admission),
        names: Names::default(),
        prefix: Prefix::of(&house.config),
        notices: told.clone(),
    });
    let hook: Arc<dyn InboundDurabilityHook> = ears.clone();
    let built = match client::build(&house.root, &house.config, Some(hook)).await {
        Ok(built) => built,
        Err(error) => {
            drop((admission, ears, outbox));
            refuse(orders, &house, &error).await;
            return Ok(());
        }
    };
    let Built {
        client,
        tasks,
        missed,
    } = built;
    let acknowledgements = Arc::new(Acknowledgements::default());
    let listener = Arc::new(Listener::new(told, Arc::clone(&acknowledgements)));
    let _heard = client.subscribe_handler(listener);
    let (shows, shown) = mpsc::channel(32);
    let mut work = JoinSet::new();
    let show = typing::show_all(Arc::clone(&client), shown);
    work.spawn(async move {
        show.await;
        Done::Errand
    });
    let line = Line {
        connecting: None,
        sync_due: groups::due(&house).await,
        house,
        client,
        missed,
        ears,
        admission,
        outbox: Some(outbox),
        acknowledgements,
        connection: Connection::new(),
        ending: None,
        frames_before: 0,
        composing: BTreeSet::new(),
        shows,
        work,
    };
    let ended = line.serve(orders, notices, stop).await;
    tasks.end().await;
    ended
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

/// The line to WhatsApp.
struct Line {
    house: House,
    client: Arc<Client>,
    missed: Missed,
    ears: Arc<Ears>,
    admission: Arc<Admission>,
    /// Woken when there is a connection again; dropped when we are told to stop, since it lives
    /// as long as somebody can wake it.
    outbox: Option<Outbox>,
    acknowledgements: Arc<Acknowledgements>,
    connection: Connection,
    /// Held while an attempt is under way.
    connecting: Option<Busy>,
    /// What the library said about the end that is coming.
    ending: Option<Ending>,
    /// What had been received when this connection was begun.
    frames_before: u64,
    composing: BTreeSet<ChatJid>,
    /// Shown one after the other, or a pause could overtake what it ends.
    shows: mpsc::Sender<Change>,
    sync_due: jiff::Timestamp,
    work: JoinSet<Done>,
}

/// What came to an end.
enum Done {
    Connection,
    Errand,
    /// The server was asked for something, if only whether it still hears us.
    Pulse {
        silent: bool,
    },
}

fn unwound(done: Result<Done, JoinError>) -> Done {
    done.unwrap_or_else(|error| {
        tracing::error!(%error, "something that WhatsApp was asked for came to nothing");
        Done::Errand
    })
}

impl Line {
    async fn serve(
        mut self,
        mut orders: mpsc::Receiver<Order>,
        mut notices: mpsc::Receiver<Notice>,
        stop: CancellationToken,
    ) -> Result<(), ChannelEnd> {
        self.connect().await;
        let mut timer = self.timer();
        let mut beat = pulse::beat();
        loop {
            let due = self.next_due();
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.obey(order),
                    None => break,
                },
                Some(notice) = notices.recv() => self.act_on(notice).await,
                Some(done) = self.work.join_next() => match unwound(done) {
                    Done::Connection => {
                        // Whatever it said before it ended is in there.
                        while let Ok(notice) = notices.try_recv() {
                            self.act_on(notice).await;
                        }
                        self.ended().await;
                    }
                    Done::Pulse { silent: true } => {
                        self.begin_anew("WhatsApp's server does not answer any more");
                    }
                    Done::Pulse { silent: false } | Done::Errand => {}
                },
                _ = beat.tick(), if self.connection.is_connected() => {
                    let asked = pulse::is_silent(Arc::clone(&self.client));
                    self.work.spawn(async move { Done::Pulse { silent: asked.await } });
                }
                busy = timer.fired() => {
                    self.on_time(busy).await;
                    timer = self.timer();
                }
                () = stop.cancelled(), if self.outbox.is_some() => {
                    self.admission.close();
                    self.outbox = None;
                }
            }
            if let Standing::Over(Verdict::LoggedOut { .. }) = self.connection.standing() {
                self.close().await;
                return Err(ChannelEnd::LoggedOut);
            }
            if due != self.next_due() {
                timer = self.timer();
            }
        }
        self.close().await;
        self.tell(ChannelState::Stopped, None).await;
        Ok(())
    }

    /// The next instant at which there is something to do without being asked.
    fn next_due(&self) -> Option<jiff::Timestamp> {
        let sync = self.connection.is_connected().then_some(self.sync_due);
        self.connection.due().or(sync)
    }

    fn timer(&self) -> Timer {
        self.house.clock.timer(self.next_due())
    }

    async fn on_time(&mut self, busy: Busy) {
        let now = self.house.clock.now();
        if self.connection.retry(now) {
            self.connect().await;
        } else if self.connection.is_connected() && self.sync_due <= now {
            self.sync_groups(busy);
        }
    }

    /// Begins an attempt. Only `connection` decides that there is to be one.
    async fn connect(&mut self) {
        self.connecting = Some(self.house.clock.busy(Work::Channel));
        self.frames_before = self.client.stats().frames_received;
        self.ending = None;
        if let Some(intake) = self.admission.intake() {
            intake.catch_up();
        }
        self.tell(ChannelState::Connecting, None).await;
        let client = Arc::clone(&self.client);
        self.work.spawn(async move {
            let run = AssertUnwindSafe(async { Box::pin(client.run()).await });
            if run.catch_unwind().await.is_err() {
                tracing::error!("the WhatsApp client panicked; it is connected anew");
            }
            Done::Connection
        });
    }

    async fn act_on(&mut self, notice: Notice) {
        match notice {
            Notice::Connected => self.connected().await,
            Notice::Ending(ending) => {
                // What is said first is the cause; a closed socket is its consequence.
                self.ending.get_or_insert(ending);
            }
            Notice::Online => self.errand(typing::leave_again),
            Notice::Receipt { ids, delivery, at } => {
                if let Some(intake) = self.admission.intake() {
                    for id in ids {
                        kept(intake.receipt(id, delivery, at).await);
                    }
                }
            }
            Notice::GroupNamed { chat, name } => {
                if let Some(intake) = self.admission.intake() {
                    let at = self.house.clock.now();
                    kept(intake.heard_of(chat, Some(name), at).await);
                }
            }
            Notice::Joined(people) => {
                if people
                    .iter()
                    .any(|person| people::is_us(&self.client, person))
                {
                    let busy = self.house.clock.busy(Work::Channel);
                    self.sync_groups(busy);
                }
            }
            Notice::Recovered(messages) => {
                let ears = Arc::clone(&self.ears);
                self.errand(|client| async move {
                    if let Err(error) = ears.on_messages(client, &messages).await {
                        tracing::error!(error = format!("{error:#}"), "a message is lost");
                    }
                });
            }
            Notice::NotKept => self.begin_anew("a message could not be stored"),
        }
    }

    /// Ends this connection; what was not acknowledged comes again on the next.
    fn begin_anew(&mut self, why: &str) {
        let why = why.to_owned();
        self.ending.get_or_insert(Ending::Lost { why });
        self.errand(|client| async move { client.reconnect_immediately().await });
    }

    async fn connected(&mut self) {
        let now = self.house.clock.now();
        if !self.connection.connected(now) {
            return;
        }
        tracing::info!("Connected to WhatsApp");
        self.acknowledgements.open();
        self.tell(ChannelState::Connected, None).await;
        // The library says that it is connected when it has delivered what was waiting for us.
        self.caught_up().await;
        let busy = self.house.clock.busy(Work::Channel);
        self.connecting = None;
        let (client, outbox) = (Arc::clone(&self.client), self.outbox.clone());
        let clock = self.house.clock.clone();
        self.work.spawn(async move {
            // The library shows its owner as online, and their phone would stop ringing.
            typing::leave(&client).await;
            if let Some(outbox) = outbox {
                outbox.channel_is_back(clock.busy(Work::Outbox)).await;
            }
            drop(busy);
            Done::Errand
        });
        if self.sync_due <= now {
            let busy = self.house.clock.busy(Work::Channel);
            self.sync_groups(busy);
        }
    }

    fn sync_groups(&mut self, busy: Busy) {
        self.sync_due = self.house.clock.after(groups::FRESH);
        let Some(intake) = self.admission.intake() else {
            return;
        };
        let (client, house) = (Arc::clone(&self.client), self.house.clone());
        self.work.spawn(async move {
            if let Err(error) = groups::sync(&client, &house, &intake).await {
                tracing::warn!(%error, "the names of groups are as they were");
            }
            drop(busy);
            Done::Errand
        });
    }

    /// The connection is gone; what now is decided by the rules.
    async fn ended(&mut self) {
        self.acknowledgements.close();
        self.composing.clear();
        let heard = self.client.stats().frames_received > self.frames_before;
        let ending = self.ending.take().unwrap_or(if heard {
            Ending::Renewed
        } else {
            Ending::Lost {
                why: match self.missed.why() {
                    Some(why) => format!("WhatsApp cannot be reached: {why}"),
                    None => "WhatsApp's server and we did not understand each other".to_owned(),
                },
            }
        });
        let now = self.house.clock.now();
        // Under a test clock the wait is the whole one, so that two runs are the same.
        let chance = if self.house.clock.is_test() {
            1.0
        } else {
            rand::random()
        };
        self.connection.ended(ending, now, chance);
        match self.connection.standing().clone() {
            Standing::Connecting => self.connect().await,
            Standing::Connected { .. } => {}
            Standing::Waiting { until, why } => {
                tracing::warn!(retry_at = %until, "not connected to WhatsApp: {why}");
                self.rest(ChannelState::Waiting, why, Some(until)).await;
            }
            Standing::Banned { until, why } => {
                tracing::error!(retry_at = %until, "WhatsApp has banned this account for a while: {why}");
                self.rest(ChannelState::Banned, why, Some(until)).await;
            }
            Standing::Over(verdict) => {
                let (state, detail) = guidance(&verdict);
                tracing::error!("{detail}");
                self.rest(state, detail, None).await;
            }
        }
    }

    async fn rest(
        &mut self,
        state: ChannelState,
        detail: String,
        retry_at: Option<jiff::Timestamp>,
    ) {
        let mut status = ChannelStatus::whatsapp(state, self.house.clock.now());
        status.detail = Some(detail);
        status.retry_at = retry_at;
        note_state(&self.house, status).await;
        self.caught_up().await;
        self.connecting = None;
    }

    /// What was written while we were away has come, or will not.
    async fn caught_up(&self) {
        if let Some(intake) = self.admission.intake() {
            intake.caught_up().await;
        }
    }

    async fn tell(&self, state: ChannelState, detail: Option<String>) {
        let mut status = ChannelStatus::whatsapp(state, self.house.clock.now());
        status.detail = detail;
        note_state(&self.house, status).await;
    }

    fn obey(&mut self, order: Order) {
        let connected = self.connection.is_connected();
        match order {
            Order::Send { text, done } => {
                if !connected {
                    let (Ok(()) | Err(_)) = done.send(Err(SendError::NotConnected));
                    return;
                }
                let (client, house) = (Arc::clone(&self.client), self.house.clone());
                let acknowledgements = Arc::clone(&self.acknowledgements);
                self.work.spawn(async move {
                    let sent = outbound::send(&client, &house, &acknowledgements, &text);
                    let Sent { came_to, silent } = Box::pin(sent).await;
                    // Whoever asked may have been stopped.
                    let (Ok(()) | Err(_)) = done.send(came_to);
                    Done::Pulse { silent }
                });
            }
            Order::Typing { chat, typing } if connected => {
                let change = typing::change(&mut self.composing, chat, typing);
                // Where too much is to be shown, some of it is not.
                let (Ok(()) | Err(_)) = self.shows.try_send(change);
            }
            // Nobody would see it.
            Order::Typing { .. } => {}
            Order::RefreshGroups { done } => match self.admission.intake() {
                Some(intake) if connected => {
                    let (client, house) = (Arc::clone(&self.client), self.house.clone());
                    self.work.spawn(async move {
                        let synced = groups::sync(&client, &house, &intake).await;
                        let (Ok(()) | Err(_)) = done.send(synced);
                        Done::Errand
                    });
                }
                Some(_) | None => {
                    let (Ok(()) | Err(_)) = done.send(Err(SendError::NotConnected));
                }
            },
        }
    }

    fn errand<F>(&mut self, errand: impl FnOnce(Arc<Client>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let errand = errand(Arc::clone(&self.client));
        self.work.spawn(async move {
            errand.await;
            Done::Errand
        });
    }

    /// Says goodbye, and waits for what is under way.
    async fn close(&mut self) {
        self.admission.close();
        self.outbox = None;
        self.acknowledgements.close();
        // Nothing more is shown.
        self.shows = mpsc::channel(1).0;
        let goodbye = async {
            self.client.disconnect().await;
            while self.work.join_next().await.is_some() {}
        };
        if tokio::time::timeout(FAREWELL, goodbye).await.is_err() {
            tracing::warn!("WhatsApp did not take our leave in time");
        }
        self.work.shutdown().await;
    }
}

fn kept<T>(result: Result<T, crate::store::StoreError>) {
    if let Err(error) = result {
        tracing::error!(
            error = crate::chain(&error),
            "WhatsApp's news cannot be kept"
        );
    }
}
