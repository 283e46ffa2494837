//! What a source file looks like: it says what it is for, can be read in one sitting, and
//! works on any machine.

use crate::breach::Breach;
use crate::repository::TextFile;

const LONGEST: usize = 500;

/// Folders that only exist on the machine of whoever wrote them down. In halves, since this
/// file is held against the rule too.
const MACHINE_FOLDERS: &[[&str; 2]] = &[
    ["/ro", "ot/"],
    ["/wo", "rk/"],
    ["/ho", "me/"],
    ["/Us", "ers/"],
    ["/tm", "p/"],
];

/// The user inside the container: on every machine the same.
const IN_THE_BOX: &str = "node";

/// A Rust file opens with what it is for.
#[must_use]
pub fn door(file: &TextFile) -> Option<Breach> {
    let says = file
        .text
        .lines()
        .next()
        .and_then(|first| first.strip_prefix("//! "));
    if says.is_some_and(|says| !says.trim().is_empty()) {
        return None;
    }
    Some(Breach::new(
        format_args!("{}:1", file.path),
        "nothing says what the file is for",
        "open it with `//! ` and a sentence",
    ))
}

/// A Rust file has at most 500 lines, its tests included.
#[must_use]
pub fn length(file: &TextFile) -> Option<Breach> {
    let lines = file.text.lines().count();
    (lines > LONGEST).then(|| {
        Breach::new(
            &file.path,
            format!("{lines} lines, and {LONGEST} are the most"),
            "split it by what it says",
        )
    })
}

/// No file names a folder of one machine.
#[must_use]
pub fn machine_paths(file: &TextFile) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (line, text) in (1..).zip(file.text.lines()) {
        for folder in MACHINE_FOLDERS.iter().map(|halves| halves.concat()) {
            if names_folder(text, &folder) {
                breaches.push(Breach::new(
                    format_args!("{}:{line}", file.path),
                    format!("`{folder}…` is a path of one machine"),
                    "start from the root of the checkout, or from a temporary folder asked for",
                ));
            }
        }
    }
    breaches
}

fn names_folder(text: &str, folder: &str) -> bool {
    text.match_indices(folder).any(|(at, found)| {
        // `data/root/` and `<root>/tmp/` are below something else.
        let starts_here =
            !text[..at].ends_with(|c: char| c.is_alphanumeric() || "_.-}>)]".contains(c));
        starts_here && !text[at + found.len()..].starts_with(IN_THE_BOX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breach::lines;

    fn file(text: impl Into<String>) -> TextFile {
        TextFile {
            path: "a.rs".to_owned(),
            text: text.into(),
        }
    }

    #[test]
    fn a_file_says_at_the_door_what_it_is_for() {
        let silent =
            ["a.rs:1: nothing says what the file is for; open it with `//! ` and a sentence"];
        assert_eq!(lines(door(&file("use std::io;\n//! Late."))), silent);
        assert_eq!(lines(door(&file("//! \n"))), silent);
        assert_eq!(lines(door(&file(""))), silent);
        assert_eq!(door(&file("//! Reads clocks.\n")), None);
    }

    #[test]
    fn a_file_of_501_lines_is_too_long() {
        assert_eq!(length(&file("x\n".repeat(500))), None);
        assert_eq!(
            lines(length(&file("x\n".repeat(501)))),
            ["a.rs: 501 lines, and 500 are the most; split it by what it says"]
        );
    }

    #[track_caller]
    fn check_machine_path(text: &str, breaches: usize) {
        let found = machine_paths(&file(text));
        assert_eq!(found.len(), breaches, "{text}: {}", lines(found).join("\n"));
    }

    #[test]
    fn a_path_of_one_machine_is_found_and_a_path_below_ours_is_not() {
        for folder in MACHINE_FOLDERS.iter().map(|halves| halves.concat()) {
            check_machine_path(&format!("let a = \"{folder}x\";"), 1);
            check_machine_path(&format!("{folder}x"), 1);
            check_machine_path(&format!("data{folder}x"), 0);
            check_machine_path(&format!("<root>{folder}x ${{base}}{folder}y"), 0);
        }
        check_machine_path(
            &format!("HOME={}{IN_THE_BOX}/.kimi", MACHINE_FOLDERS[2].concat()),
            0,
        );
    }

    #[test]
    fn a_path_of_one_machine_is_told_with_its_line() {
        let folder = MACHINE_FOLDERS[1].concat();
        let told = lines(machine_paths(&file(format!("fine\nsee {folder}main"))));
        assert!(told[0].starts_with("a.rs:2: "), "{told:?}");
    }
}
