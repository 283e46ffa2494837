//! What each file asks for, and doing it, in one transaction with the receipt for the file.

use std::collections::BTreeSet;

use agent_protocol::{ContextMode, IpcMessage, IpcTask};
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::IpcDesk;
use super::authorise::{Asked, may};
use super::inbox::{Drop, DropKind};
use super::media;
use crate::clock::Work;
use crate::events::{Event, TaskChange};
use crate::ids::{ChatJid, GroupFolder, TaskId};
use crate::registration;
use crate::schedule::Schedule;
use crate::splitting::split_text;
use crate::store::{Group, NewTask, Receipt, StoreError, Task, TaskUpdate};
use crate::task_changes::{self, ChangeError};

/// Does what files ask for.
#[derive(Debug)]
pub(super) struct Operations {
    desk: IpcDesk,
}

/// What became of a file.
pub(super) enum Handled {
    /// Done, and its receipt is in the store.
    Done(News),
    /// Understood, and its receipt is in the store: the networks are to be asked for their
    /// groups, which takes its time.
    Refresh,
    /// Understood, and not allowed or not possible.
    Refused(String),
    /// Not understood.
    Malformed(String),
    /// It stops in the middle, and whoever writes it may go on.
    NotYet,
}

/// What agents do not know yet.
pub(super) enum News {
    Nothing,
    /// A task of this group has changed.
    Tasks(GroupFolder),
    Groups,
}

/// A file that was understood, with everything handling it needs.
pub(super) struct Order<'a> {
    pub(super) sender: &'a Group,
    pub(super) receipt: Receipt,
}

type Outcome = Result<Handled, StoreError>;

impl Operations {
    pub(super) fn new(desk: IpcDesk) -> Self {
        Self { desk }
    }

    pub(super) fn desk(&self) -> &IpcDesk {
        &self.desk
    }

    /// Does what a file asks for; says what that is called, and what became of it.
    pub(super) async fn carry_out(
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
            DropKind::Messages => match read::<IpcMessage>(bytes, dropped.young) {
                Ok(IpcMessage::Message {
                    chat_jid,
                    text,
                    media,
                    ..
                }) => {
                    let said = (text, media);
                    Ok(("message", self.say(order, &chat_jid, said).await?))
                }
                Err(unread) => Ok(("message", unread)),
            },
            DropKind::Tasks => match read::<IpcTask>(bytes, dropped.young) {
                Ok(task) => Ok((operation_name(&task), self.change(order, task).await?)),
                Err(unread) => Ok(("task", unread)),
            },
        }
    }

    async fn say(
        &self,
        order: &Order<'_>,
        chat: &str,
        (text, media): (String, Option<String>),
    ) -> Outcome {
        let chat: ChatJid = match chat.parse() {
            Ok(chat) => chat,
            Err(error) => return Ok(Handled::Malformed(crate::chain(&error))),
        };
        if text.trim().is_empty() && media.is_none() {
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
        let media = match media.map(|path| media::of_group(house, &order.sender.folder, path)) {
            Some(Ok(_)) if !self.desk.channels.take_media(&chat) => {
                return Ok(Handled::Refused(format!("`{chat}` takes texts only")));
            }
            Some(Err(reason)) => return Ok(Handled::Refused(reason)),
            Some(Ok(media)) => Some(media),
            None => None,
        };
        let busy = house.clock.busy(Work::Outbox);
        let (receipt, now) = (order.receipt.clone(), house.clock.now());
        let longest = self.desk.channels.longest_text(&chat);
        let text = house.config.masked(&text);
        let parts = match &media {
            Some(_) => media::captioned(&text, longest),
            None => split_text(&text, longest),
        };
        let said = (parts, media);
        house.store.queue_ipc_text(receipt, chat, said, now).await?;
        self.desk.outbox.wake(busy).await;
        Ok(Handled::Done(News::Nothing))
    }

    async fn change(&self, order: &Order<'_>, task: IpcTask) -> Outcome {
        let now = self.desk.house.clock.now();
        let zone = &self.desk.house.config.time_zone;
        match task {
            IpcTask::ScheduleTask { .. } => self.schedule(order, task).await,
            IpcTask::PauseTask { task_id } => {
                let change = |task: &Task, _: &BTreeSet<Timestamp>| task_changes::pause(task);
                self.change_task(order, &task_id, TaskChange::Paused, change)
                    .await
            }
            IpcTask::ResumeTask { task_id } => {
                let change = |task: &Task, had: &BTreeSet<Timestamp>| {
                    task_changes::resume(task, zone, (now, had))
                };
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
                let change = |task: &Task, had: &BTreeSet<Timestamp>| {
                    task_changes::update(task, prompt, schedule, zone, (now, had))
                };
                self.change_task(order, &task_id, TaskChange::Updated, change)
                    .await
            }
            IpcTask::CancelTask { task_id } => self.cancel(order, &task_id).await,
            IpcTask::RegisterGroup { .. } => self.register(order, task).await,
            IpcTask::RefreshGroups {} => match may(order.sender, Asked::Groups) {
                Ok(()) => {
                    self.keep_receipt(order).await?;
                    Ok(Handled::Refresh)
                }
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
        Ok(self
            .task_changed(TaskChange::Created, id, target.folder, Some(first))
            .await)
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
        update: impl FnOnce(&Task, &BTreeSet<Timestamp>) -> Result<TaskUpdate, ChangeError>,
    ) -> Outcome {
        let task = match self.permitted_task(order, id).await? {
            Ok(task) => task,
            Err(refused) => return Ok(refused),
        };
        let house = &self.desk.house;
        let (receipt, now) = (order.receipt.clone(), house.clock.now());
        let had = house.store.had_ahead(task.id.clone(), now).await?;
        let update = match update(&task, &had) {
            Ok(update) => update,
            Err(error) => return Ok(error.into()),
        };
        let next_run = update.next_run.or(task.next_run);
        let id = task.id.clone();
        if !house
            .store
            .update_task_for(receipt, id, update, now)
            .await?
        {
            return Ok(no_such_task());
        }
        Ok(self
            .task_changed(change, task.id, task.group, next_run)
            .await)
    }

    async fn cancel(&self, order: &Order<'_>, id: &str) -> Outcome {
        let task = match self.permitted_task(order, id).await? {
            Ok(task) => task,
            Err(refused) => return Ok(refused),
        };
        let house = &self.desk.house;
        let (receipt, now) = (order.receipt.clone(), house.clock.now());
        let id = task.id.clone();
        if !house.store.cancel_task_for(receipt, id, now).await? {
            return Ok(no_such_task());
        }
        Ok(self
            .task_changed(TaskChange::Cancelled, task.id, task.group, None)
            .await)
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
            return Ok(Err(no_such_task()));
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
        let (new, mounts) = match registration::from_agent(task) {
            Ok(asked) => asked,
            Err(malformed) => return Ok(Handled::Malformed(malformed)),
        };
        let house = &self.desk.house;
        // Registering twice is registering once, so the receipt may come after.
        let group = match registration::register(house, new).await {
            Ok(group) => group,
            Err(StoreError::GroupConflict(conflict)) => {
                return Ok(Handled::Refused(conflict.to_string()));
            }
            Err(error) => return Err(error),
        };
        if let Some(mounts) = mounts {
            house.store.set_mounts(group.folder, mounts).await?;
        }
        self.keep_receipt(order).await?;
        Ok(Handled::Done(News::Groups))
    }

    async fn keep_receipt(&self, order: &Order<'_>) -> Result<(), StoreError> {
        let house = &self.desk.house;
        let (receipt, now) = (order.receipt.clone(), house.clock.now());
        house.store.keep_receipt(receipt, now).await
    }

    async fn task_changed(
        &self,
        change: TaskChange,
        task: TaskId,
        group: GroupFolder,
        next_run: Option<Timestamp>,
    ) -> Handled {
        let house = &self.desk.house;
        let busy = house.clock.busy(Work::Scheduler);
        house.events.tell(Event::TaskChanged {
            change,
            task,
            group: group.clone(),
            next_run,
        });
        self.desk.scheduler.tasks_changed(busy).await;
        Handled::Done(News::Tasks(group))
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

fn no_such_task() -> Handled {
    Handled::Refused("there is no such task".to_owned())
}

fn read<T: DeserializeOwned>(bytes: &[u8], young: bool) -> Result<T, Handled> {
    serde_json::from_slice(bytes).map_err(|error| {
        if young && error.is_eof() {
            Handled::NotYet
        } else {
            Handled::Malformed(error.to_string())
        }
    })
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
