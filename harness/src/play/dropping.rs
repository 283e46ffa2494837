//! The step `ipc`: a file dropped into a group's folder, well-meant or hostile.

use std::io::Write as _;
use std::path::Path;

use fs_err as fs;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Map, Value};

use super::Play;
use crate::failure::Trouble;
use crate::scenario::{Drop, DropContent};
use crate::stage::StageError;

impl Play<'_> {
    /// Drops the file as agents do: written aside, then renamed.
    pub(super) fn drop_file(&mut self, drop: &Drop) -> Result<(), Trouble> {
        let names = self.names();
        let Some(content) = drop.content() else {
            return Ok(());
        };
        self.drops += 1;
        let kind = match content {
            DropContent::Message(_) => "messages",
            DropContent::Task(_)
            | DropContent::Raw(_)
            | DropContent::Symlink(_)
            | DropContent::Fifo
            | DropContent::Size(_) => "tasks",
        };
        let group = names.fill_text(&drop.group)?;
        let folder = self.stage.root().join("data/ipc").join(group).join(kind);
        let name = match &drop.name {
            Some(name) => names.fill_text(name)?,
            None => format!("{:013}-drop.json", self.drops),
        };
        fs::create_dir_all(&folder).map_err(StageError::Folder)?;
        let target = folder.join(&name);
        let json = |fields: &indexmap::IndexMap<String, Value>| {
            let fields: Map<String, Value> = fields.clone().into_iter().collect();
            names.fill_value(&Value::Object(fields))
        };
        let bytes = match content {
            DropContent::Message(fields) | DropContent::Task(fields) => json(fields)?.to_string(),
            DropContent::Raw(text) => names.fill_text(text)?,
            DropContent::Symlink(to) => {
                let to = names.fill_text(to)?;
                return made(std::os::unix::fs::symlink(to, target));
            }
            DropContent::Fifo => {
                let mode = Mode::from_raw_mode(0o600);
                let fifo = mknodat(CWD, &target, FileType::Fifo, mode, 0);
                return made(fifo.map_err(std::io::Error::from));
            }
            DropContent::Size(size) => return made(write_spaces(&target, size)),
        };
        made(rename_into(&folder, &name, bytes.as_bytes()))
    }
}

fn rename_into(folder: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let aside = folder.join(format!("{name}.tmp"));
    fs::write(&aside, bytes)?;
    fs::rename(aside, folder.join(name))
}

fn write_spaces(target: &Path, size: u64) -> std::io::Result<()> {
    const BLOCK: [u8; 4096] = [b' '; 4096];
    let aside = target.with_extension("tmp");
    let mut file = fs::File::create(&aside)?;
    let mut left = size;
    while left > 0 {
        let length = usize::try_from(left).map_or(BLOCK.len(), |left| left.min(BLOCK.len()));
        file.write_all(&BLOCK[..length])?;
        left -= length as u64;
    }
    fs::rename(aside, target)
}

fn made(result: std::io::Result<()>) -> Result<(), Trouble> {
    result.map_err(|error| StageError::Folder(error).into())
}
