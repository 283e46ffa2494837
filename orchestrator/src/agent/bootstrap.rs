//! Who the assistant is in a group, as long as nobody has told it.
//!
//! A group without both `IDENTITY.md` and `SOUL.md` is in bootstrap: `BOOTSTRAP.md` stands in
//! its folder and leads the system prompt. With both there it is removed, and since it is only
//! ever written where one of them is missing, it does not come back.

use std::io::{self, Write};

use crate::safe_dir::SafeDir;

const TEMPLATE: &str = "\
# First words

You have no identity yet in this group. Before anything else, find out who you are here.

1. Greet the people, and ask what they would like to call you and what you are here to do.
2. When you know, write two files in your working folder:
   - `IDENTITY.md`: your name, your role, how people address you.
   - `SOUL.md`: your character: tone, values, what you would never do.
3. Say that you are ready.

This file disappears by itself once both exist.
";

/// Puts `BOOTSTRAP.md` in its place, or away.
pub(super) fn settle(group: &SafeDir) -> io::Result<()> {
    if group.holds_file("IDENTITY.md")? && group.holds_file("SOUL.md")? {
        return group.remove("BOOTSTRAP.md".as_ref());
    }
    if group.holds_file("BOOTSTRAP.md")? {
        return Ok(());
    }
    group.remove("BOOTSTRAP.md".as_ref())?;
    group
        .create_new("BOOTSTRAP.md")?
        .write_all(TEMPLATE.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stands_until_both_files_exist_and_does_not_return() {
        let root = tempfile::tempdir().unwrap();
        let group = SafeDir::open(root.path()).unwrap();
        let stands = || root.path().join("BOOTSTRAP.md").exists();

        settle(&group).unwrap();
        assert!(stands());
        fs_err::write(root.path().join("IDENTITY.md"), "Kai").unwrap();
        settle(&group).unwrap();
        assert!(stands(), "one file is not both");
        fs_err::write(root.path().join("SOUL.md"), "kind").unwrap();
        settle(&group).unwrap();
        assert!(!stands());
        settle(&group).unwrap();
        assert!(!stands());
    }

    #[test]
    fn a_folder_of_its_name_is_in_nobodys_way() {
        let root = tempfile::tempdir().unwrap();
        let group = SafeDir::open(root.path()).unwrap();
        fs_err::create_dir(root.path().join("BOOTSTRAP.md")).unwrap();
        settle(&group).unwrap();
        assert!(root.path().join("BOOTSTRAP.md").is_file());

        for name in ["IDENTITY.md", "SOUL.md"] {
            fs_err::write(root.path().join(name), "Kai").unwrap();
        }
        fs_err::remove_file(root.path().join("BOOTSTRAP.md")).unwrap();
        fs_err::create_dir(root.path().join("BOOTSTRAP.md")).unwrap();
        settle(&group).unwrap();
        assert!(!root.path().join("BOOTSTRAP.md").exists());
    }
}
