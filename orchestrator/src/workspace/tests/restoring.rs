//! What an empty machine becomes.

use std::os::unix::fs::{PermissionsExt, symlink};

use object_store::ObjectStoreExt;

use super::tickets::STAGED;
use super::*;
use crate::ids::SessionId;

async fn released() -> (Arc<Store>, Machine) {
    let store = Store::new();
    let machine = Machine::with_family(&store).await;
    machine.write("KIMI.md", "the cat is Miso");
    machine.release().await;
    store.asked();
    (store, machine)
}

#[tokio::test]
async fn an_empty_machine_has_the_files_that_the_other_had() {
    let store = Store::new();
    let machine = Machine::with_family(&store).await;
    machine.write("run.sh", "#!/bin/sh");
    machine.write("same", "#!/bin/sh");
    machine.write("sp ace/Zo\u{eb}\n", "odd");
    machine.write("empty", "");
    fs_err::create_dir_all(machine.path("bare/folder")).unwrap();
    symlink("../run.sh", machine.path("bare/link")).unwrap();
    let executable = PermissionsExt::from_mode(0o755);
    fs_err::set_permissions(machine.path("run.sh"), executable).unwrap();
    let context = "data/sessions/family/.kimi/s/context.jsonl";
    let home = machine.root.path().join(context);
    fs_err::create_dir_all(home.parent().unwrap()).unwrap();
    fs_err::write(home, "{}").unwrap();
    machine.release().await;

    let other = Machine::empty(&store);
    other.restore().await;

    let mode = |name: &str| {
        let found = fs_err::metadata(other.path(name)).unwrap();
        found.permissions().mode() & 0o777
    };
    assert_eq!((mode("run.sh"), mode("same")), (0o755, 0o644));
    assert_eq!(other.read("same"), "#!/bin/sh");
    assert_eq!(other.read("sp ace/Zo\u{eb}\n"), "odd");
    assert_eq!(other.read("empty"), "");
    assert!(other.path("bare/folder").is_dir());
    assert_eq!(other.read("bare/link"), "#!/bin/sh");
    let context = fs_err::read_to_string(other.root.path().join(context));
    assert_eq!(context.unwrap(), "{}");
    store.asked();
    assert_eq!(other.release().await, Released::Unchanged { version: 1 });
    assert_eq!(store.asked(), "");
}

#[tokio::test]
async fn an_empty_machine_serves_the_group_in_the_same_session() {
    let store = Store::new();
    let machine = Machine::with_family(&store).await;
    let session: SessionId = "s-1".parse().unwrap();
    let house = &machine.desk.house;
    let (kept, now) = (Some(session.clone()), house.clock.now());
    house.store.set_session(family(), kept, now).await.unwrap();
    machine.release().await;

    let other = Machine::empty(&store);
    take_over(&other.desk).await.unwrap();

    let (was, is) = (machine.group().await.unwrap(), other.group().await.unwrap());
    assert_eq!(
        (is.chat, is.name, is.trigger),
        (was.chat, was.name, was.trigger)
    );
    let found = other.desk.house.store.session_of_group(family()).await;
    assert_eq!(found.unwrap(), Some(session));
}

#[tokio::test]
async fn a_group_that_never_spoke_is_registered_elsewhere_too() {
    let store = Store::new();
    let machine = Machine::with_family(&store).await;
    fs_err::remove_dir(machine.path("")).unwrap();
    assert_eq!(machine.release().await, version(1, 0));

    let other = Machine::empty(&store);
    take_over(&other.desk).await.unwrap();

    assert!(other.group().await.is_some());
}

#[tokio::test]
async fn a_folder_that_was_taken_away_is_not_released_as_empty() {
    let (_store, machine) = released().await;
    fs_err::remove_dir_all(machine.path("")).unwrap();

    assert_eq!(machine.release().await, Released::Nothing);
}

#[tokio::test]
async fn a_machine_that_has_it_all_fetches_nothing() {
    let (store, machine) = released().await;
    assert_eq!(machine.desk.restore(&family()).await.unwrap(), None);
    assert_eq!(store.asked(), "list 1");
}

#[tokio::test]
async fn a_group_whose_folder_is_gone_gets_it_again() {
    let (_store, machine) = released().await;
    fs_err::remove_dir_all(machine.path("")).unwrap();

    machine.restore().await;

    assert_eq!(machine.read("KIMI.md"), "the cat is Miso");
}

#[tokio::test]
async fn a_damaged_content_is_named_and_nothing_is_changed() {
    let (store, machine) = released().await;
    let objects = machine.desk.bucket.objects(&family()).await.unwrap();
    let name = objects.keys().next().unwrap().as_str().to_owned();
    let path = format!("kimi/family/objects/{name}");
    store
        .inner()
        .put(&path.as_str().into(), "the dog is Miso".into())
        .await
        .unwrap();
    let other = Machine::empty(&store);
    other.write("KIMI.md", "half");

    let fault = other.desk.restore(&family()).await.unwrap_err();

    let said = crate::chain(&fault);
    assert!(
        said.contains(&format!("gs://groups/kimi/family/objects/{name}")),
        "{said}"
    );
    assert!(said.contains("group/KIMI.md"), "{said}");
    assert!(said.contains("CRC32C"), "{said}");
    assert_eq!(other.read("KIMI.md"), "half");
    assert_eq!(other.group().await, None);
    let flaws = verify(&other.desk.bucket, &family(), 1, true)
        .await
        .unwrap();
    assert_eq!(flaws.len(), 1);
    assert_eq!(
        verify(&other.desk.bucket, &family(), 1, false)
            .await
            .unwrap(),
        []
    );
}

#[tokio::test]
async fn a_content_that_is_gone_is_named() {
    let (store, machine) = released().await;
    let objects = machine.desk.bucket.objects(&family()).await.unwrap();
    let name = objects.keys().next().unwrap();
    machine
        .desk
        .bucket
        .remove_object(&family(), name)
        .await
        .unwrap();
    let other = Machine::empty(&store);

    let said = crate::chain(&other.desk.restore(&family()).await.unwrap_err());

    assert!(said.contains("is gone from the store"), "{said}");
}

#[tokio::test]
async fn a_connection_that_breaks_is_tried_again() {
    let (store, _machine) = released().await;
    let other = Machine::empty(&store);
    store.fail("objects/", 2);

    other.restore().await;

    assert_eq!(other.read("KIMI.md"), "the cat is Miso");
}

#[tokio::test]
async fn a_content_that_breaks_off_is_fetched_anew_and_none_of_it_stays() {
    let (store, _machine) = released().await;
    let other = Machine::empty(&store);
    other.write("KIMI.md", "ours");
    store.tear(3);

    let fault = other.desk.restore(&family()).await.unwrap_err();

    assert!(fault.is_passing(), "{fault:?}");
    assert_eq!(other.read("KIMI.md"), "ours");
    fs_err::remove_file(other.path("KIMI.md")).unwrap();
    store.tear(2);
    other.restore().await;
    assert_eq!(other.read("KIMI.md"), "the cat is Miso");
}

#[tokio::test]
async fn other_groups_are_no_business_of_a_restore() {
    let store = Store::new();
    let machine = Machine::with_family(&store).await;
    machine.register("work").await;
    fs_err::write(machine.root.path().join("groups/work/secret"), "x").unwrap();
    machine.write("a", "one");
    machine.release().await;
    machine
        .desk
        .release(&"work".parse().unwrap())
        .await
        .unwrap();

    let other = Machine::empty(&store);
    other.restore().await;

    assert!(!other.root.path().join("groups/work").exists());
}

#[tokio::test]
async fn an_earlier_version_comes_back_as_the_newest() {
    let (_store, machine) = released().await;
    machine.write("KIMI.md", "the cat is Pixel");
    machine.write("more", "x");
    machine.release().await;

    machine.desk.go_back(&family(), 1).await.unwrap();

    assert_eq!(machine.read("KIMI.md"), "the cat is Miso");
    assert!(!machine.path("more").exists());
    assert_eq!(machine.release().await, version(3, 1));
}

#[tokio::test]
async fn who_goes_back_to_the_newest_version_has_it_whatever_became_of_it_here() {
    let store = Store::new();
    let machine = Machine::with_family(&store).await;
    for name in ["KIMI.md", "gone", "changed"] {
        machine.write(name, "released");
    }
    machine.release().await;
    fs_err::remove_file(machine.path("gone")).unwrap();
    machine.write("changed", "ours");
    machine.write("added", "ours");
    let (house, now) = (&machine.desk.house, machine.desk.house.clock.now());
    let lost: SessionId = "s-2".parse().unwrap();
    let set = house.store.set_session(family(), Some(lost), now);
    set.await.unwrap();

    let restored = machine.desk.go_back(&family(), 1).await.unwrap();

    let kept: Vec<&str> = restored.kept.iter().map(EntryPath::as_str).collect();
    assert_eq!(kept, ["group/changed.conflict-v1"]);
    assert_eq!(machine.read("changed.conflict-v1"), "ours");
    assert_eq!(machine.read("added"), "ours");
    for name in ["KIMI.md", "gone", "changed"] {
        assert_eq!(machine.read(name), "released", "{name}");
    }
    let session = house.store.session_of_group(family()).await.unwrap();
    assert_eq!(session, None);
}

#[tokio::test]
async fn who_goes_back_without_a_folder_gets_it_again() {
    let (_store, machine) = released().await;
    fs_err::remove_dir_all(machine.path("")).unwrap();

    machine.desk.go_back(&family(), 1).await.unwrap();

    assert_eq!(machine.read("KIMI.md"), "the cat is Miso");
    assert_eq!(machine.release().await, Released::Unchanged { version: 1 });
}

#[tokio::test]
async fn a_damaged_version_is_gone_back_behind_and_another_takes_its_place() {
    let (store, machine) = released().await;
    machine.write("KIMI.md", "the cat is Pixel");
    machine.release().await;
    let path = "kimi/family/manifests/0000000002.json".into();
    store.inner().put(&path, "{".into()).await.unwrap();
    let fresh = Machine::empty(&store);
    let said = crate::chain(&fresh.desk.restore(&family()).await.unwrap_err());
    assert!(said.contains("restore --version"), "{said}");

    fresh.desk.go_back(&family(), 1).await.unwrap();

    assert_eq!(fresh.read("KIMI.md"), "the cat is Miso");
    fresh.write("KIMI.md", "the cat is Luna");
    assert_eq!(fresh.release().await, version(4, 1));
    machine.restore().await;
    assert_eq!(machine.read("KIMI.md"), "the cat is Luna");
}

#[tokio::test]
async fn what_is_not_kept_in_the_store_is_not_lost_to_what_is() {
    let store = Store::new();
    let machine = Machine::with_family(&store).await;
    let names = ["KIMI.md", "large", "twice"];
    for name in names {
        machine.write(name, "released");
    }
    machine.release().await;
    let other = Machine::with(&store, "workspace_max_file_size = 1000");
    fs_err::create_dir_all(other.path("")).unwrap();
    symlink("/etc/hostname", other.path("KIMI.md")).unwrap();
    other.write("large", &"x".repeat(2000));
    let outside = other.root.path().join("outside");
    fs_err::write(&outside, "somebody else's").unwrap();
    fs_err::hard_link(outside, other.path("twice")).unwrap();

    let restored = other.restore().await;

    assert_eq!(restored.kept.len(), 3, "{restored:?}");
    for name in names {
        assert_eq!(other.read(name), "released", "{name}");
    }
    assert_eq!(other.read("large.conflict-v1").len(), 2000);
    assert_eq!(other.read("twice.conflict-v1"), "somebody else's");
    assert!(other.path("KIMI.md.conflict-v1").is_symlink());
}

#[tokio::test]
async fn what_is_not_kept_in_the_store_but_is_the_same_there_is_not_kept_beside() {
    let store = Store::new();
    let machine = Machine::with_family(&store).await;
    let (large, small) = ("x".repeat(2000), "released");
    machine.write("large", &large);
    machine.write("twice", small);
    machine.release().await;
    let other = Machine::with(&store, "workspace_max_file_size = 1000");
    other.write("large", &large);
    other.write("twice", small);
    let outside = other.root.path().join("outside");
    fs_err::hard_link(other.path("twice"), outside).unwrap();

    let restored = other.restore().await;

    assert_eq!(restored.kept, []);
    let told = other.told().await;
    assert!(
        !told.iter().any(|line| line.contains("conflict")),
        "{told:?}"
    );
    assert_eq!(
        (other.read("large"), other.read("twice")),
        (large, small.to_owned())
    );
}

#[tokio::test]
async fn nothing_is_moved_for_a_group_that_cannot_be_registered() {
    let (store, _machine) = released().await;
    let other = Machine::empty(&store);
    other.register_as("work", "http:family").await;
    other.write("KIMI.md", "ours");

    let said = crate::chain(&other.desk.restore(&family()).await.unwrap_err());

    assert!(
        said.contains("is registered with the folder `work`"),
        "{said}"
    );
    assert_eq!(other.read("KIMI.md"), "ours");
}

#[tokio::test]
async fn ours_is_kept_beside_however_long_its_name_is() {
    let store = Store::new();
    let machine = Machine::with_family(&store).await;
    // 254 bytes; cut to 243, it would end in the middle of a letter.
    let name = "\u{eb}".repeat(127);
    machine.write(&name, "released");
    machine.release().await;
    let other = Machine::empty(&store);
    other.write(&name, "ours");

    other.restore().await;

    assert_eq!(other.read(&name), "released");
    let beside = format!("{}.conflict-v1", "\u{eb}".repeat(121));
    assert_eq!(other.read(&beside), "ours");
}

#[tokio::test]
async fn a_fresh_machine_does_not_start_without_its_store() {
    let (store, machine) = released().await;
    store.fail("kimi", 2);

    let fresh = Machine::empty(&store);
    assert!(take_over(&fresh.desk).await.is_err());
    // One that has agreed with it before does.
    take_over(&machine.desk).await.unwrap();
}

#[tokio::test]
async fn a_fresh_machine_does_not_start_without_a_group_that_it_is_to_serve() {
    let (store, machine) = released().await;
    store.fail("family/manifests", 2);

    let fresh = Machine::empty(&store);
    let fault = take_over(&fresh.desk).await.unwrap_err();
    assert!(fault.is_passing(), "{fault}");
    // One that serves others does, and takes it over later.
    machine.register("work").await;
    let work = "work".parse().unwrap();
    machine.desk.release(&work).await.unwrap();
    fresh.desk.restore(&work).await.unwrap();
    take_over(&fresh.desk).await.unwrap();
}

#[tokio::test]
async fn two_groups_of_one_chat_do_not_keep_a_fresh_machine_from_starting() {
    let store = Store::new();
    for folder in ["family", "work"] {
        let machine = Machine::empty(&store);
        machine.register_as(folder, "http:one").await;
        let folder = folder.parse().unwrap();
        machine.desk.release(&folder).await.unwrap();
    }

    let fresh = Machine::empty(&store);
    take_over(&fresh.desk).await.unwrap();

    let served = fresh.desk.house.store.groups().await.unwrap();
    assert_eq!(served.len(), 1, "{served:?}");
}

#[tokio::test]
async fn what_was_left_half_done_is_done_again() {
    let (store, _machine) = released().await;
    let other = Machine::empty(&store);
    let left = other.root.path().join("groups/.family.new");
    fs_err::create_dir_all(left.join("deep")).unwrap();
    fs_err::write(left.join("half"), "x").unwrap();
    other.write("KIMI.md", "the cat is Miso");

    other.restore().await;

    assert!(!left.exists());
    assert_eq!(
        other.desk.release(&family()).await.unwrap(),
        Released::Unchanged { version: 1 }
    );
}

#[tokio::test]
async fn a_group_without_a_file_is_in_step_all_the_same() {
    let store = Store::new();
    let machine = Machine::with_family(&store).await;
    machine.release().await;
    fs_err::remove_dir(machine.root.path().join("groups/family")).unwrap();

    let restored = machine.desk.restore(&family()).await.unwrap();
    assert_eq!(restored, None);
}

#[test]
fn what_cannot_be_cleared_away_keeps_nothing_else_from_it() {
    let root = tempfile::tempdir().unwrap();
    let groups = root.path().join("groups");
    fs_err::create_dir_all(groups.join(".family.new")).unwrap();
    // No folder can be removed where a file is.
    for place in [groups.join(".ada.new"), root.path().join(STAGED)] {
        fs_err::create_dir_all(place.parent().unwrap()).unwrap();
        fs_err::write(place, "").unwrap();
    }

    clear_away(root.path()).unwrap();

    assert!(!groups.join(".family.new").exists());
    assert!(groups.join(".ada.new").exists());
}
