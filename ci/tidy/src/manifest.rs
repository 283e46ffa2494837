//! What the manifests say: each dependency is argued, used, and each package takes the lints.

use toml::Table;
use toml::de::Error;

use crate::breach::Breach;
use crate::repository::TextFile;

/// Each dependency in the root's list has its reason on its line, or in a comment of its own
/// right above. Packages of ours need none.
#[must_use]
pub fn argued(root: &TextFile) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut listed = false;
    let mut commented = false;
    // A comment after a blank line is a heading, and argues for nothing.
    let mut heading = false;
    for (line, text) in (1..).zip(root.text.lines()) {
        let text = text.trim();
        if text.starts_with('[') {
            listed = text == "[workspace.dependencies]";
        } else if text.is_empty() {
            heading = true;
            commented = false;
        } else if text.starts_with('#') {
            commented = !heading;
        } else if let Some((name, value)) = text.split_once('=').filter(|_| listed) {
            if !commented && !value.contains("path =") && !has_reason(value) {
                breaches.push(Breach::new(
                    format_args!("{}:{line}", root.path),
                    format!("nothing says why `{}` is here", name.trim()),
                    "give the reason in a few words after ` # `",
                ));
            }
            heading = false;
            commented = false;
        }
    }
    breaches
}

/// A comment follows the value; a `#` inside a string is none.
fn has_reason(value: &str) -> bool {
    let mut quoted = false;
    let hash = value.find(|c: char| {
        quoted ^= c == '"';
        c == '#' && !quoted
    });
    hash.is_some_and(|at| !value[at + 1..].trim().is_empty())
}

/// A package takes the lints of the workspace.
pub fn lints_inherited(package: &TextFile) -> Result<Option<Breach>, Error> {
    let manifest: Table = package.text.parse()?;
    let inherits = manifest
        .get("lints")
        .and_then(|lints| lints.get("workspace"))
        .and_then(toml::Value::as_bool);
    Ok((inherits != Some(true)).then(|| {
        Breach::new(
            &package.path,
            "the package does not take the lints of the workspace",
            "add `[lints]` with `workspace = true`",
        )
    }))
}

/// Each dependency in the root's list is used by a package, and each package takes its
/// dependencies from that list.
pub fn used(root: &TextFile, packages: &[TextFile]) -> Result<Vec<Breach>, Error> {
    let manifest: Table = root.text.parse()?;
    let listed = manifest
        .get("workspace")
        .and_then(|workspace| workspace.get("dependencies"))
        .and_then(toml::Value::as_table);
    let mut unused: Vec<&str> = listed
        .into_iter()
        .flat_map(Table::keys)
        .map(String::as_str)
        .collect();
    let mut breaches = Vec::new();
    for package in packages {
        let manifest: Table = package.text.parse()?;
        for (name, value) in dependencies(&manifest) {
            unused.retain(|listed| *listed != name);
            if value.get("workspace").is_none() {
                breaches.push(Breach::new(
                    &package.path,
                    format!("`{name}` has a version of its own"),
                    "put it into the list of the root and write `workspace = true` here",
                ));
            }
        }
    }
    breaches.extend(unused.into_iter().map(|name| {
        Breach::new(
            &root.path,
            format!("no package uses `{name}`"),
            "take it off the list",
        )
    }));
    Ok(breaches)
}

fn dependencies(manifest: &Table) -> impl Iterator<Item = (&String, &toml::Value)> {
    ["dependencies", "dev-dependencies", "build-dependencies"]
        .into_iter()
        .filter_map(|kind| manifest.get(kind)?.as_table())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breach::lines;
    use crate::repository::file;

    #[track_caller]
    fn check_argued(list: &str, breaches: &[&str]) {
        let text = format!("[workspace.dependencies]\n{list}\n[profile.dev]\ndebug = 1\n");
        assert_eq!(
            lines(argued(&file("Cargo.toml", &text))),
            breaches,
            "{list}"
        );
    }

    #[test]
    fn each_dependency_gives_its_reason() {
        check_argued("a = \"1\" # reads clocks", &[]);
        check_argued(
            "a = { version = \"1\", features = [\"x\"] } # reads clocks",
            &[],
        );
        check_argued("b = \"1\" # x\n# For its clocks.\na = \"1\"", &[]);
        check_argued("a = { path = \"a\" }", &[]);
        check_argued("a = \"1\" # \"did you mean\"", &[]);

        let silent = "nothing says why `a` is here; give the reason in a few words after ` # `";
        check_argued("a = \"1\"", &[&format!("Cargo.toml:2: {silent}")]);
        check_argued("a = \"1\" #", &[&format!("Cargo.toml:2: {silent}")]);
        check_argued("a = \"1 # 2\"", &[&format!("Cargo.toml:2: {silent}")]);
        check_argued(
            "\n# A heading.\na = \"1\"",
            &[&format!("Cargo.toml:4: {silent}")],
        );
        check_argued(
            "# Of b.\nb = \"1\"\na = \"1\"",
            &[&format!("Cargo.toml:4: {silent}")],
        );
    }

    #[test]
    fn a_package_without_the_lints_is_told() {
        let told = |text: &str| lines(lints_inherited(&file("a/Cargo.toml", text)).unwrap());
        assert!(told("[lints]\nworkspace = true").is_empty());
        let expected = [
            "a/Cargo.toml: the package does not take the lints of the workspace; add `[lints]` with `workspace = true`",
        ];
        assert_eq!(told("[package]\nname = \"a\""), expected);
        assert_eq!(told("[lints]\nworkspace = false"), expected);
    }

    #[test]
    fn a_dependency_is_listed_once_and_used() {
        let root = file(
            "Cargo.toml",
            "[workspace.dependencies]\na = \"1\"\nb = \"1\"\nc = \"1\"",
        );
        let package = file(
            "p/Cargo.toml",
            "[dependencies]\na.workspace = true\nd = \"2\"\n[dev-dependencies]\nb = { workspace = true }",
        );
        assert_eq!(
            lines(used(&root, &[package]).unwrap()),
            [
                "p/Cargo.toml: `d` has a version of its own; put it into the list of the root and write `workspace = true` here",
                "Cargo.toml: no package uses `c`; take it off the list",
            ]
        );
    }
}
