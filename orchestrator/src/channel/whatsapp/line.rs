//! The one task that owns the client: it connects when `connection.rs` says so, acts on what
//! the library tells, and passes texts on.
//!
//! It takes messages in until it is told to stop, and sends until nobody is left who could ask
//! it to: what the last run said leaves before we do.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use whatsapp_rust::{Client, InboundDurabilityHook};

use super::call::{Call, CallEnd};
use super::connection::{Connection, Ending, Standing, Verdict};
use super::dialling::Missed;
use super::guidance::guidance;
use super::inbound::{Admission, Ears};
use super::notices::{Acknowledgements, Notice};
use super::outbound::{self, Sent};
use super::typing::Change;
use super::version::Versions;
use super::{Order, groups, people, pulse, typing};
use crate::channel::{ChannelState, ChannelStatus, SendError, note_state};
use crate::clock::{Busy, Timer, Work};
use crate::house::House;
use crate::ids::ChatJid;
use crate::outbox::Outbox;

/// Whoever closes the connection waits this long for the library to tidy up.
const FAREWELL: Duration = Duration::from_secs(3);

/// The line to WhatsApp.
pub(super) struct Line {
    pub house: House,
    pub client: Arc<Client>,
    pub missed: Missed,
    pub versions: Option<Versions>,
    pub ears: Arc<Ears>,
    pub admission: Arc<Admission>,
    /// Woken when there is a connection again; dropped when we are told to stop, since it lives
    /// as long as somebody can wake it.
    pub outbox: Option<Outbox>,
    pub acknowledgements: Arc<Acknowledgements>,
    pub connection: Connection,
    /// The connection that there is, or was last.
    pub call: Call,
    /// Held while an attempt is under way.
    pub connecting: Option<Busy>,
    /// What was said about the end that is coming.
    pub ending: Option<Ending>,
    /// What had been received when this connection was begun.
    pub frames_before: u64,
    pub composing: BTreeSet<ChatJid>,
    /// Shown one after the other, or a pause could overtake what it ends.
    pub shows: mpsc::Sender<Change>,
    pub sync_due: Timestamp,
    pub work: JoinSet<Done>,
}

/// How it ended.
pub(super) enum Ended {
    Stopped,
    LoggedOut {
        why: String,
    },
    /// The client is of no use any more; another one goes on with this.
    Broken(Remains),
}

/// What is left of a line whose client broke.
pub(super) struct Remains {
    pub connection: Connection,
    pub outbox: Option<Outbox>,
    pub sync_due: Timestamp,
}

/// What came to an end.
pub(super) enum Done {
    Call(CallEnd),
    Errand,
    /// Nothing at all came from the server while something was waited for.
    Silence(Call),
    /// The names of all groups have been read, or not.
    Names(Result<(), SendError>, Busy),
}

fn unwound(done: Result<Done, JoinError>) -> Done {
    done.unwrap_or_else(|error| {
        tracing::error!(%error, "something that WhatsApp was asked for came to nothing");
        Done::Errand
    })
}

impl Line {
    pub(super) async fn serve(
        mut self,
        orders: &mut mpsc::Receiver<Order>,
        notices: &mut mpsc::Receiver<(Notice, Busy)>,
        stop: &CancellationToken,
    ) -> Ended {
        self.take_its_stand().await;
        let mut timer = self.timer();
        let mut beat = pulse::beat();
        loop {
            let due = self.next_due();
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.obey(order),
                    None => break,
                },
                Some((notice, _busy)) = notices.recv() => self.act_on(notice).await,
                Some(done) = self.work.join_next() => match unwound(done) {
                    Done::Call(end) => {
                        // Whatever it said before it ended is in there.
                        while let Ok((notice, _busy)) = notices.try_recv() {
                            self.act_on(notice).await;
                        }
                        self.ended(end).await;
                        if end == CallEnd::Panicked {
                            return Ended::Broken(self.remains().await);
                        }
                    }
                    Done::Silence(call) => {
                        self.hang_up(&call, "WhatsApp's server does not answer any more");
                    }
                    Done::Names(read, _busy) => self.names_read(read),
                    Done::Errand => {}
                },
                _ = beat.tick(), if self.connection.is_connected() => self.ask_for_a_pulse(),
                busy = timer.fired() => {
                    self.on_time(timer.due_until(), busy).await;
                    timer = self.timer();
                }
                () = stop.cancelled(), if self.outbox.is_some() => {
                    self.admission.close();
                    self.outbox = None;
                }
            }
            if let Standing::Over(Verdict::LoggedOut { why }) = self.connection.standing() {
                let why = why.clone();
                self.close().await;
                return Ended::LoggedOut { why };
            }
            if due != self.next_due() {
                timer = self.timer();
            }
        }
        self.close().await;
        // What the server has decided holds whether we run or not, and the next start asks for it.
        if !matches!(
            self.connection.standing(),
            Standing::Banned { .. } | Standing::Over(_)
        ) {
            self.tell(ChannelState::Stopped, None).await;
        }
        Ended::Stopped
    }

    /// The next instant at which there is something to do without being asked.
    fn next_due(&self) -> Option<Timestamp> {
        let sync = self.connection.is_connected().then_some(self.sync_due);
        self.connection.due().or(sync)
    }

    fn timer(&self) -> Timer {
        self.house.clock.timer(self.next_due())
    }

    async fn on_time(&mut self, until: Timestamp, busy: Busy) {
        if self.connection.retry(until) {
            self.connect().await;
        } else if self.connection.is_connected() && self.sync_due <= until {
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
        self.call = Call::new();
        let call = self.call.clone();
        let call = call.run(Arc::clone(&self.client), self.versions.clone());
        self.work.spawn(async move { Done::Call(call.await) });
    }

    async fn act_on(&mut self, notice: Notice) {
        match notice {
            Notice::Connected => self.connected().await,
            Notice::Ending(ending) => self.is_ending(ending),
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
            Notice::NotKept => {
                // What was not acknowledged comes again on the next connection.
                self.hang_up(&self.call.clone(), "a message could not be stored");
            }
        }
    }

    /// What is said first is the cause, and a closed socket its consequence. But a verdict is one
    /// whenever it comes.
    fn is_ending(&mut self, ending: Ending) {
        let known = self.ending.as_ref();
        if known.is_none_or(|known| ending.outranks(known)) {
            self.ending = Some(ending);
        }
    }

    fn hang_up(&mut self, call: &Call, why: &str) {
        if call.is(&self.call) {
            let why = why.to_owned();
            self.is_ending(Ending::Lost { why });
            call.hang_up();
        }
    }

    fn ask_for_a_pulse(&mut self) {
        let asked = pulse::is_silent(Arc::clone(&self.client));
        let call = self.call.clone();
        self.work
            .spawn(async move { unless_heard(asked.await, call) });
    }

    async fn connected(&mut self) {
        let now = self.house.clock.now();
        if !self.connection.connected(now) {
            return;
        }
        self.call.greeted();
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
        self.work
            .spawn(async move { Done::Names(groups::sync(&client, &house, &intake).await, busy) });
    }

    fn names_read(&mut self, read: Result<(), SendError>) {
        if let Err(error) = read {
            tracing::warn!(%error, "the names of groups are as they were");
            self.sync_due = self.house.clock.after(groups::AGAIN);
        }
    }

    /// The connection is gone; what now is decided by the rules.
    async fn ended(&mut self, end: CallEnd) {
        self.acknowledgements.close();
        self.composing.clear();
        let ending = self.ending.take().unwrap_or_else(|| self.untold(end));
        let now = self.house.clock.now();
        // Under a test clock the wait is the whole one, so that two runs are the same.
        let chance = if self.house.clock.is_test() {
            1.0
        } else {
            rand::random()
        };
        self.connection.ended(ending, now, chance);
        // A broken client leaves that to its heir, who begins with it.
        if end != CallEnd::Panicked {
            self.take_its_stand().await;
        }
    }

    /// Does, and tells, what comes of where the connection stands.
    async fn take_its_stand(&mut self) {
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

    /// Why a connection has ended of which the library tells nothing.
    fn untold(&self, end: CallEnd) -> Ending {
        let why = match (end, self.missed.why()) {
            (CallEnd::Panicked, _) => "the WhatsApp client broke: this is a fault in it".to_owned(),
            (CallEnd::NotGreeted, _) => "WhatsApp's server did not let us in in time".to_owned(),
            (CallEnd::Over, _) if self.client.stats().frames_received > self.frames_before => {
                return Ending::Renewed;
            }
            (CallEnd::Over, Some(why)) => format!("WhatsApp cannot be reached: {why}"),
            (CallEnd::Over, None) => {
                "WhatsApp's server and we did not understand each other".to_owned()
            }
        };
        Ending::Lost { why }
    }

    async fn rest(&mut self, state: ChannelState, detail: String, retry_at: Option<Timestamp>) {
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
                let call = self.call.clone();
                self.work.spawn(async move {
                    let sent = outbound::send(&client, &house, &acknowledgements, &text);
                    let Sent { came_to, silent } = Box::pin(sent).await;
                    // Whoever asked may have been stopped.
                    let (Ok(()) | Err(_)) = done.send(came_to);
                    unless_heard(silent, call)
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

    /// What another line goes on with. What was under way here is told that it has no connection.
    async fn remains(mut self) -> Remains {
        self.work.shutdown().await;
        Remains {
            connection: self.connection,
            outbox: self.outbox,
            sync_due: self.sync_due,
        }
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

fn unless_heard(silent: bool, call: Call) -> Done {
    match silent {
        true => Done::Silence(call),
        false => Done::Errand,
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
