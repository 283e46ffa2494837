//! What was said in conversations that another program keeps in a form of its own, taken down for
//! the archive: `$HOME/.kimi/told/<id>.jsonl`, in the lines of our own sessions.
//!
//! Nothing is ever gone on with from here, and nothing of the program's is touched; what is kept of
//! an agent's home is there.

use std::io::{self, Write};
use std::path::PathBuf;

use agent_protocol::AgentErrorKind;
use fs_err as fs;

use crate::conversation::Message;
use crate::failure::Failure;
use crate::session::{ResumeError, SessionId, push_line};
use crate::settings::Settings;

/// Adds a question and its answer.
pub(crate) fn take_down(
    settings: &Settings,
    id: &str,
    (question, answer): (String, Option<String>),
) -> Result<(), Failure> {
    let id: SessionId = id.parse().map_err(ResumeError::Id)?;
    let said = Message::User { content: question };
    let answered = answer.map(|text| Message::Assistant {
        content: Some(text),
        reasoning_content: None,
        tool_calls: Vec::new(),
    });
    let mut lines = Vec::new();
    for message in [Some(said), answered].into_iter().flatten() {
        push_line(&mut lines, &message)
            .map_err(|error| Failure::lasting(AgentErrorKind::Io, &error))?;
    }
    add(settings, &id, &lines).map_err(|error| Failure::lasting(AgentErrorKind::Io, &error))
}

/// In one piece: what a kill cuts off is a line that the archive leaves out.
fn add(settings: &Settings, id: &SessionId, lines: &[u8]) -> io::Result<()> {
    let path = told_file(settings, id);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)?;
    file.write_all(lines)?;
    file.sync_all()
}

pub(crate) fn told_file(settings: &Settings, id: &SessionId) -> PathBuf {
    let name = format!("{}.jsonl", id.as_str());
    settings.home.join(".kimi").join("told").join(name)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::session::Session;
    use crate::settings::Environment;

    #[test]
    fn what_another_program_has_said_is_taken_down_turn_by_turn() {
        let home = tempfile::tempdir().unwrap();
        let variables = [
            ("HOME".into(), home.path().into()),
            ("MOONSHOT_API_KEY".into(), "sk-1".into()),
            ("NANOKIMI_GROUP_DIR".into(), "/workspace/group".into()),
        ];
        let settings = Settings::read(&Environment::new(variables, PathBuf::new())).unwrap();
        let said = |question: &str, answer: Option<&str>| {
            let said = (question.to_owned(), answer.map(str::to_owned));
            take_down(&settings, "session_1", said).unwrap();
        };
        said("my cat is Miso", Some("Noted."));
        said("tidy up", None);
        said("who is my cat?", Some("Miso."));

        let mut left = String::new();
        let file = Session::left(&settings, "session_1").unwrap();
        file.unwrap().read_to_string(&mut left).unwrap();
        let expected = r#"{"role":"user","content":"my cat is Miso"}
{"role":"assistant","content":"Noted."}
{"role":"user","content":"tidy up"}
{"role":"user","content":"who is my cat?"}
{"role":"assistant","content":"Miso."}
"#;
        assert_eq!(left, expected);
        // It is no session to go on with.
        assert!(Session::resume(&settings, "session_1").is_err());
        assert!(take_down(&settings, "../out", (String::new(), None)).is_err());
    }
}
