//! The settings of what groups may see of this machine besides their own folders.

use std::path::{Path, PathBuf};

use super::sources::Sources;

/// Where the operator's list lies below their home.
const LIST: &str = ".config/nanokimi/mount-allowlist.json";

/// Whose list it is, and where.
#[derive(Clone, Debug)]
pub(crate) struct MountSettings {
    /// The operator's; `~` in paths.
    pub home: Option<PathBuf>,
    /// None: nobody said where, and there is no home. Then nothing may be mounted.
    pub list: Option<PathBuf>,
}

impl MountSettings {
    pub(super) fn read(
        (root, home): (&Path, Option<&Path>),
        sources: &mut Sources,
    ) -> Option<Self> {
        let list = sources.read_optional("mount_allowlist", "a path", |text| path(root, text));
        Some(Self {
            home: home.map(Path::to_owned),
            list: list?.or_else(|| home.map(|home| home.join(LIST))),
        })
    }
}

/// Relative to the root; that it does not lie there is seen to where it is read.
fn path(root: &Path, text: &str) -> Option<PathBuf> {
    (!text.trim().is_empty()).then(|| root.join(text))
}
