//! What the model is told before the conversation: who it is, where it is, what its people
//! have written down for it.
//!
//! Assembled anew for each turn and the same for the same files: no dates, no ids, so that the
//! endpoint's prompt cache holds from turn to turn.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use agent_protocol::{AgentErrorKind, AgentInput};
use fs_err::File;

use crate::failure::Failure;
use crate::settings::Folders;

/// A page of notes is a few KiB. More would crowd out the conversation.
const MOST: u64 = 64 * 1024;

/// A file that exists and cannot be read: answering without it would be answering as someone else.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SystemPromptError {
    #[error("cannot read a file of the system prompt")]
    Read(#[source] io::Error),
    #[error("`{}` should be part of the system prompt but is not a file", .0.display())]
    NotAFile(PathBuf),
}

impl From<SystemPromptError> for Failure {
    fn from(error: SystemPromptError) -> Self {
        Self::lasting(AgentErrorKind::Io, &error)
    }
}

/// The system prompt of a turn.
pub(crate) fn assemble(input: &AgentInput, folders: &Folders) -> Result<String, SystemPromptError> {
    let mut prompt = base(input, folders);
    for (heading, path) in pages(input, folders) {
        if let Some(page) = read_page(&path)? {
            prompt.push_str("\n\n# ");
            prompt.push_str(heading);
            prompt.push_str("\n\n");
            prompt.push_str(page.trim());
        }
    }
    Ok(prompt)
}

fn pages(input: &AgentInput, folders: &Folders) -> Vec<(&'static str, PathBuf)> {
    let mut pages = vec![(
        "First of all (BOOTSTRAP.md)",
        folders.group.join("BOOTSTRAP.md"),
    )];
    if !input.is_main {
        pages.push((
            "What all groups share (KIMI.md)",
            folders.global.join("KIMI.md"),
        ));
    }
    pages.extend([
        (
            "Who you are (IDENTITY.md)",
            folders.group.join("IDENTITY.md"),
        ),
        ("How you are (SOUL.md)", folders.group.join("SOUL.md")),
        ("This group (KIMI.md)", folders.group.join("KIMI.md")),
    ]);
    pages
}

fn base(input: &AgentInput, folders: &Folders) -> String {
    let name = input.assistant_name.as_deref().unwrap_or("Kai");
    let group = folders.group.display();
    let everyone = format!(
        "You are {name}, an assistant in a chat. Messages reach you with the sender's name and \
         the time; your final text is sent to the chat as it is, so write nothing there that is \
         not meant for the people in it. An empty answer sends nothing.

Your working folder is `{group}`. Files you keep there are there the next time; relative paths \
start there. Notes worth keeping belong into `KIMI.md`. Conversations that \
are over are written down in `conversations/`; look there when people speak of what you do not \
know any more.

With `send_message` you can speak before your work is done. Tasks that should run later or \
again are made with `schedule_task` and kept with `list_tasks`, `update_task`, `pause_task`, \
`resume_task` and `cancel_task`. These tools leave a request that is carried out after you have \
asked; do not tell people that it is done, tell them that it is asked for."
    );
    let everyone = match &folders.extra {
        Some(extra) => format!(
            "{everyone}\n\nIn `{}` lies what you may see of this machine besides; some of it you may change.",
            extra.display()
        ),
        None => everyone,
    };
    if !input.is_main {
        return everyone;
    }
    let ipc = folders.ipc.display();
    let project = folders.project.display();
    format!(
        "{everyone}

This is the main group: you may also register other chats as groups with `register_group` \
(`{ipc}/available_groups.json` lists them; `refresh_groups` renews the list), and read the \
orchestrator's folder at `{project}`."
    )
}

/// None when there is no such file.
fn read_page(path: &Path) -> Result<Option<String>, SystemPromptError> {
    // Asked before opening: opening a pipe would wait for its other end for ever.
    match fs_err::metadata(path) {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Err(SystemPromptError::NotAFile(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(SystemPromptError::Read(error)),
    }
    let mut bytes = Vec::new();
    let mut file = File::open(path).map_err(SystemPromptError::Read)?;
    file.by_ref()
        .take(MOST)
        .read_to_end(&mut bytes)
        .map_err(SystemPromptError::Read)?;
    let page = String::from_utf8_lossy(&bytes);
    let length = file.metadata().map_err(SystemPromptError::Read)?.len();
    if length <= MOST {
        return Ok(Some(page.into_owned()));
    }
    // The agent itself may have let its notes grow; told so, it can shorten them.
    Ok(Some(format!(
        "{page}\n\n[cut here: the file has {length} bytes and only the first {MOST} are shown]"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Box {
        root: tempfile::TempDir,
        folders: Folders,
    }

    fn empty_box() -> Box {
        let root = tempfile::tempdir().unwrap();
        let folder = |name: &str| {
            let path = root.path().join(name);
            fs_err::create_dir(&path).unwrap();
            path
        };
        let folders = Folders {
            group: folder("group"),
            global: folder("global"),
            ipc: folder("ipc"),
            project: folder("project"),
            extra: None,
        };
        Box { root, folders }
    }

    fn prompt(is_main: bool, folders: &Folders) -> Result<String, SystemPromptError> {
        let mut input: AgentInput = serde_json::from_str(r#"{"prompt":"hi"}"#).unwrap();
        input.is_main = is_main;
        assemble(&input, folders)
    }

    /// The words of `text` that the tests have put into files, in order.
    fn marks(text: &str) -> Vec<&str> {
        text.split_whitespace()
            .filter(|word| word.starts_with('%'))
            .collect()
    }

    #[test]
    fn bootstrap_leads_and_the_groups_own_page_is_last() {
        let place = empty_box();
        for name in ["KIMI.md", "SOUL.md", "IDENTITY.md", "BOOTSTRAP.md"] {
            fs_err::write(place.folders.group.join(name), format!("%{name}")).unwrap();
        }
        fs_err::write(place.folders.global.join("KIMI.md"), "%shared").unwrap();

        let other = prompt(false, &place.folders).unwrap();
        let order = [
            "%BOOTSTRAP.md",
            "%shared",
            "%IDENTITY.md",
            "%SOUL.md",
            "%KIMI.md",
        ];
        assert_eq!(marks(&other), order);
        let main = prompt(true, &place.folders).unwrap();
        assert!(
            !main.contains("%shared"),
            "the main group does not share: {main}"
        );
    }

    #[test]
    fn pages_that_are_not_there_leave_no_heading() {
        let place = empty_box();
        let text = prompt(false, &place.folders).unwrap();
        assert!(
            text.starts_with("You are Kai") && !text.contains('#'),
            "{text}"
        );
    }

    #[test]
    fn a_page_that_cannot_be_read_is_an_error() {
        let place = empty_box();
        fs_err::create_dir(place.folders.group.join("SOUL.md")).unwrap();
        let told = prompt(false, &place.folders).unwrap_err().to_string();
        assert!(told.contains("SOUL.md` should be part of"), "{told}");
        assert!(place.root.path().exists());
    }

    #[test]
    fn a_page_that_has_grown_too_long_is_cut_and_says_so() {
        let place = empty_box();
        fs_err::write(place.folders.group.join("KIMI.md"), "a".repeat(70_000)).unwrap();
        let text = prompt(true, &place.folders).unwrap();
        assert!(text.ends_with("has 70000 bytes and only the first 65536 are shown]"));
        assert!(text.len() < 70_000);
    }
}
