//! Files that an agent sends: each must lie in its own group's folder, and no link may lead out.

use std::path::{Component, Path};

use crate::house::House;
use crate::ids::GroupFolder;
use crate::safe_dir::SafeDir;
use crate::splitting::split_text;
use crate::store::OutboxMedia;

/// A longer caption is cut off or refused by phones; it leaves as a text of its own.
const LONGEST_CAPTION: usize = 1_000;

/// The file that the agent of this group means, if it may send it.
pub(super) fn of_group(
    house: &House,
    group: &GroupFolder,
    path: String,
) -> Result<OutboxMedia, String> {
    let Some(names) = names_below(&path) else {
        return Err(format!(
            "`{path}` is not a path below the group's folder, such as `chart.png`"
        ));
    };
    match is_there(house, group, &names) {
        Ok(true) => Ok(OutboxMedia {
            group: group.clone(),
            path,
        }),
        Ok(false) => Err(format!("there is no file `{path}` in the group's folder")),
        Err(error) => Err(format!("`{path}` cannot be read: {error}")),
    }
}

/// The first part is the caption, the others are texts.
pub(super) fn captioned(text: &str, longest: Option<usize>) -> Vec<String> {
    if text.chars().count() <= LONGEST_CAPTION {
        return vec![text.to_owned()];
    }
    let mut parts = split_text(text, longest);
    parts.insert(0, String::new());
    parts
}

fn names_below(path: &str) -> Option<Vec<&str>> {
    let names = Path::new(path).components().map(|part| match part {
        Component::Normal(name) => name.to_str(),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => {
            None
        }
    });
    names
        .collect::<Option<Vec<_>>>()
        .filter(|names| !names.is_empty())
}

fn is_there(house: &House, group: &GroupFolder, names: &[&str]) -> std::io::Result<bool> {
    let groups = SafeDir::open(&house.root.join("groups"))?;
    let Some((name, folders)) = names.split_last() else {
        return Ok(false);
    };
    let mut folder = groups.enter_existing(group.as_str())?;
    for name in folders {
        folder = match folder {
            Some(folder) => folder.enter_existing(name)?,
            None => return Ok(false),
        };
    }
    match folder {
        Some(folder) => folder.holds_file(name),
        None => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_below_the_folder() {
        assert_eq!(names_below("a/b.png").unwrap(), ["a", "b.png"]);
        for outside in ["", "/etc/passwd", "../other/x", "a/../../x", "./x"] {
            assert!(names_below(outside).is_none(), "{outside}");
        }
    }

    #[test]
    fn a_caption_too_long_for_a_picture_follows_it() {
        assert_eq!(captioned("A chart.", Some(4_000)), ["A chart."]);
        let long = "word ".repeat(300);
        assert_eq!(captioned(&long, Some(4_000)), ["", long.as_str()]);
    }
}
