//! Files an agent drops into its IPC folder, `messages/*.json` and `tasks/*.json`.
//!
//! The spelling is the ancestors' (`chatJid` beside `schedule_type`), so that agents written
//! for them keep working. Who sent a file is decided by the folder it lies in; fields such as
//! `groupFolder` or `isMain` are accepted and never believed.

use serde::{Deserialize, Serialize};

/// `messages/*.json`: say something in a chat while the turn goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
pub enum IpcMessage {
    Message {
        chat_jid: String,
        text: String,
        /// A name to speak under, where the channel can show one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sender: Option<String>,
        /// A file to send, by its path below the group's folder; `text` is then its caption,
        /// and may be empty.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        media: Option<String>,
    },
}

/// `tasks/*.json`: change schedules or groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum IpcTask {
    ScheduleTask {
        prompt: String,
        schedule_type: ScheduleType,
        /// Cron: five fields. Interval: milliseconds, or a number with a unit (`5m`).
        /// Once: a local date and time, or one with an offset.
        schedule_value: String,
        #[serde(default)]
        context_mode: Option<ContextMode>,
        /// The chat to speak in; the agent's own when absent.
        #[serde(rename = "targetJid", default, skip_serializing_if = "Option::is_none")]
        target_jid: Option<String>,
        /// An id chosen by the agent, so that it can name the task before we answer.
        #[serde(rename = "taskId", default, skip_serializing_if = "Option::is_none")]
        task_id: Option<String>,
    },
    PauseTask {
        #[serde(rename = "taskId")]
        task_id: String,
    },
    ResumeTask {
        #[serde(rename = "taskId")]
        task_id: String,
    },
    CancelTask {
        #[serde(rename = "taskId")]
        task_id: String,
    },
    UpdateTask {
        #[serde(rename = "taskId")]
        task_id: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prompt: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        schedule_type: Option<ScheduleType>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        schedule_value: Option<String>,
    },
    RegisterGroup {
        jid: String,
        name: String,
        folder: String,
        trigger: String,
        #[serde(
            rename = "requiresTrigger",
            default,
            skip_serializing_if = "Option::is_none"
        )]
        requires_trigger: Option<bool>,
        #[serde(
            rename = "containerConfig",
            default,
            skip_serializing_if = "Option::is_none"
        )]
        container_config: Option<ContainerConfig>,
    },
    RefreshGroups {},
}

/// What a group's agents have besides what all have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerConfig {
    /// Nothing is said of them if it is not given, and then they stay as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub additional_mounts: Option<Vec<AdditionalMount>>,
}

/// A folder or file of the orchestrator's machine that the agents see, if its operator allows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AdditionalMount {
    pub host_path: String,
    /// Its name below `/workspace/extra`; that of what it leads to if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_path: Option<String>,
    /// Yes if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readonly: Option<bool>,
}

/// How a task's `schedule_value` is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleType {
    Cron,
    Interval,
    Once,
}

/// Which conversation a task runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContextMode {
    /// The group's own session.
    Group,
    /// A session of its own, thrown away afterwards.
    Isolated,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ancestors_file_is_understood_and_its_claims_are_ignored() {
        let text = r#"{"type":"message","chatJid":"1@g.us","text":"hi",
                       "groupFolder":"main","timestamp":"2026-01-05T09:00:00.000Z"}"#;
        let message: IpcMessage = serde_json::from_str(text).unwrap();
        assert_eq!(
            message,
            IpcMessage::Message {
                chat_jid: "1@g.us".into(),
                text: "hi".into(),
                sender: None,
                media: None,
            }
        );
    }

    #[test]
    fn a_task_keeps_the_ancestors_mixed_spelling() {
        let task = IpcTask::ScheduleTask {
            prompt: "brief".into(),
            schedule_type: ScheduleType::Cron,
            schedule_value: "0 9 * * 1-5".into(),
            context_mode: Some(ContextMode::Isolated),
            target_jid: Some("1@g.us".into()),
            task_id: None,
        };
        assert_eq!(
            serde_json::to_string(&task).unwrap(),
            r#"{"type":"schedule_task","prompt":"brief","schedule_type":"cron","schedule_value":"0 9 * * 1-5","context_mode":"isolated","targetJid":"1@g.us"}"#,
        );
    }

    #[test]
    fn a_group_may_come_with_mounts_as_the_ancestors_write_them() {
        let text = r#"{"type":"register_group","jid":"1@g.us","name":"n","folder":"f","trigger":"@Kai",
                       "containerConfig":{"additionalMounts":[{"hostPath":"~/a","containerPath":"b","readonly":false},
                                                              {"hostPath":"/c"}],"timeout":5}}"#;
        let IpcTask::RegisterGroup {
            container_config, ..
        } = serde_json::from_str(text).unwrap()
        else {
            panic!("{text} is another task");
        };
        let mount = |path: &str, name: Option<&str>, readonly| AdditionalMount {
            host_path: path.into(),
            container_path: name.map(Into::into),
            readonly,
        };
        assert_eq!(
            container_config.unwrap().additional_mounts.unwrap(),
            [
                mount("~/a", Some("b"), Some(false)),
                mount("/c", None, None)
            ]
        );
        let silent: ContainerConfig = serde_json::from_str(r#"{"timeout":5}"#).unwrap();
        assert_eq!(silent.additional_mounts, None);
        assert_eq!(serde_json::to_string(&silent).unwrap(), "{}");
    }
}
