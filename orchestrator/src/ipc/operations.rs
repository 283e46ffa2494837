//! What each file asks for, and doing it.
//!
//! Every file ends deleted (done, or refused) or in `data/ipc/errors/` (not understood).

use agent_protocol::{ContextMode, IpcMessage, IpcTask};
use serde::de::DeserializeOwned;

use super::IpcDesk;
use super::authorise::{Asked, may};
use super::inbox::{Drop, DropKind};
use crate::clock::Work;
use crate::events::{Event, TaskChange};
use crate::ids::{ChatJid, GroupFolder, TaskId};
use crate::registration;
use crate::schedule::Schedule;
use crate::store::{Group, NewTask, Receipt, StoreError, Task, TaskUpdate};
use crate::task_changes::{self, ChangeError};

/// Handles dropped files.
#[derive(Debug)]
pub(super) struct Operations {
    desk: IpcDesk,
}

/// What became of a file.
enum Handled {
    Done,
    /// Understood, and not allowed or not possible.
    Refused(String),
    /// Not understood.
    Malformed(String),
}

/// A file that was understood, with everything handling it needs.
struct Order<'a> {
    sender: &'a Group,
    receipt: Receipt,
}

type Outcome = Result<Handled, StoreError>;

impl Operations {
    pub(super) fn new(desk: IpcDesk) -> Self {
        Self { desk }
    }

    pub(super) fn desk(&self) -> &IpcDesk {
        &self.desk
    }

    /// Handles a pass of files; says whether it got anywhere, so that a file that can neither
    /// be handled nor moved does not keep the watcher busy for ever.
    pub(super) async fn handle(&self, drops: Vec<Drop>) -> bool {
        let mut moved = false;
        for dropped in drops {
            match self.handle_one(&dropped).await {
                Ok(gone) => moved |= gone,
                Err(error) => {
                    tracing::error!(
                        group = dropped.folder, file = %dropped.shown(),
                        error = crate::chain(&error),
                        "the file stays until the store works again"
                    );
                }
            }
        }
        moved
    }

    /// Handles one file; says whether it is gone.
    async fn handle_one(&self, dropped: &Drop) -> Result<bool, StoreError> {
        let Ok(folder) = dropped.folder.parse::<GroupFolder>() else {
            return Ok(false);
        };
        let store = &self.desk.house.store;
        let Some(sender) = store.group_of_folder(folder.clone()).await? else {
            return Ok(false);
        };
        let receipt = Receipt {
            group: folder,
            file: dropped.shown(),
        };
        if store.has_receipt(receipt.clone()).await? {
            // Done before, by us or the process before us, and still here: only remove it.
            return self.remove(dropped, receipt).await;
        }
        let order = Order {
            sender: &sender,
            receipt: receipt.clone(),
        };
        let (operation, handled) = self.carry_out(dropped, &order).await?;
        self.tell(dropped, operation, &handled);
        match handled {
            Handled::Done | Handled::Refused(_) => self.remove(dropped, receipt).await,
            Handled::Malformed(_) => Ok(self.quarantine(dropped)),
        }
    }

    async fn carry_out(
        &self,
        dropped: &Drop,
        order: &Order<'_>,
    ) -> Result<(&'static str, Handled), StoreError> {
        let bytes = match &dropped.content {
            Ok(bytes) => bytes,
            Err(unreadable) => {
                return Ok(("unreadable", Handled::Malformed(unreadable.to_string())));
            }
        };
        match dropped.kind {
            DropKind::Messages => match read::<IpcMessage>(bytes) {
                Ok(IpcMessage::Message { chat_jid, text, .. }) => {
                    Ok(("message", self.say(order, &chat_jid, text).await?))
                }
                Err(malformed) => Ok(("message", malformed)),
            },
            DropKind::Tasks => match read::<IpcTask>(bytes) {
                Ok(task) => Ok((operation_name(&task), self.change(order, task).await?)),
                Err(malformed) => Ok(("task", malformed)),
            },
        }
    }

    async fn say(&self, order: &Order<'_>, chat: &str, text: String) -> Outcome {
        let chat: ChatJid = match chat.parse() {
            Ok(chat) => chat,
            Err(error) => return Ok(Handled::Malformed(crate::chain(&error))),
        };
        if text.trim().is_empty() {
            return Ok(Handled::Malformed("`text` is empty".to_owned()));
        }
        let house = &self.desk.house;
        let target = house.store.group_of_chat(chat.clone()).await?;
        if let Err(reason) = may(order.sender, Asked::Say(target.as_ref())) {
            return Ok(Handled::Refused(reason.to_owned()));
        }
        if !self.desk.channels.reach(&chat) {
            return Ok(Handled::Refused(format!("no channel reaches `{chat}`")));
        }
        let busy = house.clock.busy(Work::Outbox);
        let (receipt, now) = (order.receipt.clone(), house.clock.now());
        house.store.queue_ipc_text(receipt, chat, text, now).await?;
        self.desk.outbox.wake(busy).await;
        Ok(Handled::Done)
    }

    async fn change(&self, order: &Order<'_>, task: IpcTask) -> Outcome {
        let now = self.desk.house.clock.now();
        let zone = &self.desk.house.config.time_zone;
        match task {
            IpcTask::ScheduleTask { .. } => self.schedule(order, task).await,
            IpcTask::PauseTask { task_id } => {
                let change = |task: &Task| task_changes::pause(task);
                self.change_task(order, &task_id, TaskChange::Paused, change)
                    .await
            }
            IpcTask::ResumeTask { task_id } => {
                let change = |task: &Task| task_changes::resume(task, zone, now);
                self.change_task(order, &task_id, TaskChange::Resumed, change)
                    .await
            }
            IpcTask::UpdateTask {
                task_id,
                prompt,
                schedule_type,
                schedule_value,
            } => {
                let schedule = (schedule_type, schedule_value);
                let change = |task: &Task| task_changes::update(task, prompt, schedule, zone, now);
                self.change_task(order, &task_id, TaskChange::Updated, change)
                    .await
            }
            IpcTask::CancelTask { task_id } => self.cancel(order, &task_id).await,
            IpcTask::RegisterGroup { .. } => self.register(order, task).await,
            IpcTask::RefreshGroups {} => match may(order.sender, Asked::Groups) {
                // The list is read from the store whenever it is published.
                Ok(()) => Ok(Handled::Done),
                Err(reason) => Ok(Handled::Refused(reason.to_owned())),
            },
        }
    }

    async fn schedule(&self, order: &Order<'_>, task: IpcTask) -> Outcome {
        let IpcTask::ScheduleTask {
            prompt,
            schedule_type,
            schedule_value,
            context_mode,
            target_jid,
            task_id,
        } = task
        else {
            return Ok(Handled::Malformed("not a schedule".to_owned()));
        };
        let house = &self.desk.house;
        let target = match self.target(order, target_jid).await? {
            Ok(target) => target,
            Err(refused) => return Ok(refused),
        };
        if prompt.trim().is_empty() {
            return Ok(Handled::Malformed("`prompt` is empty".to_owned()));
        }
        let now = house.clock.now();
        let zone = &house.config.time_zone;
        let first = match Schedule::parse(schedule_type, &schedule_value, zone, now) {
            Ok(schedule) => schedule.first_run(now),
            Err(error) => return Ok(Handled::Malformed(crate::chain(&error))),
        };
        let id = match task_id.map(|id| id.parse::<TaskId>()).transpose() {
            Ok(id) => id.unwrap_or_else(TaskId::new_random),
            Err(error) => return Ok(Handled::Malformed(crate::chain(&error))),
        };
        let new = NewTask {
            id: id.clone(),
            group: target.folder.clone(),
            prompt,
            schedule_type,
            schedule_value,
            context_mode: context_mode.unwrap_or(ContextMode::Isolated),
            next_run: first,
        };
        let receipt = Some(order.receipt.clone());
        if !house.store.create_task(new, receipt, now).await? {
            return Ok(Handled::Refused(format!("there is a task `{id}` already")));
        }
        self.task_changed(TaskChange::Created, id, target.folder, Some(first))
            .await;
        Ok(Handled::Done)
    }

    /// The group a task is for: the sender's own unless it names another.
    async fn target(
        &self,
        order: &Order<'_>,
        target: Option<String>,
    ) -> Result<Result<Group, Handled>, StoreError> {
        let Some(target) = target else {
            return Ok(Ok(order.sender.clone()));
        };
        let chat: ChatJid = match target.parse() {
            Ok(chat) => chat,
            Err(error) => return Ok(Err(Handled::Malformed(crate::chain(&error)))),
        };
        let Some(group) = self.desk.house.store.group_of_chat(chat.clone()).await? else {
            // To others an unregistered chat looks like a foreign one.
            let reason = if order.sender.is_main {
                format!("`{chat}` is not a registered group")
            } else {
                "only the main group may schedule tasks for other groups".to_owned()
            };
            return Ok(Err(Handled::Refused(reason)));
        };
        Ok(match may(order.sender, Asked::Schedule(&group)) {
            Ok(()) => Ok(group),
            Err(reason) => Err(Handled::Refused(reason.to_owned())),
        })
    }

    async fn change_task(
        &self,
        order: &Order<'_>,
        id: &str,
        change: TaskChange,
        update: impl FnOnce(&Task) -> Result<TaskUpdate, ChangeError>,
    ) -> Outcome {
        let task = match self.permitted_task(order, id).await? {
            Ok(task) => task,
            Err(refused) => return Ok(refused),
        };
        let update = match update(&task) {
            Ok(update) => update,
            Err(error) => return Ok(error.into()),
        };
        let next_run = update.next_run.or(task.next_run);
        self.desk
            .house
            .store
            .update_task(task.id.clone(), update)
            .await?;
        self.task_changed(change, task.id, task.group, next_run)
            .await;
        Ok(Handled::Done)
    }

    async fn cancel(&self, order: &Order<'_>, id: &str) -> Outcome {
        let task = match self.permitted_task(order, id).await? {
            Ok(task) => task,
            Err(refused) => return Ok(refused),
        };
        self.desk.house.store.cancel_task(task.id.clone()).await?;
        self.task_changed(TaskChange::Cancelled, task.id, task.group, None)
            .await;
        Ok(Handled::Done)
    }

    async fn permitted_task(
        &self,
        order: &Order<'_>,
        id: &str,
    ) -> Result<Result<Task, Handled>, StoreError> {
        let id: TaskId = match id.parse() {
            Ok(id) => id,
            Err(error) => return Ok(Err(Handled::Malformed(crate::chain(&error)))),
        };
        let Some(task) = self.desk.house.store.task(id).await? else {
            return Ok(Err(Handled::Refused("there is no such task".to_owned())));
        };
        Ok(match may(order.sender, Asked::Change(&task)) {
            Ok(()) => Ok(task),
            Err(reason) => Err(Handled::Refused(reason.to_owned())),
        })
    }

    async fn register(&self, order: &Order<'_>, task: IpcTask) -> Outcome {
        if let Err(reason) = may(order.sender, Asked::Groups) {
            return Ok(Handled::Refused(reason.to_owned()));
        }
        match registration::from_agent(task) {
            Ok(new) => match registration::register(&self.desk.house, new).await {
                Ok(_group) => Ok(Handled::Done),
                Err(StoreError::GroupConflict(conflict)) => {
                    Ok(Handled::Refused(conflict.to_string()))
                }
                Err(error) => Err(error),
            },
            Err(malformed) => Ok(Handled::Malformed(malformed)),
        }
    }

    async fn task_changed(
        &self,
        change: TaskChange,
        task: TaskId,
        group: GroupFolder,
        next_run: Option<jiff::Timestamp>,
    ) {
        let house = &self.desk.house;
        let busy = house.clock.busy(Work::Scheduler);
        house.events.tell(Event::TaskChanged {
            change,
            task,
            group,
            next_run,
        });
        self.desk.scheduler.tasks_changed(busy).await;
    }

    async fn remove(&self, dropped: &Drop, receipt: Receipt) -> Result<bool, StoreError> {
        if let Err(error) = self.desk.inbox.remove(dropped) {
            // The receipt stays, so the file is not handled again.
            tracing::warn!(group = dropped.folder, file = %dropped.shown(), %error, "a handled IPC file cannot be removed");
            return Ok(false);
        }
        self.desk.house.store.drop_receipt(receipt).await?;
        Ok(true)
    }

    fn quarantine(&self, dropped: &Drop) -> bool {
        match self.desk.inbox.quarantine(dropped) {
            Ok(_moved_to) => true,
            Err(error) => {
                tracing::error!(group = dropped.folder, file = %dropped.shown(), %error, "a malformed IPC file cannot be moved to data/ipc/errors");
                false
            }
        }
    }

    fn tell(&self, dropped: &Drop, operation: &'static str, handled: &Handled) {
        let (group, file) = (dropped.folder.clone(), dropped.shown());
        let event = match handled {
            Handled::Done => Event::IpcDone {
                group,
                file,
                operation,
            },
            Handled::Refused(reason) => {
                tracing::warn!(group, file, operation, "IPC refused: {reason}");
                Event::IpcRefused {
                    group,
                    file,
                    operation,
                    reason: reason.clone(),
                }
            }
            Handled::Malformed(reason) => {
                tracing::warn!(group, file, "IPC file moved to data/ipc/errors: {reason}");
                Event::IpcQuarantined {
                    group,
                    file,
                    reason: reason.clone(),
                }
            }
        };
        self.desk.house.events.tell(event);
    }
}

impl From<ChangeError> for Handled {
    fn from(error: ChangeError) -> Self {
        match &error {
            ChangeError::Completed => Self::Refused(error.to_string()),
            ChangeError::Schedule(_) => Self::Malformed(crate::chain(&error)),
        }
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Handled> {
    serde_json::from_slice(bytes).map_err(|error| Handled::Malformed(error.to_string()))
}

fn operation_name(task: &IpcTask) -> &'static str {
    match task {
        IpcTask::ScheduleTask { .. } => "schedule_task",
        IpcTask::PauseTask { .. } => "pause_task",
        IpcTask::ResumeTask { .. } => "resume_task",
        IpcTask::CancelTask { .. } => "cancel_task",
        IpcTask::UpdateTask { .. } => "update_task",
        IpcTask::RegisterGroup { .. } => "register_group",
        IpcTask::RefreshGroups {} => "refresh_groups",
    }
}
