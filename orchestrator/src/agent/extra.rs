//! What an agent sees of this machine besides its group's folders: judged for each agent anew.
//! What is refused is told, and the agent works without it.

use std::io;
use std::path::{Path, PathBuf};

use crate::house::House;
use crate::ids::GroupFolder;
use crate::mounts::{AskedMount, Granted, Ground, GroupMount, Judge};
use crate::safe_dir::SafeDir;
use crate::store::{Group, StoreError};

/// What the group is granted of what it asks for.
pub(super) async fn granted(house: &House, group: &Group) -> Result<Vec<Granted>, StoreError> {
    let asked = house.store.mounts(group.folder.clone()).await?;
    let mut granted = Vec::new();
    if asked.is_empty() {
        return Ok(granted);
    }
    let kept = house.store.writable_mounts().await?;
    let judged = judge(house, group.is_main, &asked, &kept).await;
    for (mount, judged) in asked.iter().zip(judged) {
        let (group, name) = (&group.folder, &mount.name);
        match judged {
            Ok(given) => {
                if mount.writable && !given.writable {
                    tracing::info!(%group, mount = %name, "the agent may only read what is mounted: the list does not let it write");
                }
                granted.push(given);
            }
            Err(why) => {
                tracing::warn!(%group, mount = %name, path = %mount.path, "it is not mounted: {why}");
            }
        }
    }
    Ok(granted)
}

/// Of each whether it is granted, or why not.
async fn judge(
    house: &House,
    is_main: bool,
    asked: &[AskedMount],
    kept: &[GroupMount],
) -> Vec<Result<Granted, String>> {
    let judge = match Ground::of(&house.root, &house.config) {
        Ok(ground) => Judge::new(ground, kept).await,
        Err(why) => Err(why),
    };
    match judge {
        Ok(judge) => {
            let judged = judge.judge_all(is_main, asked).await;
            judged
                .into_iter()
                .map(|given| given.map_err(|why| crate::chain(&why)))
                .collect()
        }
        Err(why) => {
            let why = crate::chain(&why);
            asked.iter().map(|_| Err(why.clone())).collect()
        }
    }
}

/// Links for an agent that is a process, and where they lie; none if it is granted nothing. It is
/// not kept from writing where it should only read: the runtime `host` is without isolation.
pub(super) fn link(
    root: &Path,
    group: &GroupFolder,
    granted: &[Granted],
) -> io::Result<Option<PathBuf>> {
    let path = root.join("data/extra").join(group.as_str());
    let folder = match granted {
        [] => SafeDir::open_existing(&path)?,
        [..] => Some(SafeDir::open(&path)?),
    };
    let Some(folder) = folder else {
        return Ok(None);
    };
    for name in folder.names()? {
        folder.remove(&name)?;
    }
    for given in granted {
        folder.make_link(given.name.as_str().as_ref(), given.path.as_os_str())?;
    }
    Ok((!granted.is_empty()).then_some(path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn a_process_finds_links_and_none_of_those_that_were_granted_before() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| fs_err::canonicalize(folder.path()).unwrap().join(name);
        for made in ["root", "photos", "music"] {
            fs_err::create_dir(at(made)).unwrap();
        }
        let list = at("list.json");
        let text = format!(
            "{{\"allowedRoots\": [{{\"path\": \"{}\"}}]}}",
            at("photos").display()
        );
        fs_err::write(&list, text).unwrap();
        fs_err::set_permissions(&list, PermissionsExt::from_mode(0o600)).unwrap();
        let house = House::staged(
            &at("root"),
            &format!("mount_allowlist = \"{}\"\n", list.display()),
        );
        crate::registration::ensure_main(&house).await.unwrap();
        let main = house.store.group_of_folder(GroupFolder::main()).await;
        let main = main.unwrap().unwrap();
        for name in ["photos", "music"] {
            let asked = AskedMount::new(&at(name).display().to_string(), None, true);
            let kept = house.store.keep_mount(main.folder.clone(), asked.unwrap());
            kept.await.unwrap();
        }

        let first = granted(&house, &main).await.unwrap();
        let links = link(&house.root, &main.folder, &first).unwrap().unwrap();
        let found = fs_err::read_dir(&links)
            .unwrap()
            .map(|entry| entry.unwrap());
        let found: Vec<_> = found
            .map(|entry| fs_err::read_link(entry.path()).unwrap())
            .collect();
        assert_eq!(found, [at("photos")], "the other is not on the list");

        fs_err::remove_file(&list).unwrap();
        let none = granted(&house, &main).await.unwrap();
        assert_eq!(link(&house.root, &main.folder, &none).unwrap(), None);
        assert_eq!(fs_err::read_dir(&links).unwrap().count(), 0);
    }
}
