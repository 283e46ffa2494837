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
        return files
            .iter()
            .map(|file| read(file, &name_in(path, file)))
            .collect();
    }
    if !is_script(path) {
        return Err(ScriptFileError::NotAScript {
            path: path.to_owned(),
        });
    }
    let name = path.file_stem().unwrap_or(path.as_os_str());
    read(path, Path::new(name)).map(|script| vec![script])
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

/// `chat` for `scripts/chat.yaml`, and `family/chat` for `scripts/family/chat.yaml`.
fn name_in(folder: &Path, file: &Path) -> PathBuf {
    file.strip_prefix(folder).unwrap_or(file).with_extension("")
}

fn read(file: &Path, name: &Path) -> Result<Script, ScriptFileError> {
    let text = fs::read_to_string(file)?;
    let script = yaml::read::<Script>(&file.to_string_lossy(), &text);
    let script = script.map_err(ScriptFileError::Mistakes)?;
    Ok(script.named(&name.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_in_the_order_of_its_names_and_turns_are_named_after_files() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("family")).unwrap();
        for file in ["zoo.yml", "family/chat.yaml", "chat.json"] {
            fs::write(folder.path().join(file), "[]").unwrap();
        }
        fs::write(folder.path().join("README.md"), "not a script").unwrap();

        let scripts = read_scripts(folder.path()).unwrap();
        let names: Vec<_> = scripts
            .iter()
            .filter_map(|script| script.name.as_deref())
            .collect();
        assert_eq!(names, ["chat", "family/chat", "zoo"]);
        let refused = read_scripts(&folder.path().join("README.md"))
            .unwrap_err()
            .to_string();
        assert!(
            refused.ends_with("README.md: not a script; scripts are .yaml, .yml or .json"),
            "{refused}"
        );
    }
}
