//! What groups are to see of this machine besides their own folders, as it was asked for.

use rusqlite::{Row, Transaction, params};

use super::rows::parsed;
use super::{Store, StoreError};
use crate::ids::GroupFolder;
use crate::mounts::{AskedMount, GroupMount, MountName};

impl Store {
    /// In the order of their names.
    pub(crate) async fn mounts(&self, group: GroupFolder) -> Result<Vec<AskedMount>, StoreError> {
        self.call(move |tx| {
            let mut rows = tx.prepare_cached(
                "SELECT * FROM group_mounts WHERE group_folder = ?1 ORDER BY name",
            )?;
            let mounts = rows
                .query_map([group.as_str()], mount)?
                .collect::<Result<_, _>>()?;
            Ok(mounts)
        })
        .await
    }

    /// What any group is to write to.
    pub(crate) async fn writable_mounts(&self) -> Result<Vec<GroupMount>, StoreError> {
        self.call(move |tx| {
            let mut rows = tx.prepare_cached(
                "SELECT group_mounts.*, groups.is_main FROM group_mounts
                 JOIN groups ON groups.folder = group_mounts.group_folder
                 WHERE group_mounts.writable = 1
                 ORDER BY group_mounts.group_folder, group_mounts.name",
            )?;
            let mounts = rows
                .query_map([], |row| {
                    Ok(GroupMount {
                        is_main: row.get("is_main")?,
                        asked: mount(row)?,
                    })
                })?
                .collect::<Result<_, _>>()?;
            Ok(mounts)
        })
        .await
    }

    /// Keeps a mount of a registered group, in the place of one that has its name.
    pub(crate) async fn keep_mount(
        &self,
        group: GroupFolder,
        mount: AskedMount,
    ) -> Result<(), StoreError> {
        self.call(move |tx| keep(tx, &group, &mount)).await
    }

    /// Has a registered group see these, and no others.
    pub(crate) async fn set_mounts(
        &self,
        group: GroupFolder,
        mounts: Vec<AskedMount>,
    ) -> Result<(), StoreError> {
        self.call(move |tx| {
            let all = "DELETE FROM group_mounts WHERE group_folder = ?1";
            tx.execute(all, [group.as_str()])?;
            mounts.iter().try_for_each(|mount| keep(tx, &group, mount))
        })
        .await
    }

    /// Forgets a mount; says whether there was one.
    pub(crate) async fn forget_mount(
        &self,
        group: GroupFolder,
        name: MountName,
    ) -> Result<bool, StoreError> {
        self.call(move |tx| {
            let gone = tx.execute(
                "DELETE FROM group_mounts WHERE group_folder = ?1 AND name = ?2",
                params![group.as_str(), name.as_str()],
            )?;
            Ok(gone > 0)
        })
        .await
    }
}

fn keep(tx: &Transaction<'_>, group: &GroupFolder, mount: &AskedMount) -> Result<(), StoreError> {
    tx.execute(
        "INSERT OR REPLACE INTO group_mounts (group_folder, name, host_path, writable)
         VALUES (?1, ?2, ?3, ?4)",
        params![
            group.as_str(),
            mount.name.as_str(),
            mount.path.as_str(),
            mount.writable
        ],
    )?;
    Ok(())
}

fn mount(row: &Row<'_>) -> rusqlite::Result<AskedMount> {
    Ok(AskedMount {
        name: parsed(row, "name")?,
        path: parsed(row, "host_path")?,
        writable: row.get("writable")?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::house;
    use super::*;

    #[tokio::test]
    async fn what_any_group_may_write_to_is_known() {
        let house = house().await;
        let ada: GroupFolder = "ada".parse().unwrap();
        let read = AskedMount::new("/srv/a", None, false).unwrap();
        let write = AskedMount::new("/srv/b", None, true).unwrap();
        for asked in [read, write.clone()] {
            house.store.keep_mount(ada.clone(), asked).await.unwrap();
        }
        let found = house.store.writable_mounts().await.unwrap();
        let expected = GroupMount {
            is_main: false,
            asked: write,
        };
        assert_eq!(found, [expected]);
    }
}
