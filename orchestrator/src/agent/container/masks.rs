//! What the main group's agent must not see of the root folder, although it may read the rest.

use std::io::{self, ErrorKind};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

use super::boxes::Facts;
use super::plan::Mask;
use crate::config::Config;

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

/// What of the root folder is to be masked: also what settings name, if it lies there. What is
/// mounted below the root folder only a rootless engine shows.
pub(in crate::agent) fn in_root(
    (root, config): (&Path, &Config),
    facts: Facts,
) -> io::Result<Vec<Mask>> {
    let mut places = config.secret_places();
    for entry in fs_err::read_dir(root)? {
        let entry = entry?;
        // A name that is not text is none of these.
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if SECRET.contains(&name.as_str()) || name.starts_with(ENVIRONMENT) {
            places.push(entry.path());
        }
    }
    let root = fs_err::canonicalize(root)?;
    let mut masks = Vec::new();
    for place in places {
        masks.extend(over(&place, &root)?);
    }
    if !facts.is_rootless {
        // There is nothing of them to put emptiness over.
        masks.retain(|mask| is_shown(&root, &root.join(&mask.path)));
    }
    masks.sort();
    // Nothing can be put into what is empty already.
    masks.dedup_by(|next, kept| next.path.starts_with(&kept.path));
    Ok(masks)
}

/// What hides a place; none where an agent sees nothing of it.
fn over(place: &Path, root: &Path) -> io::Result<Option<Mask>> {
    // Followed: what a link leads to is seen under its own name too.
    let real = match fs_err::canonicalize(place) {
        Ok(real) => real,
        Err(error) if shows_nothing(&error) || place.is_symlink() => return Ok(None),
        Err(error) => return Err(error),
    };
    let Ok(below) = real.strip_prefix(root) else {
        return Ok(None);
    };
    if below.as_os_str().is_empty() || below.to_str().is_none() {
        let place = place.display();
        return Err(io::Error::other(format!(
            "`{place}` holds secrets and cannot be hidden from main's agent; move it out of `{}`",
            root.display()
        )));
    }
    Ok(Some(Mask {
        path: below.to_owned(),
        is_folder: real.is_dir(),
    }))
}

/// Whether a place is seen where the root folder is bound without what is mounted below it: what
/// holds the place is part of the same mount. Where the kernel does not say, it is.
fn is_shown(root: &Path, place: &Path) -> bool {
    let mount = |path: &Path| match statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID) {
        Ok(found) if found.stx_mask & StatxFlags::MNT_ID.bits() != 0 => Some(found.stx_mnt_id),
        Ok(_) | Err(_) => None,
    };
    let Some(whole) = mount(root) else {
        return true;
    };
    let holders = place.ancestors().skip(1);
    let mut holders = holders.take_while(|holder| holder.starts_with(root));
    holders.all(|holder| mount(holder).is_none_or(|id| id == whole))
}

/// An agent may read no more than we.
fn shows_nothing(error: &io::Error) -> bool {
    let kind = error.kind();
    kind == ErrorKind::NotFound
        || kind == ErrorKind::NotADirectory
        || kind == ErrorKind::PermissionDenied
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(is_rootless: bool) -> Facts {
        Facts {
            nano_cpus: 1,
            is_rootless,
            remaps_users: false,
        }
    }

    #[test]
    fn what_is_mounted_below_is_shown_by_a_rootless_engine_alone() {
        let shown = |root: &str, place: &str| is_shown(Path::new(root), Path::new(place));
        assert!(shown("/proc", "/proc/version"));
        assert!(!shown("/", "/proc/version"));
        // Where it is mounted there is an empty folder, which can be masked.
        assert!(shown("/", "/proc"));
    }

    /// The masks of a folder with these settings, as `<path>` or `<path>/`.
    fn masked(root: &Path, settings: &str) -> Vec<String> {
        fs_err::write(root.join("nanokimi.toml"), settings).unwrap();
        let config = Config::load(root, &[].into()).unwrap();
        let masks = in_root((root, &config), facts(false)).unwrap();
        let slash = |mask: &Mask| if mask.is_folder { "/" } else { "" };
        masks
            .iter()
            .map(|mask| format!("{}{}", mask.path.display(), slash(mask)))
            .collect()
    }

    #[test]
    fn secrets_are_masked_and_the_rest_is_not() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["store", "data", "groups", "logs", ".ssh"] {
            fs_err::create_dir(root.path().join(folder)).unwrap();
        }
        for file in [".env", ".env.local", ".netrc"] {
            fs_err::write(root.path().join(file), "").unwrap();
        }
        assert_eq!(
            masked(root.path(), ""),
            [".env", ".env.local", ".netrc", ".ssh/", "data/", "store/"]
        );
    }

    #[test]
    fn what_settings_name_is_masked_where_it_lies() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["data/mine", "data-of-old", "keys", "login"] {
            fs_err::create_dir_all(root.path().join(folder)).unwrap();
        }
        for file in ["keys/account.json", "data/mine/person.json"] {
            fs_err::write(root.path().join(file), "{}").unwrap();
        }
        let settings = "google_service_account = \"keys/account.json\"\n\
             google_application_credentials = \"data/mine/person.json\"\n\
             auth_source = \"login\"\n";
        assert_eq!(
            masked(root.path(), settings),
            ["data/", "keys/account.json", "login/"]
        );
        let away = "google_service_account = \"/etc/hostname\"\n\
             google_application_credentials = \"not-there.json\"\n";
        assert_eq!(masked(root.path(), away), ["data/"]);
    }

    #[test]
    fn a_link_is_masked_where_it_leads_and_one_that_leads_nowhere_is_left() {
        let root = tempfile::tempdir().unwrap();
        let link = |to: &str, name: &str| {
            std::os::unix::fs::symlink(to, root.path().join(name)).unwrap();
        };
        fs_err::create_dir(root.path().join("keys")).unwrap();
        fs_err::write(root.path().join("keys/env"), "").unwrap();
        let absolute = root.path().join("keys/env");
        link(absolute.to_str().unwrap(), ".env");
        link("/nowhere/npmrc", ".npmrc");
        link(".netrc", ".netrc");
        link("/etc", ".config");
        assert_eq!(masked(root.path(), ""), ["keys/env"]);
    }

    #[test]
    fn a_root_folder_that_is_itself_a_secret_is_refused() {
        let root = tempfile::tempdir().unwrap();
        fs_err::write(root.path().join("nanokimi.toml"), "auth_source = \".\"\n").unwrap();
        let config = Config::load(root.path(), &[].into()).unwrap();
        let told = in_root((root.path(), &config), facts(false))
            .unwrap_err()
            .to_string();
        assert!(
            told.contains("cannot be hidden from main's agent"),
            "{told}"
        );
    }
}
