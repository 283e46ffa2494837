//! Who may ask for what. The one who asks is the group in whose folder the file lay.

use crate::store::{Group, Task};

/// What a file asks for, as far as its permission goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked<'a> {
    /// Say something in a chat; `None` is a chat that is no group's.
    Say(Option<&'a Group>),
    /// Schedule a task that will speak in this group.
    Schedule(&'a Group),
    /// Pause, resume, cancel or change a task.
    Change(&'a Task),
    /// Register a group, or have the list of groups read anew.
    Groups,
}

/// Whether `sender` may; if not, why.
pub(super) fn may(sender: &Group, asked: Asked<'_>) -> Result<(), &'static str> {
    if sender.is_main {
        return Ok(());
    }
    match asked {
        Asked::Say(Some(group)) if group.folder == sender.folder => Ok(()),
        Asked::Say(_) => Err("only the main group may write to other chats"),
        Asked::Schedule(group) if group.folder == sender.folder => Ok(()),
        Asked::Schedule(_) => Err("only the main group may schedule tasks for other groups"),
        Asked::Change(task) if task.group == sender.folder => Ok(()),
        // The same words as for a task that does not exist, so that none can be guessed.
        Asked::Change(_) => Err("there is no such task"),
        Asked::Groups => Err("only the main group may manage groups"),
    }
}

#[cfg(test)]
mod tests {
    use agent_protocol::{ContextMode, ScheduleType};

    use super::*;
    use crate::store::{TaskStatus, TriggerRule};

    fn group(folder: &str) -> Group {
        Group {
            folder: folder.parse().unwrap(),
            chat: format!("http:{folder}").parse().unwrap(),
            name: folder.to_owned(),
            trigger: TriggerRule::Always,
            is_main: folder == "main",
            added_at: "2026-01-05T09:00:00Z".parse().unwrap(),
        }
    }

    fn task_of(folder: &str) -> Task {
        Task {
            id: "task-1".parse().unwrap(),
            group: folder.parse().unwrap(),
            prompt: "brief".into(),
            schedule_type: ScheduleType::Cron,
            schedule_value: "0 9 * * *".into(),
            context_mode: ContextMode::Group,
            status: TaskStatus::Active,
            next_run: None,
            last_run: None,
            last_result: None,
        }
    }

    #[test]
    fn main_may_do_everything() {
        let (main, other) = (group("main"), group("other"));
        for asked in [
            Asked::Say(None),
            Asked::Say(Some(&other)),
            Asked::Schedule(&other),
            Asked::Change(&task_of("other")),
            Asked::Groups,
        ] {
            assert_eq!(may(&main, asked), Ok(()), "{asked:?}");
        }
    }

    #[test]
    fn another_group_may_only_touch_what_is_its_own() {
        let (own, other) = (group("family"), group("other"));
        let (own_task, foreign_task) = (task_of("family"), task_of("other"));
        for asked in [
            Asked::Say(Some(&own)),
            Asked::Schedule(&own),
            Asked::Change(&own_task),
        ] {
            assert_eq!(may(&own, asked), Ok(()), "{asked:?}");
        }
        for asked in [
            Asked::Say(None),
            Asked::Say(Some(&other)),
            Asked::Schedule(&other),
            Asked::Change(&foreign_task),
            Asked::Groups,
        ] {
            assert!(may(&own, asked).is_err(), "{asked:?}");
        }
    }
}
