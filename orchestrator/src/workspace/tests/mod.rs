//! Machines that share one store, and a store that misbehaves.

mod failing;
mod releasing;
mod restoring;
mod serving;

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path as StorePath;
use tempfile::TempDir;

use super::manners::Manners;
use super::*;
use crate::house::House;
use crate::ids::GroupFolder;
use crate::store::{Group, NewGroup, TriggerRule};
use failing::Store;

fn family() -> GroupFolder {
    "family".parse().unwrap()
}

/// One machine, with a group on it or not.
struct Machine {
    root: TempDir,
    desk: Desk,
}

impl Machine {
    fn empty(store: &Arc<Store>) -> Self {
        Self::with(store, "")
    }

    fn with(store: &Arc<Store>, settings: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(root.path().join("data/sessions")).unwrap();
        let house = House::staged(root.path(), settings);
        let store: Arc<dyn ObjectStore> = store.clone();
        let bucket = Bucket::new(
            store,
            StorePath::from("kimi"),
            "gs://groups/kimi".to_owned(),
            Manners::new(&house.clock),
        );
        Self {
            root,
            desk: Desk::new(house, bucket),
        }
    }

    async fn with_family(store: &Arc<Store>) -> Self {
        let machine = Self::empty(store);
        machine.register("family").await;
        machine
    }

    async fn register(&self, folder: &str) {
        self.register_as(folder, &format!("http:{folder}")).await;
    }

    async fn register_as(&self, folder: &str, chat: &str) {
        let new = NewGroup {
            folder: folder.parse().unwrap(),
            chat: chat.parse().unwrap(),
            name: folder.to_owned(),
            trigger: TriggerRule::Word("hey".to_owned()),
            is_main: false,
        };
        let house = &self.desk.house;
        house
            .store
            .register_group(new, house.clock.now())
            .await
            .unwrap();
        fs_err::create_dir_all(self.root.path().join("groups").join(folder)).unwrap();
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.root.path().join("groups/family").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs_err::read_to_string(self.path(name)).unwrap()
    }

    async fn release(&self) -> Released {
        self.desk.release(&family()).await.unwrap()
    }

    async fn restore(&self) -> Restored {
        self.desk.restore(&family()).await.unwrap().unwrap()
    }

    async fn group(&self) -> Option<Group> {
        let store = &self.desk.house.store;
        store.group_of_folder(family()).await.unwrap()
    }

    async fn told(&self) -> Vec<String> {
        let told = self.desk.house.told().await;
        told.into_iter()
            .filter(|line| line.starts_with("workspace."))
            .collect()
    }
}

fn version(version: u64, uploaded: usize) -> Released {
    Released::Version { version, uploaded }
}
