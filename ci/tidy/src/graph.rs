//! Who depends on whom, and under which licence: the resolved graph, as cargo tells it.

use std::path::Path;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

use crate::breach::Breach;
use crate::policy::Policy;

/// Our packages, and which of ours each may use. An arrow that is not written here does not
/// exist.
const ARROWS: &[(&str, &[&str])] = &[
    ("agent-protocol", &[]),
    ("agent-runner", &["agent-protocol"]),
    ("harness", &["mock-server"]),
    ("mock-server", &[]),
    ("orchestrator", &["agent-protocol"]),
    ("peers", &[]),
    ("tidy", &[]),
];

/// Every package that is built, ours and others'.
#[derive(Clone, Debug)]
pub struct Graph {
    pub packages: Vec<Package>,
}

#[derive(Clone, Debug)]
pub struct Package {
    pub name: String,
    pub version: String,
    /// An expression; none if the package does not say.
    pub licence: Option<String>,
    /// It is a member of the workspace.
    pub ours: bool,
    /// The features it is built with when the whole workspace is built.
    pub features: Vec<String>,
    pub dependencies: Vec<Dependency>,
}

#[derive(Clone, Debug)]
pub struct Dependency {
    pub name: String,
    /// The table of the manifest it stands in, such as `dev-dependencies`.
    pub table: &'static str,
}

/// The graph cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("`cargo metadata` failed")]
pub struct GraphError(#[from] cargo_metadata::Error);

impl Graph {
    /// Asks cargo for the graph of the lock file on our platforms; nothing is changed by that.
    pub fn read(root: &Path, policy: &Policy) -> Result<Self, GraphError> {
        let mut options = vec!["--locked".to_owned()];
        for platform in &policy.platforms {
            options.extend(["--filter-platform".to_owned(), platform.clone()]);
        }
        let metadata = MetadataCommand::new()
            .manifest_path(root.join("Cargo.toml"))
            .other_options(options)
            .exec()?;
        Ok(Self::from(&metadata))
    }

    /// Our packages use each other only along the arrows.
    #[must_use]
    pub fn strays(&self) -> Vec<Breach> {
        let ours = |name: &str| self.ours().any(|package| package.name == name);
        let mut breaches = Vec::new();
        for package in self.ours() {
            let Some((_, arrows)) = ARROWS.iter().find(|(name, _)| *name == package.name) else {
                breaches.push(Breach::new(
                    &package.name,
                    "is a new package without arrows",
                    "say in ARROWS of ci/tidy which of ours it may use",
                ));
                continue;
            };
            let used = package.dependencies.iter().filter(|used| ours(&used.name));
            breaches.extend(
                used.filter(|used| !arrows.contains(&used.name.as_str()))
                    .map(|used| {
                        let fault = format!("must not use `{}` (in {})", used.name, used.table);
                        Breach::new(
                            &package.name,
                            fault,
                            "speak to it over a wire, or move what both need",
                        )
                    }),
            );
        }
        breaches
    }

    /// The names of our packages.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.ours().map(|package| package.name.clone()).collect()
    }

    /// Every package is under a licence that we may pass on.
    #[must_use]
    pub fn unlicensed(&self, policy: &Policy) -> Vec<Breach> {
        let way_out = "take another package, or argue for the licence in deny.toml";
        let mut breaches = Vec::new();
        for package in &self.packages {
            let place = format!("{} {}", package.name, package.version);
            let clarified = policy.clarified(&package.name);
            match clarified.or(package.licence.as_deref()) {
                None => breaches.push(Breach::new(place, "names no licence", way_out)),
                Some(licence) if !policy.allows(&package.name, licence) => {
                    breaches.push(Breach::new(place, format!("is under `{licence}`"), way_out));
                }
                Some(_) => {}
            }
        }
        breaches
    }

    /// No feature that switches a safeguard off is on in what everybody builds.
    #[must_use]
    pub fn dangers(&self) -> Vec<Breach> {
        let way_out = "build what needs it alone, with its own feature and target folder";
        let mut breaches = Vec::new();
        for package in &self.packages {
            let dangers = package.features.iter().filter(|on| on.contains("danger"));
            breaches.extend(dangers.map(|feature| {
                let fault = format!("is built with `{feature}`");
                Breach::new(&package.name, fault, way_out)
            }));
        }
        breaches
    }

    /// No package is one of those we do without.
    #[must_use]
    pub fn banned(&self, policy: &Policy) -> Vec<Breach> {
        let mut breaches = Vec::new();
        for package in &self.packages {
            if let Some(instead) = policy.instead_of(&package.name) {
                let place = format!("{} {}", package.name, package.version);
                let fault = format!(
                    "must not come in, and does through {}",
                    self.users(&package.name)
                );
                breaches.push(Breach::new(place, fault, instead));
            }
        }
        breaches
    }

    fn users(&self, name: &str) -> String {
        let uses = |user: &&Package| user.dependencies.iter().any(|used| used.name == name);
        let users: Vec<String> = self
            .packages
            .iter()
            .filter(uses)
            .map(|user| format!("`{}`", user.name))
            .collect();
        users.join(", ")
    }

    fn ours(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.ours)
    }
}

impl From<&Metadata> for Graph {
    fn from(metadata: &Metadata) -> Self {
        let package = |package: &cargo_metadata::Package| Package {
            name: package.name.to_string(),
            version: package.version.to_string(),
            licence: package.license.clone(),
            ours: metadata.workspace_members.contains(&package.id),
            features: features(metadata, &package.id),
            dependencies: package.dependencies.iter().map(Dependency::from).collect(),
        };
        Self {
            packages: metadata.packages.iter().map(package).collect(),
        }
    }
}

fn features(metadata: &Metadata, id: &PackageId) -> Vec<String> {
    let nodes = metadata.resolve.iter().flat_map(|resolve| &resolve.nodes);
    let mut built = nodes.filter(|node| node.id == *id);
    let features = built.next().map(|node| node.features.iter());
    features
        .into_iter()
        .flatten()
        .map(ToString::to_string)
        .collect()
}

impl From<&cargo_metadata::Dependency> for Dependency {
    fn from(dependency: &cargo_metadata::Dependency) -> Self {
        Self {
            name: dependency.name.clone(),
            table: table(dependency.kind),
        }
    }
}

fn table(kind: DependencyKind) -> &'static str {
    if kind == DependencyKind::Development {
        "dev-dependencies"
    } else if kind == DependencyKind::Build {
        "build-dependencies"
    } else {
        "dependencies"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breach::lines;
    use crate::repository::TextFile;

    fn policy() -> Policy {
        let deny = "[graph]\ntargets = [\"x\"]\n[licenses]\nallow = [\"MIT\"]\n\
            clarify = [{ crate = \"signal@=1\", expression = \"MIT AND AGPL-3.0-only\" },\
            { crate = \"sly\", expression = \"AGPL-3.0-only\" }]\n\
            exceptions = [{ crate = \"signal@=1\", allow = [\"AGPL-3.0-only\"] }]\n\
            [bans]\ndeny = [{ crate = \"openssl-sys\", reason = \"use rustls\" }]";
        let file = TextFile {
            path: "deny.toml".to_owned(),
            text: deny.to_owned(),
        };
        Policy::read(&file).unwrap()
    }

    fn ours(name: &str, uses: &[&str]) -> Package {
        let dependency = |name: &&str| Dependency {
            name: (*name).to_owned(),
            table: "dev-dependencies",
        };
        Package {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            licence: Some("MIT".to_owned()),
            ours: true,
            features: Vec::new(),
            dependencies: uses.iter().map(dependency).collect(),
        }
    }

    fn theirs(name: &str, licence: Option<&str>) -> Package {
        Package {
            licence: licence.map(str::to_owned),
            ours: false,
            ..ours(name, &[])
        }
    }

    #[test]
    fn the_harness_must_not_know_the_orchestrator() {
        let packages = vec![
            ours("orchestrator", &["agent-protocol", "serde"]),
            ours("harness", &["mock-server", "orchestrator"]),
            ours("agent-protocol", &[]),
            ours("mock-server", &[]),
        ];
        assert_eq!(
            lines(Graph { packages }.strays()),
            [
                "harness: must not use `orchestrator` (in dev-dependencies); speak to it over a wire, or move what both need"
            ]
        );
    }

    #[test]
    fn a_new_package_says_what_it_may_use() {
        let packages = vec![ours("kitchen", &[])];
        assert_eq!(
            lines(Graph { packages }.strays()),
            [
                "kitchen: is a new package without arrows; say in ARROWS of ci/tidy which of ours it may use"
            ]
        );
    }

    #[test]
    fn a_licence_that_asks_too_much_or_is_missing_is_told() {
        let packages = vec![
            theirs("a", Some("GPL-3.0-only")),
            theirs("b", None),
            theirs("c", Some("MIT")),
        ];
        let told = lines(Graph { packages }.unlicensed(&policy()));
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(
            told[0].starts_with("a 1.0.0: is under `GPL-3.0-only`; "),
            "{told:?}"
        );
        assert!(
            told[1].starts_with("b 1.0.0: names no licence; "),
            "{told:?}"
        );
    }

    #[test]
    fn what_a_package_is_really_under_counts_and_an_exception_is_for_one_alone() {
        let packages = vec![theirs("signal", Some("MIT")), theirs("sly", Some("MIT"))];
        assert_eq!(
            lines(Graph { packages }.unlicensed(&policy())),
            [
                "sly 1.0.0: is under `AGPL-3.0-only`; take another package, or argue for the licence in deny.toml"
            ]
        );
    }

    #[test]
    fn a_dangerous_feature_is_told() {
        let danger = Package {
            features: vec!["std".to_owned(), "danger-skip-checks".to_owned()],
            ..theirs("noise", Some("MIT"))
        };
        assert_eq!(
            lines(
                Graph {
                    packages: vec![danger]
                }
                .dangers()
            ),
            [
                "noise: is built with `danger-skip-checks`; build what needs it alone, with its own feature and target folder"
            ]
        );
    }

    #[test]
    fn a_banned_package_is_told_with_who_brings_it_in() {
        let packages = vec![
            ours("harness", &["openssl-sys"]),
            theirs("openssl-sys", Some("MIT")),
        ];
        assert_eq!(
            lines(Graph { packages }.banned(&policy())),
            ["openssl-sys 1.0.0: must not come in, and does through `harness`; use rustls"]
        );
    }
}
