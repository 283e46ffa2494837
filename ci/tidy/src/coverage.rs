//! The table of what went wrong elsewhere: it may not speak of what is not here.

use std::collections::BTreeMap;

use crate::breach::Breach;
use crate::repository::TextFile;

/// One row: its number in its group, and what its last column says.
struct Row<'a> {
    group: &'a str,
    number: u32,
    shown: &'a str,
}

/// A link: what it is called, and the path from the root that it leads to.
struct Link<'a> {
    name: &'a str,
    path: String,
}

/// Every row has a number of its own, without gaps within its group, and says where it is shown,
/// why not, or that it is open; every scenario and test that is named is here.
#[must_use]
pub fn coverage(table: &TextFile, files: &[TextFile]) -> Vec<Breach> {
    let texts: BTreeMap<&str, &str> = files
        .iter()
        .map(|file| (file.path.as_str(), file.text.as_str()))
        .collect();
    let folder = table.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut breaches = Vec::new();
    let mut last: BTreeMap<&str, u32> = BTreeMap::new();
    for (line, text) in (1..).zip(table.text.lines()) {
        let mut tell = |fault: String, way_out: &str| {
            breaches.push(Breach::new(
                format!("{}:{line}", table.path),
                fault,
                way_out,
            ));
        };
        for link in links(text, folder) {
            if let Some(fault) = fault_of(&link, &texts) {
                tell(fault, "name what shows it now, or say `open:`");
            }
        }
        let row = match read_row(text) {
            Some(Ok(row)) => row,
            Some(Err(fault)) => {
                tell(
                    fault,
                    "write `| M1 a name | what went wrong | where it is shown |`",
                );
                continue;
            }
            None => continue,
        };
        let number = last.entry(row.group).or_default();
        *number += 1;
        if row.number != *number {
            let fault = format!(
                "`{0}{1}` stands where `{0}{number}` belongs",
                row.group, row.number
            );
            *number = row.number;
            tell(fault, "number the rows of a group from 1, each once");
        }
        if !is_answered(&row, folder) {
            tell(
                format!(
                    "`{}{}` says nothing of where it is shown",
                    row.group, row.number
                ),
                "name a scenario or a test, or say `not here:` and why, or `open:` and what is missing",
            );
        }
    }
    if last.is_empty() {
        breaches.push(Breach::new(&table.path, "has no rows", "bring them back"));
    }
    breaches
}

/// The rows of a table other than its head; none for any other line.
fn read_row(text: &str) -> Option<Result<Row<'_>, String>> {
    let cells = text.strip_prefix('|')?.strip_suffix('|');
    let cells: Vec<&str> = cells?.split('|').map(str::trim).collect();
    let first = cells.first().copied().unwrap_or_default();
    if first.is_empty() || first.starts_with("--") {
        return None;
    }
    let (id, name) = first.split_once(' ').unwrap_or((first, ""));
    let (group, number) = id.split_at(id.find(|c: char| c.is_ascii_digit()).unwrap_or(id.len()));
    let whole = cells.len() == 3 && !name.is_empty() && !cells[1].is_empty();
    let upper = !group.is_empty() && group.chars().all(|c| c.is_ascii_uppercase());
    Some(match number.parse() {
        Ok(number) if whole && upper => Ok(Row {
            group,
            number,
            shown: cells[2],
        }),
        Ok(_) | Err(_) => Err(format!("`{first}` begins no whole row")),
    })
}

/// `not here:` and `open:` want words behind them.
fn is_answered(row: &Row<'_>, folder: &str) -> bool {
    let said = |word: &str| {
        let said = row.shown.split_once(word);
        said.is_some_and(|(_, words)| !words.trim().is_empty())
    };
    links(row.shown, folder).next().is_some() || said("not here:") || said("open:")
}

fn links<'a>(text: &'a str, folder: &'a str) -> impl Iterator<Item = Link<'a>> {
    let starts = text.match_indices('[').map(|(at, _)| &text[at + 1..]);
    starts.filter_map(move |rest| {
        let (name, rest) = rest.split_once("](")?;
        let (path, _) = rest.split_once(')')?;
        Some(Link {
            name,
            path: from_root(folder, path),
        })
    })
}

fn from_root(folder: &str, path: &str) -> String {
    match path.strip_prefix("../") {
        Some(above) => above.to_owned(),
        None => format!("{folder}/{path}"),
    }
}

/// A scenario is called by its name, a test by its function between backticks.
fn fault_of(link: &Link<'_>, texts: &BTreeMap<&str, &str>) -> Option<String> {
    let Some(text) = texts.get(link.path.as_str()) else {
        return Some(format!("`{}` is not here", link.path));
    };
    let test = link
        .name
        .strip_prefix('`')
        .and_then(|name| name.strip_suffix('`'));
    let named = match test {
        Some(test) => link.path.ends_with(".rs") && is_test(text, test),
        None => link.path.ends_with(&format!("/{}.yaml", link.name)),
    };
    (!named).then(|| {
        let name = link.name.trim_matches('`');
        format!(
            "`{}` is no test or scenario of that name: `{name}`",
            link.path
        )
    })
}

/// Whether a function of this name has a test's attribute above it.
fn is_test(text: &str, name: &str) -> bool {
    let head = format!("fn {name}(");
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let at = lines
        .iter()
        .position(|line| line.trim_start_matches("async ").starts_with(&head));
    at.is_some_and(|at| {
        let above = lines[..at].iter().rev();
        let mut attributes = above.take_while(|line| !line.is_empty() && !line.ends_with('}'));
        attributes.any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breach::lines;
    use crate::repository::file;

    #[track_caller]
    fn check(rows: &[&str], expected: &[&str]) {
        let mut text = "# Title\n\n| | wrong | shown |\n|---|---|---|\n".to_owned();
        text.extend(rows.iter().map(|row| format!("{row}\n")));
        let files = [
            file("scenarios/chat/a.yaml", "story: A."),
            file(
                "src/x.rs",
                "#[test]\nfn works() {}\n\n#[tokio::test(start_paused)]\nasync fn waits() {}\n\nfn helps() {}\n",
            ),
        ];
        let told = lines(coverage(&file("scenarios/C.md", &text), &files));
        let faults: Vec<&str> = told
            .iter()
            .map(|line| line.split(';').next().unwrap())
            .collect();
        assert_eq!(faults, expected, "{rows:?}");
    }

    #[test]
    fn a_row_is_shown_or_says_why_not() {
        check(
            &[
                "| M1 one | x | [a](chat/a.yaml) · [`works`](../src/x.rs) |",
                "| M2 two | x | not here: it has none |",
                "| M3 three | x | [`waits`](../src/x.rs) · open: the rest |",
                "| Q1 four | x | open: all |",
            ],
            &[],
        );
        check(
            &["| M1 one | x | |"],
            &["scenarios/C.md:5: `M1` says nothing of where it is shown"],
        );
        check(
            &["| M1 one | x | not here: |"],
            &["scenarios/C.md:5: `M1` says nothing of where it is shown"],
        );
        check(
            &["| M1 one | x | surely |"],
            &["scenarios/C.md:5: `M1` says nothing of where it is shown"],
        );
    }

    #[test]
    fn what_is_named_is_here() {
        check(
            &["| M1 one | x | [b](chat/b.yaml) |"],
            &["scenarios/C.md:5: `scenarios/chat/b.yaml` is not here"],
        );
        check(
            &["| M1 one | x | [b](chat/a.yaml) |"],
            &["scenarios/C.md:5: `scenarios/chat/a.yaml` is no test or scenario of that name: `b`"],
        );
        for name in ["fails", "helps", "work"] {
            let row = format!("| M1 one | x | [`{name}`](../src/x.rs) |");
            let fault = format!(
                "scenarios/C.md:5: `src/x.rs` is no test or scenario of that name: `{name}`"
            );
            check(&[&row], &[&fault]);
        }
    }

    #[test]
    fn numbers_are_there_once_and_without_gaps() {
        check(
            &["| M1 one | x | open: y |", "| M1 two | x | open: y |"],
            &["scenarios/C.md:6: `M1` stands where `M2` belongs"],
        );
        check(
            &["| M1 one | x | open: y |", "| M3 two | x | open: y |"],
            &["scenarios/C.md:6: `M3` stands where `M2` belongs"],
        );
        check(
            &["| M one | x | open: y |"],
            &[
                "scenarios/C.md:5: `M one` begins no whole row",
                "scenarios/C.md: has no rows",
            ],
        );
        check(
            &["| M1 | x | open: y |"],
            &[
                "scenarios/C.md:5: `M1` begins no whole row",
                "scenarios/C.md: has no rows",
            ],
        );
        check(
            &["| M1 one | open: y |"],
            &[
                "scenarios/C.md:5: `M1 one` begins no whole row",
                "scenarios/C.md: has no rows",
            ],
        );
    }
}
