//! Which images containers are made of: given, or built by `container/build` from cargo's output.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What `container/build` calls them, on its stdout and in the environment.
const NAMES: [&str; 5] = [
    "AGENT_IMAGE",
    "AGENT_KIMI_IMAGE",
    "NANOKIMI_IMAGE",
    "NANOKIMI_PAIRING_IMAGE",
    "MOCK_IMAGE",
];

/// The script that builds them, seen from the workspace.
const BUILD: &str = "container/build";

/// The images cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ImagesError {
    #[error("`{BUILD}` cannot be run")]
    Script(#[source] std::io::Error),
    #[error("`{BUILD}` failed: {0}; what it says stands above")]
    Build(String),
    #[error(
        "no image is called `{0}`: let `{BUILD}` print the names of all, or leave them away to have them built"
    )]
    Missing(&'static str),
}

/// Names of images, as far as they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Images {
    names: BTreeMap<&'static str, String>,
}

impl Images {
    /// Takes what is given in variables of the names that `container/build` prints; `None` if
    /// there is none.
    #[must_use]
    pub fn given(variables: impl IntoIterator<Item = (String, String)>) -> Option<Self> {
        let known = variables.into_iter().filter_map(|(name, value)| {
            let name = NAMES.into_iter().find(|known| *known == name)?;
            Some((name, value))
        });
        let names: BTreeMap<_, _> = known.filter(|(_, value)| !value.is_empty()).collect();
        (!names.is_empty()).then_some(Self { names })
    }

    /// The variables that [`Images::given`] knows.
    #[must_use]
    pub fn variables() -> [&'static str; 5] {
        NAMES
    }

    /// Has them built; what is there already is quick. Two at once wait for each other.
    ///
    /// # Errors
    /// The script fails.
    pub fn build(workspace: &Path, target: &Path, release: bool) -> Result<Self, ImagesError> {
        let script: PathBuf = workspace.join(BUILD);
        let profile = if release { "release" } else { "debug" };
        let output = Command::new(script)
            .arg("--target-dir")
            .arg(target)
            .args(["--profile", profile])
            .current_dir(workspace)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(ImagesError::Script)?;
        if !output.status.success() {
            return Err(ImagesError::Build(output.status.to_string()));
        }
        let images = Self::read(&String::from_utf8_lossy(&output.stdout));
        images.ok_or_else(|| ImagesError::Build("it named no image".to_owned()))
    }

    /// The lines `NAME=image`.
    fn read(text: &str) -> Option<Self> {
        let lines = text.lines().filter_map(|line| line.split_once('='));
        Self::given(lines.map(|(name, image)| (name.to_owned(), image.trim().to_owned())))
    }

    fn named(&self, name: &'static str) -> Result<&str, ImagesError> {
        let image = self.names.get(name).map(String::as_str);
        image.ok_or(ImagesError::Missing(name))
    }

    /// That of agents; of the real Kimi CLI where they are that.
    pub(crate) fn agent(&self, kimi: bool) -> Result<&str, ImagesError> {
        self.named(if kimi { NAMES[1] } else { NAMES[0] })
    }

    /// That of nanokimi; of the build for a first pairing where it is that.
    pub(crate) fn nanokimi(&self, pairing: bool) -> Result<&str, ImagesError> {
        self.named(if pairing { NAMES[3] } else { NAMES[2] })
    }

    pub(crate) fn mock(&self) -> Result<&str, ImagesError> {
        self.named(NAMES[4])
    }

    /// Whether there is one with the Kimi CLI in it.
    #[must_use]
    pub fn has_kimi(&self) -> bool {
        self.agent(true).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_the_script_prints_them() {
        let images = Images::read("AGENT_IMAGE=nanokimi-agent:0a\nMOCK_IMAGE=nanokimi-mock:1b\n");
        let images = images.unwrap();
        assert_eq!(images.agent(false).unwrap(), "nanokimi-agent:0a");
        assert_eq!(images.mock().unwrap(), "nanokimi-mock:1b");
        assert!(!images.has_kimi());
        let missing = images.nanokimi(false).unwrap_err().to_string();
        assert!(missing.contains("NANOKIMI_IMAGE"), "{missing}");
    }

    #[test]
    fn an_empty_variable_is_none() {
        assert_eq!(Images::given([("AGENT_IMAGE".into(), String::new())]), None);
    }
}
