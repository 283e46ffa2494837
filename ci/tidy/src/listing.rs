//! What lies in the root and in `ci/`: nothing more and nothing less than is written here.

use crate::breach::Breach;
use crate::repository::Entry;

const ROOT: &[&str] = &[
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "ci",
    "container",
    "deny.toml",
    "fixtures",
    "harness",
    "mock-server",
    "orchestrator",
    "scenarios",
    "scripts",
];

/// The root holds what a newcomer is told about, and nothing else.
#[must_use]
pub fn root_listing(names: &[String]) -> Vec<Breach> {
    let extra = names.iter().filter(|name| !ROOT.contains(&name.as_str()));
    let missing = ROOT
        .iter()
        .filter(|name| !names.iter().any(|here| here == *name));
    let extra = extra.map(|name| {
        Breach::new(
            name,
            "has no place in the root",
            "move it below one of the folders, or name it in ROOT of ci/tidy",
        )
    });
    let missing = missing.map(|name| {
        Breach::new(
            name,
            "is missing from the root",
            "bring it back; git keeps no empty folder",
        )
    });
    extra.chain(missing).collect()
}

/// What lies beside these scripts can be run, and says with what.
#[must_use]
pub fn scripts_run(entries: &[Entry]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for entry in entries {
        if !entry.script {
            breaches.push(Breach::new(
                &entry.path,
                "does not say what runs it",
                "open it with `#!/usr/bin/env bash`",
            ));
        }
        if !entry.executable {
            let way_out = format!("`chmod +x {}`", entry.path);
            breaches.push(Breach::new(&entry.path, "is not executable", way_out));
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breach::lines;

    #[test]
    fn a_stray_name_in_the_root_and_a_missing_one_are_told() {
        let mut names: Vec<String> = ROOT.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(root_listing(&names), []);

        names.retain(|name| name != "fixtures");
        names.push("notes.txt".to_owned());
        assert_eq!(
            lines(root_listing(&names)),
            [
                "notes.txt: has no place in the root; move it below one of the folders, or name it in ROOT of ci/tidy",
                "fixtures: is missing from the root; bring it back; git keeps no empty folder",
            ]
        );
    }

    #[test]
    fn a_script_runs_and_says_with_what() {
        let entry = |script, executable| Entry {
            path: "ci/check".to_owned(),
            executable,
            script,
        };
        assert_eq!(scripts_run(&[entry(true, true)]), []);
        assert_eq!(
            lines(scripts_run(&[entry(true, false)])),
            ["ci/check: is not executable; `chmod +x ci/check`"]
        );
        assert_eq!(
            lines(scripts_run(&[entry(false, true)])),
            ["ci/check: does not say what runs it; open it with `#!/usr/bin/env bash`"]
        );
    }
}
