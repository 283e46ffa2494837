//! What can be seen of a scenario file without reading it as one: the harness does that.

use std::collections::BTreeMap;

use crate::breach::Breach;
use crate::repository::TextFile;

/// Scenarios that must not parse; some of them for want of a story.
const REFUSED: &str = "scenarios/refused/";

/// Each scenario begins with its story, and ends in `.yaml`, or it would never be played.
#[must_use]
pub fn stories(files: &[TextFile]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for file in files {
        if file.path.ends_with(".yml") {
            let fault = "ends in `.yml`, so that nothing plays it";
            breaches.push(Breach::new(&file.path, fault, "call it `.yaml`"));
        } else if is_scenario(file) && story(file).is_none() {
            let way_out =
                "add `story:` with one sentence: what a person would notice if this broke";
            breaches.push(Breach::new(&file.path, "has no story", way_out));
        }
    }
    breaches
}

/// A scenario that is not played on every form of the stage says why, in the line above.
#[must_use]
pub fn exclusions(files: &[TextFile]) -> Vec<Breach> {
    let scenarios = files.iter().filter(|file| is_scenario(file));
    let unexplained = scenarios.filter(|file| {
        let lines: Vec<&str> = file.text.lines().collect();
        let mut pairs = lines.windows(2);
        let explained = |line: &str| line.starts_with("# ") && !line.contains("$schema");
        let first = lines
            .first()
            .is_some_and(|line| line.starts_with("stages:"));
        first || pairs.any(|pair| pair[1].starts_with("stages:") && !explained(pair[0]))
    });
    unexplained
        .map(|file| {
            let way_out = "say in a comment in the line above `stages:` why not on the others";
            Breach::new(&file.path, "is not played on every stage", way_out)
        })
        .collect()
}

/// No two scenarios have one name, for tests and snapshots go by it, or tell one story.
#[must_use]
pub fn unique(files: &[TextFile]) -> Vec<Breach> {
    let scenarios = || files.iter().filter(|file| is_scenario(file));
    let names = scenarios().map(|file| (name(file), file.path.as_str()));
    let stories =
        scenarios().filter_map(|file| Some((story(file)?.to_owned(), file.path.as_str())));
    let mut breaches = twice(names, "the name");
    breaches.extend(twice(stories, "the story"));
    breaches
}

fn twice<'a>(keys: impl Iterator<Item = (String, &'a str)>, what: &str) -> Vec<Breach> {
    let mut first: BTreeMap<String, &str> = BTreeMap::new();
    let mut breaches = Vec::new();
    for (key, path) in keys {
        match first.get(&key) {
            Some(other) => {
                let fault = format!("has {what} of {other}");
                breaches.push(Breach::new(
                    path,
                    fault,
                    "say what is different, or drop one of them",
                ));
            }
            None => {
                first.insert(key, path);
            }
        }
    }
    breaches
}

fn is_scenario(file: &TextFile) -> bool {
    file.path.ends_with(".yaml") && !file.path.starts_with(REFUSED)
}

/// Some file systems do not tell `A` from `a`.
fn name(file: &TextFile) -> String {
    file.path.trim_end_matches(".yaml").to_lowercase()
}

/// The text of the first line `story: …`, or of the line below where it is folded.
fn story(file: &TextFile) -> Option<&str> {
    let mut lines = file.text.lines();
    let said = lines.find_map(|line| line.strip_prefix("story:"))?.trim();
    let said = match said {
        ">" | ">-" | "|" | "|-" => lines.next()?.trim(),
        said => said,
    };
    let said = said.trim_matches(['"', '\'']).trim();
    Some(said).filter(|said| !said.is_empty() && !said.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breach::lines;
    use crate::repository::file;

    #[track_caller]
    fn check_story(text: &str, has: bool) {
        let told = lines(stories(&[file("scenarios/a.yaml", text)]));
        assert_eq!(told.is_empty(), has, "{text:?}: {told:?}");
    }

    #[test]
    fn a_scenario_without_a_story_is_told() {
        check_story("story: A mention is answered.\nsteps: []\n", true);
        check_story("# Long ago\nstory: \"A mention is answered.\"\n", true);
        check_story("story: >\n  A mention is answered.\n", true);
        check_story("story: >\n\nsteps: []\n", false);
        check_story("story:\nsteps: []\n", false);
        check_story("story: \"\"\n", false);
        check_story("steps:\n  story: no\n", false);
    }

    #[test]
    fn a_scenario_that_nothing_plays_is_told_and_a_refused_one_may_be_anything() {
        let files = [
            file("scenarios/a.yml", "story: Told."),
            file("scenarios/refused/b.yaml", "nonsense"),
            file("scenarios/notes.md", ""),
        ];
        assert_eq!(
            lines(stories(&files)),
            ["scenarios/a.yml: ends in `.yml`, so that nothing plays it; call it `.yaml`"]
        );
    }

    #[track_caller]
    fn check_exclusion(text: &str, explained: bool) {
        let told = lines(exclusions(&[file("scenarios/a.yaml", text)]));
        assert_eq!(told.is_empty(), explained, "{text:?}: {told:?}");
    }

    #[test]
    fn a_scenario_that_is_left_out_somewhere_without_a_reason_is_told() {
        check_exclusion(
            "story: A.\n# It kills a process.\nstages: [process]\n",
            true,
        );
        check_exclusion("story: A.\nsteps: []\n", true);
        check_exclusion("story: A.\nstages: [process]\n", false);
        check_exclusion("stages: [process]\n", false);
        check_exclusion(
            "# yaml-language-server: $schema=x\nstages: [process]\n",
            false,
        );
    }

    #[test]
    fn two_scenarios_of_one_name_or_story_are_told() {
        let files = [
            file("scenarios/a.yaml", "story: One."),
            file("scenarios/A.yaml", "story: Two."),
            file("scenarios/b.yaml", "story: \"One.\""),
            file("scenarios/refused/c.yaml", "story: One."),
        ];
        assert_eq!(
            lines(unique(&files)),
            [
                "scenarios/A.yaml: has the name of scenarios/a.yaml; say what is different, or drop one of them",
                "scenarios/b.yaml: has the story of scenarios/a.yaml; say what is different, or drop one of them",
            ]
        );
    }
}
