//! The way that a path takes over the disk: every name it leads over, links and what they say.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// As many links as the kernel follows.
const LINKS: u32 = 40;

/// Where a path leads, and over what.
#[derive(Debug)]
pub(super) struct Way {
    /// Each name on it, below what holds it without links. Whoever may write to one of these
    /// holders can have the path lead elsewhere.
    pub(super) steps: Vec<PathBuf>,
    /// Without links.
    pub(super) end: PathBuf,
}

impl Way {
    /// Follows a path to its end, which must be there.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let mut to_go = backwards(&std::path::absolute(path)?);
        let mut end = PathBuf::from("/");
        let (mut steps, mut links) = (Vec::new(), 0);
        while let Some(part) = to_go.pop() {
            if part == "/" {
                end = PathBuf::from("/");
                continue;
            }
            if part == ".." {
                end.pop();
                continue;
            }
            let at = end.join(&part);
            steps.push(at.clone());
            if !fs_err::symlink_metadata(&at)?.is_symlink() {
                end = at;
                continue;
            }
            links += 1;
            if links > LINKS {
                return Err(Errno::LOOP.into());
            }
            to_go.extend(backwards(&fs_err::read_link(&at)?));
        }
        Ok(Self { steps, end })
    }
}

/// What a path is made of, the last of it first.
fn backwards(path: &Path) -> Vec<OsString> {
    let parts = path.components().rev();
    parts
        .map(|part| part.as_os_str().to_owned())
        .filter(|part| part != ".")
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_way_tells_every_name_and_link_up_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let folder = fs_err::canonicalize(folder.path()).unwrap();
        let at = |name: &str| folder.join(name);
        fs_err::create_dir_all(at("a/b")).unwrap();
        fs_err::create_dir(at("c")).unwrap();
        symlink("../c/second", at("a/first")).unwrap();
        symlink(at("a/b"), at("c/second")).unwrap();

        let way = Way::of(&at("a/./first")).unwrap();
        assert_eq!(way.end, at("a/b"));
        for step in ["a", "a/first", "c", "c/second", "a/b"] {
            assert!(way.steps.contains(&at(step)), "{step} in {way:?}");
        }
        symlink("round", at("round")).unwrap();
        assert!(Way::of(&at("round")).is_err());
    }
}
