//! Which scenario files there are, and what each is called. Looks at names only.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;

/// Files that must not parse; they are no scenarios.
const REFUSED: &str = "refused";

/// A scenario file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// `bootstrap/identity-is-kept`: the path below `scenarios/`, without `.yaml`.
    pub name: String,
    pub path: PathBuf,
}

/// All scenario files below `folder`, in the order of their names.
///
/// # Errors
/// A folder that cannot be read.
pub fn scenarios_in(folder: &Path) -> io::Result<Vec<Listed>> {
    let mut found = Vec::new();
    gather(folder, folder, &mut found)?;
    found.retain(|one| !one.name.split('/').any(|part| part == REFUSED));
    found.sort();
    Ok(found)
}

/// All files below `folder` that must be refused.
///
/// # Errors
/// A folder that cannot be read.
pub fn refused_in(folder: &Path) -> io::Result<Vec<Listed>> {
    let refused = folder.join(REFUSED);
    let mut found = Vec::new();
    if refused.is_dir() {
        gather(folder, &refused, &mut found)?;
    }
    found.sort();
    Ok(found)
}

fn gather(root: &Path, folder: &Path, found: &mut Vec<Listed>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            gather(root, &path, found)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            let name = name_of(root, &path);
            found.push(Listed { name, path });
        }
    }
    Ok(())
}

fn name_of(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).map_or(path, |below| below);
    below.with_extension("").display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_paths_and_refused_files_are_apart() {
        let folder = tempfile::tempdir().unwrap();
        for path in [
            "chat/b.yaml",
            "chat/a.yaml",
            "refused/x.yaml",
            "chat/a@1.snap",
        ] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let names =
            |listed: Vec<Listed>| listed.into_iter().map(|one| one.name).collect::<Vec<_>>();
        assert_eq!(
            names(scenarios_in(folder.path()).unwrap()),
            ["chat/a", "chat/b"]
        );
        assert_eq!(names(refused_in(folder.path()).unwrap()), ["refused/x"]);
    }
}
