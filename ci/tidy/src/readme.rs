//! The one overview: short, complete, and about what is really here.

use crate::breach::Breach;
use crate::repository::TextFile;

const LONGEST: usize = 200;

/// What an installation of nanokimi holds. Such paths are not in the checkout.
const INSTALLED: &[&str] = &["data", "groups", "logs", "store"];

/// Built, so it is not in a checkout either.
const BUILT: &str = "target";

/// The overview is read in one sitting.
#[must_use]
pub fn short_enough(readme: &TextFile) -> Option<Breach> {
    let lines = readme.text.lines().count();
    (lines > LONGEST).then(|| {
        let fault = format!("{lines} lines, and {LONGEST} are the most");
        Breach::new(
            &readme.path,
            fault,
            "move facts beside the code that they are about",
        )
    })
}

/// Every package is named.
#[must_use]
pub fn names_packages(readme: &TextFile, packages: &[String]) -> Vec<Breach> {
    let word = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    let named = |name: &String| readme.text.split(|c| !word(c)).any(|word| word == name);
    let silent = packages.iter().filter(|name| !named(name));
    silent
        .map(|name| {
            let fault = format!("does not name the package `{name}`");
            Breach::new(&readme.path, fault, "say in a line what it is for")
        })
        .collect()
}

/// Every path that is named is here: in text between backticks or as the target of a link, and
/// in a block where it begins with one of `folders`, the names in the root.
#[must_use]
pub fn named_paths(
    readme: &TextFile,
    folders: &[String],
    here: impl Fn(&str) -> bool,
) -> Vec<Breach> {
    let below = |path: &str, tops: &[&str]| {
        let top = path.split('/').next().unwrap_or(path);
        tops.contains(&top)
    };
    let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
    let mut breaches = Vec::new();
    let mut block = false;
    for (line, text) in (1..).zip(readme.text.lines()) {
        if text.trim_start().starts_with("```") {
            block = !block;
            continue;
        }
        let named: Vec<&str> = if block {
            let words = text.split_whitespace().map(path_of);
            words.filter(|word| below(word, &folders)).collect()
        } else {
            let quoted = text.split('`').skip(1).step_by(2);
            quoted.chain(link_targets(text)).map(path_of).collect()
        };
        let ours = |path: &&str| is_path(path) && !below(path, INSTALLED) && !below(path, &[BUILT]);
        breaches.extend(
            named
                .into_iter()
                .filter(ours)
                .filter(|path| !here(path))
                .map(|path| {
                    let place = format!("{}:{line}", readme.path);
                    Breach::new(
                        place,
                        format!("`{path}` is not here"),
                        "name what is, or bring it back",
                    )
                }),
        );
    }
    breaches
}

fn link_targets(text: &str) -> impl Iterator<Item = &str> {
    let after = text.split("](").skip(1);
    after.filter_map(|rest| rest.split([')', '#']).next())
}

/// Without the line number after it and the punctuation around it.
fn path_of(word: &str) -> &str {
    let word = word.trim_matches(|c: char| ",;:()".contains(c));
    word.split_once(':').map_or(word, |(path, _line)| path)
}

/// Routes (`/v1/…`), addresses, commands, patterns and placeholders are none.
fn is_path(text: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || "/._-".contains(c);
    text.contains('/') && !text.starts_with('/') && text.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breach::lines;

    fn readme(text: impl Into<String>) -> TextFile {
        TextFile {
            path: "README.md".to_owned(),
            text: text.into(),
        }
    }

    #[test]
    fn an_overview_of_201_lines_is_none() {
        assert_eq!(short_enough(&readme("x\n".repeat(200))), None);
        assert_eq!(
            lines(short_enough(&readme("x\n".repeat(201)))),
            [
                "README.md: 201 lines, and 200 are the most; move facts beside the code that they are about"
            ]
        );
    }

    #[test]
    fn a_package_that_is_not_named_is_told() {
        let packages = ["agent-runner".to_owned(), "agent".to_owned()];
        assert_eq!(
            lines(names_packages(
                &readme("| `agent-runner` | thinks |"),
                &packages
            )),
            ["README.md: does not name the package `agent`; say in a line what it is for"]
        );
    }

    #[track_caller]
    fn check_paths(text: &str, missing: &[&str]) {
        let folders = ["ci".to_owned(), "harness".to_owned()];
        let told = named_paths(&readme(text), &folders, |path| path == "ci/check");
        let expected: Vec<String> = missing
            .iter()
            .map(|missing| {
                format!("README.md:{missing}` is not here; name what is, or bring it back")
            })
            .collect();
        assert_eq!(lines(told), expected, "{text}");
    }

    #[test]
    fn a_path_between_backticks_is_here() {
        check_paths("Run `ci/check`, or `ci/checks`.", &["1: `ci/checks"]);
        check_paths("See `docs/a.md:12` and `ci/check:3`.", &["1: `docs/a.md"]);
        check_paths("x\n\n`harness/src/` plays", &["3: `harness/src/"]);
    }

    #[test]
    fn the_target_of_a_link_is_here() {
        check_paths(
            "See [all](ci/check), [more](ci/more#top), [far](https://a.org/b).",
            &["1: `ci/more"],
        );
    }

    #[test]
    fn a_path_in_a_block_is_here() {
        check_paths(
            "```text\n1 ci/check  all\n2 harness/no.rs, then\n3 a/b\n```\n`ci/no`",
            &["3: `harness/no.rs", "6: `ci/no"],
        );
    }

    #[test]
    fn what_only_looks_like_a_path_is_left_alone() {
        check_paths(
            "`GET /v1/events` `/health` `http://a/b` `groups/a/KIMI.md` `<root>/x` `a/*.yaml` `target/a`",
            &[],
        );
        check_paths("`data/ipc/` and no/code here", &[]);
    }
}
