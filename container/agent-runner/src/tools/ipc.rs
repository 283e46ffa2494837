//! Requests to the orchestrator, as files in the IPC folder.
//!
//! An answer to the model never claims more than that the request is left: the orchestrator
//! reads it later, and may refuse it.

use std::io;
use std::path::{Path, PathBuf};

use agent_protocol::{AgentInput, ContextMode, IpcMessage, IpcTask, ScheduleType, TaskSnapshot};
use fs_err as fs;
use jiff::Timestamp;
use serde::Serialize;

use super::request::{IpcRequest, NamedTask, NewGroup, NewTask, Saying, TaskChange};
use super::schedule::{ScheduleError, check_schedule};
use crate::replace_file::{Lasting, replace_file};

/// For whom requests are left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Where the conversation takes place; empty when nowhere.
    pub chat: String,
    pub group: String,
    pub is_main: bool,
}

impl From<&AgentInput> for Caller {
    fn from(input: &AgentInput) -> Self {
        Self {
            chat: input.chat_jid.clone(),
            group: input.group_folder.clone(),
            is_main: input.is_main,
        }
    }
}

/// The way to the orchestrator.
#[derive(Debug)]
pub(super) struct IpcFolder {
    folder: PathBuf,
    caller: Caller,
    /// Milliseconds; each file's is greater than the one before, so that files sort in the
    /// order of the calls also within one millisecond.
    last_stamp: i64,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum IpcError {
    #[error("the request cannot be left")]
    Write(#[from] io::Error),
    #[error("the request cannot be written")]
    Render(#[from] serde_json::Error),
    #[error("this turn belongs to no chat, so there is nobody to speak to")]
    NoChat,
    #[error("`{0}` is blank")]
    Blank(&'static str),
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    #[error("only the main group may schedule tasks for other chats; leave target_group_jid out")]
    ForeignChat,
    #[error("nothing to change: give prompt, or schedule_type and schedule_value")]
    NothingToChange,
    #[error("schedule_type and schedule_value must be changed together")]
    HalfASchedule,
    #[error("the list of tasks in `{}` is broken", path.display())]
    Tasks {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
}

/// What is written: the request, and the fields that the ancestors' files have besides.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a, T> {
    #[serde(flatten)]
    request: T,
    group_folder: &'a str,
    timestamp: Timestamp,
}

impl IpcFolder {
    pub(super) fn new(folder: &Path, caller: Caller) -> Self {
        Self {
            folder: folder.to_owned(),
            caller,
            last_stamp: 0,
        }
    }

    /// Leaves what is asked for, and says so in words for the model.
    pub(super) fn leave_request(&mut self, request: IpcRequest) -> Result<String, IpcError> {
        match request {
            IpcRequest::SendMessage(saying) => self.send_message(saying),
            IpcRequest::ScheduleTask(task) => self.schedule_task(task),
            IpcRequest::ListTasks(_) => self.list_tasks(),
            IpcRequest::PauseTask(task) => self.pause_task(task),
            IpcRequest::ResumeTask(task) => self.resume_task(task),
            IpcRequest::CancelTask(task) => self.cancel_task(task),
            IpcRequest::UpdateTask(change) => self.update_task(change),
            IpcRequest::RegisterGroup(group) => self.register_group(group),
            IpcRequest::RefreshGroups(_) => self.refresh_groups(),
        }
    }

    fn send_message(&mut self, saying: Saying) -> Result<String, IpcError> {
        let text = match saying.media {
            Some(_) => saying.text,
            None => filled("text", saying.text)?,
        };
        let message = IpcMessage::Message {
            chat_jid: self.chat()?.to_owned(),
            text,
            sender: saying.sender,
            media: saying.media,
        };
        self.leave("messages", message)?;
        Ok("requested: the message will be sent".to_owned())
    }

    fn schedule_task(&mut self, task: NewTask) -> Result<String, IpcError> {
        check_schedule(task.schedule_type, &task.schedule_value)?;
        let target = match task.target_group_jid {
            Some(target) if target != self.caller.chat && !self.caller.is_main => {
                return Err(IpcError::ForeignChat);
            }
            Some(target) => target,
            None => self.chat()?.to_owned(),
        };
        let stamp = self.next_stamp();
        let id = format!("task-{stamp}-{}", tail());
        let kind = word(task.schedule_type);
        let reply = format!("requested: task {id}, {kind} {}", task.schedule_value);
        let request = IpcTask::ScheduleTask {
            prompt: filled("prompt", task.prompt)?,
            schedule_type: task.schedule_type,
            schedule_value: task.schedule_value,
            context_mode: Some(task.context_mode.unwrap_or(ContextMode::Group)),
            target_jid: Some(target),
            task_id: Some(id),
        };
        self.leave("tasks", request)?;
        Ok(reply)
    }

    fn pause_task(&mut self, task: NamedTask) -> Result<String, IpcError> {
        let (task_id, reply) = named(task, "pause")?;
        self.leave("tasks", IpcTask::PauseTask { task_id })?;
        Ok(reply)
    }

    fn resume_task(&mut self, task: NamedTask) -> Result<String, IpcError> {
        let (task_id, reply) = named(task, "resume")?;
        self.leave("tasks", IpcTask::ResumeTask { task_id })?;
        Ok(reply)
    }

    fn cancel_task(&mut self, task: NamedTask) -> Result<String, IpcError> {
        let (task_id, reply) = named(task, "cancel")?;
        self.leave("tasks", IpcTask::CancelTask { task_id })?;
        Ok(reply)
    }

    fn update_task(&mut self, change: TaskChange) -> Result<String, IpcError> {
        match (change.schedule_type, &change.schedule_value) {
            (Some(kind), Some(value)) => check_schedule(kind, value)?,
            (None, None) if change.prompt.is_none() => return Err(IpcError::NothingToChange),
            (None, None) => {}
            (Some(_), None) | (None, Some(_)) => return Err(IpcError::HalfASchedule),
        }
        let task_id = filled("task_id", change.task_id)?;
        let reply = format!("requested: change of task {task_id}");
        let request = IpcTask::UpdateTask {
            task_id,
            prompt: change.prompt,
            schedule_type: change.schedule_type,
            schedule_value: change.schedule_value,
        };
        self.leave("tasks", request)?;
        Ok(reply)
    }

    fn register_group(&mut self, group: NewGroup) -> Result<String, IpcError> {
        let reply = format!("requested: {} as a group in `{}`", group.jid, group.folder);
        let request = IpcTask::RegisterGroup {
            jid: filled("jid", group.jid)?,
            name: filled("name", group.name)?,
            folder: filled("folder", group.folder)?,
            trigger: filled("trigger", group.trigger)?,
            requires_trigger: group.requires_trigger,
            container_config: None,
        };
        self.leave("tasks", request)?;
        Ok(reply)
    }

    fn refresh_groups(&mut self) -> Result<String, IpcError> {
        self.leave("tasks", IpcTask::RefreshGroups {})?;
        Ok("requested: a new list of chats in available_groups.json".to_owned())
    }

    /// The tasks as the orchestrator wrote them down before this turn.
    fn list_tasks(&self) -> Result<String, IpcError> {
        let path = self.folder.join("current_tasks.json");
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => b"[]".to_vec(),
            Err(error) => return Err(error.into()),
        };
        let tasks: Vec<TaskSnapshot> =
            serde_json::from_slice(&text).map_err(|source| IpcError::Tasks { path, source })?;
        if tasks.is_empty() {
            return Ok("No scheduled tasks found.".to_owned());
        }
        let lines: Vec<String> = tasks.iter().map(line).collect();
        Ok(format!("Scheduled tasks:\n{}", lines.join("\n")))
    }

    fn chat(&self) -> Result<&str, IpcError> {
        match self.caller.chat.as_str() {
            "" => Err(IpcError::NoChat),
            chat => Ok(chat),
        }
    }

    fn leave(&mut self, kind: &str, request: impl Serialize) -> Result<(), IpcError> {
        let stamp = self.next_stamp();
        let text = serde_json::to_vec_pretty(&Envelope {
            request,
            group_folder: &self.caller.group,
            timestamp: Timestamp::now(),
        })?;
        let folder = self.folder.join(kind);
        fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{stamp}-{}.json", tail()));
        Ok(replace_file(&path, &text, Lasting::Visible)?)
    }

    fn next_stamp(&mut self) -> i64 {
        let now = Timestamp::now().as_millisecond();
        self.last_stamp = now.max(self.last_stamp + 1);
        self.last_stamp
    }
}

fn filled(name: &'static str, value: String) -> Result<String, IpcError> {
    if value.trim().is_empty() {
        Err(IpcError::Blank(name))
    } else {
        Ok(value)
    }
}

fn named(task: NamedTask, verb: &str) -> Result<(String, String), IpcError> {
    let id = filled("task_id", task.task_id)?;
    let reply = format!("requested: {verb} task {id}");
    Ok((id, reply))
}

/// Six letters or digits, against two agents that write in the same millisecond.
fn tail() -> String {
    const LETTERS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let letter = |_| char::from(LETTERS[rand::random_range(0..LETTERS.len())]);
    (0..6).map(letter).collect()
}

fn word(kind: ScheduleType) -> &'static str {
    match kind {
        ScheduleType::Cron => "cron",
        ScheduleType::Interval => "interval",
        ScheduleType::Once => "once",
    }
}

fn line(task: &TaskSnapshot) -> String {
    let prompt: String = task.prompt.chars().take(50).collect();
    let more = if prompt.len() < task.prompt.len() {
        "..."
    } else {
        ""
    };
    let kind = word(task.schedule_type);
    let next = task
        .next_run
        .map_or_else(|| "never".to_owned(), |next| next.to_string());
    let (id, value, status) = (&task.id, &task.schedule_value, &task.status);
    format!("- [{id}] {prompt}{more} ({kind}: {value}) - {status}, next: {next}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn ipc(folder: &Path, input: &str) -> IpcFolder {
        let input: AgentInput = serde_json::from_str(input).unwrap();
        IpcFolder::new(folder, Caller::from(&input))
    }

    const GROUP: &str = r#"{"prompt":"p","groupFolder":"family","chatJid":"1@g.us"}"#;

    /// The requests of one kind in the order of their names.
    fn left(folder: &Path, kind: &str) -> Vec<Value> {
        let mut names: Vec<PathBuf> = fs::read_dir(folder.join(kind))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        names.sort();
        let read = |path: &PathBuf| serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        names.iter().map(read).collect()
    }

    fn saying(text: &str) -> Saying {
        Saying {
            text: text.into(),
            sender: None,
            media: None,
        }
    }

    fn task(kind: ScheduleType, value: &str, target: Option<&str>) -> NewTask {
        NewTask {
            prompt: "brief me".into(),
            schedule_type: kind,
            schedule_value: value.into(),
            context_mode: None,
            target_group_jid: target.map(str::to_owned),
        }
    }

    #[test]
    fn files_sort_in_the_order_of_the_calls() {
        let folder = tempfile::tempdir().unwrap();
        let mut ipc = ipc(folder.path(), GROUP);
        for number in 0..50 {
            ipc.send_message(saying(&number.to_string())).unwrap();
        }
        let texts: Vec<Value> = left(folder.path(), "messages")
            .into_iter()
            .map(|message| message["text"].clone())
            .collect();
        let expected: Vec<Value> = (0..50).map(|number| number.to_string().into()).collect();
        assert_eq!(texts, expected);
    }

    #[test]
    fn a_task_goes_to_our_own_chat_under_the_id_the_model_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let mut ipc = ipc(folder.path(), GROUP);
        let reply = ipc
            .schedule_task(task(ScheduleType::Cron, "0 9 * * *", None))
            .unwrap();
        let [task] = &left(folder.path(), "tasks")[..] else {
            panic!("expected one task");
        };
        assert_eq!(task["type"], "schedule_task");
        assert_eq!(task["targetJid"], "1@g.us");
        assert_eq!(task["context_mode"], "group");
        assert_eq!(task["groupFolder"], "family");
        let id = task["taskId"].as_str().unwrap();
        assert_eq!(reply, format!("requested: task {id}, cron 0 9 * * *"));
    }

    #[track_caller]
    fn check_refused(act: impl FnOnce(&mut IpcFolder) -> Result<String, IpcError>, told: &str) {
        let folder = tempfile::tempdir().unwrap();
        let error = act(&mut ipc(folder.path(), GROUP)).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            0,
            "nothing is left"
        );
    }

    #[test]
    fn a_request_that_makes_no_sense_is_not_left() {
        let every = |value: &str, to| task(ScheduleType::Interval, value, to);
        check_refused(|ipc| ipc.send_message(saying(" ")), "`text` is blank");
        check_refused(
            |ipc| ipc.schedule_task(every("5 minutes", None)),
            "e.g. `5m`",
        );
        check_refused(
            |ipc| ipc.schedule_task(every("5m", Some("2@g.us"))),
            "only the main group",
        );
        let change = |value: Option<&str>| TaskChange {
            task_id: "t".into(),
            prompt: None,
            schedule_type: None,
            schedule_value: value.map(str::to_owned),
        };
        check_refused(|ipc| ipc.update_task(change(None)), "nothing to change");
        check_refused(
            |ipc| ipc.update_task(change(Some("5m"))),
            "changed together",
        );
    }

    #[test]
    fn a_turn_without_a_chat_speaks_to_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let mut ipc = ipc(folder.path(), r#"{"prompt":"p"}"#);
        let told = ipc.send_message(saying("hi")).unwrap_err().to_string();
        assert!(told.contains("belongs to no chat"), "{told}");
    }

    #[test]
    fn tasks_are_listed_as_the_orchestrator_wrote_them() {
        let folder = tempfile::tempdir().unwrap();
        let ipc = ipc(folder.path(), GROUP);
        assert_eq!(ipc.list_tasks().unwrap(), "No scheduled tasks found.");
        let tasks = r#"[{"id":"t1","groupFolder":"family","prompt":"brief me",
            "schedule_type":"once","schedule_value":"2026-01-05T09:00","status":"active",
            "next_run":"2026-01-05T09:00:00Z"}]"#;
        fs::write(folder.path().join("current_tasks.json"), tasks).unwrap();
        assert_eq!(
            ipc.list_tasks().unwrap(),
            "Scheduled tasks:\n- [t1] brief me (once: 2026-01-05T09:00) - active, next: 2026-01-05T09:00:00Z",
        );
        fs::write(folder.path().join("current_tasks.json"), "[{").unwrap();
        assert!(
            ipc.list_tasks()
                .unwrap_err()
                .to_string()
                .contains("is broken")
        );
    }
}
