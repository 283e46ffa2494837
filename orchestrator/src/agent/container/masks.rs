//! What the main group's agent must not see of the root folder, although it may read the rest.

use std::io;
use std::path::Path;

use super::plan::Mask;

/// Where keys, tokens and conversations lie: ours, and what a folder that is also somebody's
/// home may hold.
const SECRET: [&str; 16] = [
    "store",
    "data",
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".config",
    ".docker",
    ".kube",
    ".kimi",
    ".kimi-code",
    ".netrc",
    ".npmrc",
    ".pypirc",
    ".git-credentials",
    ".cargo",
];
/// `.env`, and its kin for other occasions.
const ENVIRONMENT: &str = ".env";

/// The entries of the root folder to be masked.
pub(in crate::agent) fn in_root(root: &Path) -> io::Result<Vec<Mask>> {
    let mut masks = Vec::new();
    for entry in fs_err::read_dir(root)? {
        let entry = entry?;
        // A name that is not text is none of these.
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if SECRET.contains(&name.as_str()) || name.starts_with(ENVIRONMENT) {
            // Followed: what is put over a link lands where it leads.
            let is_folder = fs_err::metadata(entry.path())?.is_dir();
            masks.push(Mask { name, is_folder });
        }
    }
    masks.sort();
    Ok(masks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_the_rest_is_not() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["store", "data", "groups", "logs", ".ssh"] {
            fs_err::create_dir(root.path().join(folder)).unwrap();
        }
        for file in [".env", ".env.local", "nanokimi.toml", ".netrc"] {
            fs_err::write(root.path().join(file), "x").unwrap();
        }
        let masks = in_root(root.path()).unwrap();
        let masks: Vec<_> = masks
            .iter()
            .map(|mask| (mask.name.as_str(), mask.is_folder))
            .collect();
        assert_eq!(
            masks,
            [
                (".env", false),
                (".env.local", false),
                (".netrc", false),
                (".ssh", true),
                ("data", true),
                ("store", true),
            ]
        );
    }
}
