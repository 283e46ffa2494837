//! Script files: one file, or all of a folder.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::llm::Script;
use crate::yaml::{self, Mistakes};

/// A script that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ScriptFileError {
    #[error("{0}")]
    Mistakes(Mistakes),
    #[error("{}: not a script; scripts are .yaml, .yml or .json", path.display())]
    NotAScript { path: PathBuf },
    #[error("cannot read the scripts")]
    Unreadable(#[from] io::Error),
}

/// Reads a file, or the files of a folder and of the folders in it, in the order of
/// their names. Turns without an id are named after their file.
///
/// # Errors
/// A file that cannot be read, or holds no script.
pub fn read_scripts(path: &Path) -> Result<Vec<Script>, ScriptFileError> {
    if fs::metadata(path)?.is_dir() {
        let mut files = Vec::new();
        collect(path, &mut files)?;
        return files.iter().map(|file| read(file)).collect();
    }
    if !is_script(path) {
        return Err(ScriptFileError::NotAScript {
            path: path.to_owned(),
        });
    }
    read(path).map(|script| vec![script])
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut paths = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    for path in paths {
        if fs::metadata(&path)?.is_dir() {
            collect(&path, files)?;
        } else if is_script(&path) {
            files.push(path);
        }
    }
    Ok(())
}

fn is_script(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| ["yaml", "yml", "json"].contains(&extension))
}

fn read(path: &Path) -> Result<Script, ScriptFileError> {
    let text = fs::read_to_string(path)?;
    let script: Script =
        yaml::read(&path.to_string_lossy(), &text).map_err(ScriptFileError::Mistakes)?;
    let stem = path.file_stem().unwrap_or(path.as_os_str());
    Ok(script.named(&stem.to_string_lossy()))
}
