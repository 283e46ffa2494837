//! The turns of a group: claim what stands in the store, run the agent, keep what it says,
//! give the claim back.
//!
//! It neither decides when a group runs (the queue does) nor how an agent is run (`agent` does).

mod healing;
mod hearing;
mod refusal;
mod stay;
mod typing;

use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::agent::{Again, Agent, AgentEnd, AgentFault};
use crate::channel::Channels;
use crate::clock::{Clock, Work};
use crate::events::{Event, RunOutcome};
use crate::house::House;
use crate::ids::GroupFolder;
use crate::ipc::IpcWatch;
use crate::outbox::Outbox;
use crate::scheduler::Scheduler;
use crate::store::{Claim, Fate, Release, Released, Unit};

use hearing::Ran;
use refusal::Refusal;
use stay::Waiting;

/// What is claimed is tried once, and again this often.
const RETRIES: u32 = 5;
/// Before the first retry; doubled for each one after.
const FIRST_RETRY: Duration = Duration::from_secs(5);
/// How many letters of a task tell people which one it is.
const PROMPT_SHOWN: usize = 80;
/// When the store itself refuses, e.g. because the disk is full.
const STORE_RETRY: Duration = Duration::from_secs(5);
/// While the group's workspace cannot be brought here.
const WORKSPACE_RETRY: Duration = Duration::from_secs(15);

/// Takes turns; one handle serves all groups.
#[derive(Clone, Debug)]
pub(crate) struct Turns {
    house: House,
    agent: Agent,
    outbox: Outbox,
    channels: Channels,
    ipc: IpcWatch,
    scheduler: Scheduler,
    refusal: Refusal,
}

/// What a group does after its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It had nothing to do.
    Idle,
    /// It may have more to do.
    Again,
    /// It failed, and what it had to do stands in the store again.
    RetryAt(Timestamp),
}

impl Turns {
    #[must_use]
    pub(crate) fn new(
        house: House,
        agent: Agent,
        outbox: Outbox,
        channels: Channels,
        (ipc, scheduler): (IpcWatch, Scheduler),
    ) -> Self {
        Self {
            house,
            agent,
            outbox,
            channels,
            ipc,
            scheduler,
            refusal: Refusal::default(),
        }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.house.clock
    }

    /// Returns when nothing of the agents that have ended is left.
    pub(crate) async fn nothing_remains(&self) {
        self.agent.nothing_remains().await;
    }

    /// Claims the next unit of work of the group, if it has one.
    async fn claim(&self, folder: &GroupFolder) -> Result<Claim, Next> {
        if let Err(error) = self.house.workspace.ready(folder).await {
            tracing::warn!(group = %folder, "the group waits for its workspace: {error}");
            return Err(Next::RetryAt(self.house.clock.after(WORKSPACE_RETRY)));
        }
        let now = self.house.clock.now();
        match self.house.store.claim(folder.clone(), now).await {
            Ok(Some(claim)) => Ok(claim),
            Ok(None) => Err(Next::Idle),
            Err(error) => {
                tracing::error!(group = %folder, error = crate::chain(&error), "no work can be claimed");
                Err(Next::RetryAt(self.house.clock.after(STORE_RETRY)))
            }
        }
    }

    /// Works at what is claimed; returns its agent if that waits for more.
    async fn work(
        &self,
        claim: &Claim,
        waiting: Option<Waiting>,
        stop: &CancellationToken,
    ) -> (Next, Option<Waiting>) {
        self.house.events.tell(started(claim));
        let mut ran = self.run_visibly(claim, waiting, stop).await;
        let agent = ran.agent.take();
        let session = ran.session.clone();
        // What the agent dropped into its IPC folder before its result is part of this turn.
        self.ipc.drain(&claim.group.folder).await;
        let people = match claim.unit {
            Unit::Messages(_) => Some(claim.group.chat.clone()),
            Unit::Task(_) => None,
        };
        let hidden = async {
            if let Some(chat) = people {
                typing::stop(&self.channels, &chat).await;
            }
        };
        // An answer never waits for this.
        let (next, ()) = tokio::join!(self.end(claim, ran, stop), hidden);
        let waiting = match agent {
            // Its turn is kept by now: a kill while it ends loses nothing.
            Some(agent) => self.after_result(claim, (agent, session), stop).await,
            None => None,
        };
        (next, waiting)
    }

    /// Runs the agent; whoever wrote sees that it is at work.
    async fn run_visibly(
        &self,
        claim: &Claim,
        waiting: Option<Waiting>,
        stop: &CancellationToken,
    ) -> Ran {
        // Boxed: two runs and their agents are part of it.
        let run = Box::pin(self.run_healing(claim, waiting, stop));
        match claim.unit {
            Unit::Messages(_) => typing::during(&self.channels, &claim.group.chat, run).await,
            // Nobody waits for an answer.
            Unit::Task(_) => run.await,
        }
    }

    async fn end(&self, claim: &Claim, ran: Ran, stop: &CancellationToken) -> Next {
        let busy = self.house.clock.busy(Work::Outbox);
        self.refusal.note(&ran.end);
        let mut release = release_for(claim, &ran, stop.is_cancelled(), &self.house.clock);
        if let Release::GiveUp { report, .. } = &mut release {
            *report = self.house.config.masked(report);
        }
        let Some(released) = self.release(claim, &release, stop).await else {
            return Next::Idle;
        };
        let retry_at = match (&release, released.fate) {
            (Release::Retry { at, .. }, Fate::Queued | Fate::Due) => Some(*at),
            (Release::Retry { .. }, Fate::Over) => None,
            (Release::Done { .. } | Release::GiveUp { .. } | Release::Interrupted, _) => None,
        };
        self.tell_end(claim, &ran, &released, retry_at);
        if let Release::GiveUp { error, .. } = &release
            && released.reported
        {
            self.house.events.tell(Event::MessageFailed {
                chat: claim.group.chat.clone(),
                group: Some(claim.group.folder.clone()),
                reason: error.clone(),
                id: None,
            });
        }
        self.outbox.wake(busy).await;
        let changed = self.house.clock.busy(Work::Workspace);
        let group = &claim.group.folder;
        self.house.workspace.changed(group, changed).await;
        if released.fate == Fate::Due {
            let busy = self.house.clock.busy(Work::Scheduler);
            self.scheduler.tasks_changed(busy).await;
        }
        match (retry_at, released.outcome) {
            // The scheduler sees to a task; people do not wait for it.
            (Some(at), _) if released.fate == Fate::Queued => Next::RetryAt(at),
            (Some(_), _) => Next::Again,
            (None, RunOutcome::Interrupted) => Next::Idle,
            (None, RunOutcome::Answered | RunOutcome::Silent | RunOutcome::Failed) => Next::Again,
        }
    }

    /// Gives the claim back, again and again while the store refuses: until then nobody else
    /// may have it. None if we are stopping; the next start finds the claim and gives it back.
    async fn release(
        &self,
        claim: &Claim,
        release: &Release,
        stop: &CancellationToken,
    ) -> Option<Released> {
        loop {
            let now = self.house.clock.now();
            let store = &self.house.store;
            match store.release(claim.clone(), release.clone(), now).await {
                Ok(released) => return Some(released),
                Err(error) => {
                    tracing::error!(group = %claim.group.folder, error = crate::chain(&error), "the run cannot be ended in the store; trying again");
                }
            }
            // A disk does not look at our clock: real time.
            let again = tokio::time::Instant::now() + STORE_RETRY;
            tokio::select! {
                () = tokio::time::sleep_until(again) => {}
                () = stop.cancelled() => return None,
            }
        }
    }

    fn tell_end(&self, claim: &Claim, ran: &Ran, released: &Released, retry_at: Option<Timestamp>) {
        let fault = match &ran.end {
            AgentEnd::Failed(fault) => Some(fault),
            AgentEnd::Done | AgentEnd::Interrupted => None,
        };
        let group = &claim.group.folder;
        if let Some(fault) = fault {
            let retry_at = retry_at.map(|at| at.to_string()).unwrap_or_default();
            tracing::warn!(%group, run = %claim.run, attempt = claim.attempt, retry_at, "agent run failed: {fault}");
        }
        if released.session_stored
            && let Some(session) = &ran.session
        {
            self.house.events.tell(Event::SessionStored {
                group: group.clone(),
                session: session.clone(),
            });
        }
        self.house.events.tell(Event::RunEnded {
            run: claim.run.clone(),
            group: group.clone(),
            outcome: released.outcome,
            outputs: released.outputs,
            error: fault.and_then(AgentFault::kind_word),
            message: fault.map(|fault| fault.message.clone()),
            retry_at,
        });
    }
}

fn started(claim: &Claim) -> Event {
    let (task, messages) = match &claim.unit {
        Unit::Messages(messages) => (None, messages.iter().map(|message| message.seq).collect()),
        Unit::Task(task) => (Some(task.id.clone()), Vec::new()),
    };
    Event::RunStarted {
        run: claim.run.clone(),
        group: claim.group.folder.clone(),
        chat: claim.group.chat.clone(),
        kind: claim.kind(),
        task,
        attempt: claim.attempt,
        session: claim.session.clone(),
        messages,
    }
}

fn release_for(claim: &Claim, ran: &Ran, stopping: bool, clock: &Clock) -> Release {
    match &ran.end {
        AgentEnd::Done => Release::Done {
            session: ran.session.clone(),
            answer: ran.answer.clone(),
            is_fresh: ran.is_healed,
        },
        AgentEnd::Interrupted => Release::Interrupted,
        // Our own stop makes agents fail in many ways; none of them is the agent's fault.
        AgentEnd::Failed(_) if stopping => Release::Interrupted,
        AgentEnd::Failed(fault) if is_tried_again(claim, ran, fault) => {
            let doubled = 2u32.pow(claim.attempt.saturating_sub(1).min(10));
            Release::Retry {
                error: fault.to_string(),
                at: clock.after(FIRST_RETRY * doubled),
                counts: fault.again == Again::Yes,
            }
        }
        AgentEnd::Failed(fault) => Release::GiveUp {
            error: fault.to_string(),
            report: report(&claim.unit, fault),
        },
    }
}

/// What a task has done nobody waits for, and it is not done twice; of people a question that has
/// got no answer is asked again.
fn is_tried_again(claim: &Claim, ran: &Ran, fault: &AgentFault) -> bool {
    match (fault.again, &claim.unit) {
        (Again::Yes, Unit::Task(_)) => !ran.has_acted && claim.attempt <= RETRIES,
        (Again::Yes, Unit::Messages(_)) => claim.attempt <= RETRIES,
        (Again::Uncounted, _) => true,
        (Again::No, _) => false,
    }
}

/// What is said in the chat of something that nobody tries any more.
fn report(unit: &Unit, fault: &AgentFault) -> String {
    match unit {
        Unit::Messages(_) => format!(
            "I could not answer: {fault}. Your message is kept; write again to have me try again."
        ),
        Unit::Task(task) => {
            let mut what: String = task.prompt.chars().take(PROMPT_SHOWN).collect();
            if what.len() < task.prompt.len() {
                what.push('…');
            }
            format!(
                "I could not do what was planned, “{what}”: {fault}. Ask me again if it is still to be done."
            )
        }
    }
}
