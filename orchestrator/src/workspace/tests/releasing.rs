//! What leaves a machine, and what it costs.

use std::os::unix::fs::PermissionsExt;

use futures_util::StreamExt;
use object_store::ObjectStoreExt;

use super::*;

#[tokio::test]
async fn what_changed_is_released_and_nothing_else_is_asked() {
    let store = Store::new();
    let machine = Machine::with_family(&store).await;
    machine.write("KIMI.md", "the cat is Miso");
    machine.write("notes/copy.md", "the cat is Miso");
    machine.write("empty", "");
    machine.write("logs/run.log", "ours");

    assert_eq!(machine.release().await, version(1, 1));
    assert_eq!(store.asked(), "list 1, put 2");

    assert_eq!(machine.release().await, Released::Unchanged { version: 1 });
    assert_eq!(store.asked(), "", "unchanged files cost nothing");

    machine.write("notes/new.md", "and a dog");
    fs_err::remove_file(machine.path("empty")).unwrap();
    assert_eq!(machine.release().await, version(2, 1));
    assert_eq!(store.asked(), "list 1, put 2");
    let released = machine.desk.bucket.read(&family(), 2).await.unwrap();
    let paths: Vec<&str> = released.entries.keys().map(|path| path.as_str()).collect();
    assert_eq!(
        paths,
        ["group/KIMI.md", "group/notes/copy.md", "group/notes/new.md"]
    );
}

#[tokio::test]
async fn a_file_that_was_only_touched_is_read_once() {
    let store = Store::new();
    let machine = Machine::with_family(&store).await;
    machine.write("KIMI.md", "the cat is Miso");
    machine.release().await;
    machine.write("KIMI.md", "the cat is Miso");
    store.asked();

    assert_eq!(machine.release().await, Released::Unchanged { version: 1 });
    assert_eq!(store.asked(), "");
}

#[tokio::test]
async fn a_release_that_is_cut_off_is_no_version() {
    let store = Store::new();
    let machine = Machine::with_family(&store).await;
    machine.write("a", "one");
    machine.release().await;
    machine.write("b", "two");
    // It is put twice.
    store.fail("manifests/0000000002", 2);

    let fault = machine.desk.release(&family()).await.unwrap_err();
    assert!(fault.is_passing(), "{fault}");
    let newest = machine.desk.bucket.newest(&family(), 0).await.unwrap();
    assert_eq!(newest, Some(1));

    assert_eq!(machine.release().await, version(2, 1));
}

#[tokio::test]
async fn an_answer_that_was_lost_is_not_taken_for_somebody_elses_version() {
    let store = Store::new();
    let machine = Machine::with_family(&store).await;
    machine.write("a", "one");
    store.lose_an_answer();

    assert_eq!(machine.release().await, version(1, 1));
    assert_eq!(machine.release().await, Released::Unchanged { version: 1 });
}

#[tokio::test]
async fn a_version_that_nobody_was_told_of_is_told_when_it_is_found() {
    let store = Store::new();
    let machine = Machine::with_family(&store).await;
    machine.write("a", "one");
    store.fail("manifests/0000000001", 1);
    store.lose_an_answer();

    assert!(machine.desk.release(&family()).await.is_err());
    assert_eq!(machine.release().await, Released::Unchanged { version: 1 });
    let told = machine.told().await;
    assert_eq!(told.len(), 1, "{told:?}");
}

#[tokio::test]
async fn two_writers_never_overwrite_each_other() {
    let store = Store::new();
    let here = Machine::with_family(&store).await;
    here.write("shared", "base");
    here.write("ours", "base");
    here.release().await;
    let there = Machine::empty(&store);
    there.restore().await;
    there.write("shared", "theirs");
    there.write("new", "theirs");
    there.release().await;
    here.write("shared", "ours");
    here.write("ours", "changed");

    let fault = here.desk.release(&family()).await.unwrap_err();
    assert!(matches!(fault, WorkspaceFault::Behind(2)), "{fault}");
    let restored = here.restore().await;

    let kept: Vec<String> = restored.kept.iter().map(ToString::to_string).collect();
    assert_eq!(kept, ["group/shared.conflict-v2"]);
    assert_eq!(here.read("shared"), "theirs");
    assert_eq!(here.read("shared.conflict-v2"), "ours");
    assert_eq!(
        (here.read("ours"), here.read("new")),
        ("changed".into(), "theirs".into())
    );
    assert_eq!(here.release().await, version(3, 2));
    there.restore().await;
    assert_eq!(there.read("ours"), "changed");
}

#[tokio::test]
async fn a_race_leaves_one_version() {
    let store = Store::new();
    let one = Machine::with_family(&store).await;
    let other = Machine::with_family(&store).await;
    one.write("a", "one");
    other.write("a", "other");

    let group = family();
    let (first, second) = tokio::join!(one.desk.release(&group), other.desk.release(&group));

    let won = [&first, &second].iter().filter(|end| end.is_ok()).count();
    assert_eq!(won, 1, "{first:?} {second:?}");
}

#[tokio::test]
async fn a_store_that_lost_everything_gets_everything_anew() {
    let store = Store::new();
    let machine = Machine::with_family(&store).await;
    machine.write("a", "one");
    machine.release().await;
    machine.write("b", "two");
    for path in ["kimi/family/manifests/0000000001.json"] {
        store.inner().delete(&path.into()).await.unwrap();
    }

    assert_eq!(machine.release().await, version(2, 2));
}

#[tokio::test]
async fn what_is_not_kept_is_told() {
    let store = Store::new();
    let machine = Machine::with(&store, "workspace_max_file_size = 3\n");
    machine.register("family").await;
    machine.write("big", "12345");
    machine.write("small", "1");

    assert_eq!(machine.release().await, version(1, 1));
    assert_eq!(
        machine.told().await,
        [
            r#"workspace.left_out: {"group":"family","count":1,"files":[{"path":"group/big","reason":"it has 5 bytes, more than 3"}]}"#,
            r#"workspace.released: {"group":"family","version":1,"files":1,"uploaded":1,"bytes":1}"#,
        ]
    );
}

#[tokio::test]
async fn large_files_leave_in_parts() {
    let store = Store::new();
    let machine = Machine::with_family(&store).await;
    let large = "0123456789abcdef".repeat(1_100_000);
    machine.write("large", &large);

    assert_eq!(machine.release().await, version(1, 1));
    assert_eq!(store.asked(), "list 1, put 1, put in parts 1");
    let other = Machine::empty(&store);
    other.restore().await;
    assert!(other.read("large") == large);
}

#[tokio::test]
async fn what_is_given_up_in_the_middle_leaves_nothing_in_the_store() {
    let store = Store::new();
    let machine = Machine::with_family(&store).await;
    machine.write("large", &"0123456789abcdef".repeat(1_100_000));
    store.lose_a_part();

    let fault = machine.desk.release(&family()).await.unwrap_err();

    assert!(fault.is_passing(), "{fault}");
    assert_eq!(store.aborted(), 1);
    assert_eq!(machine.release().await, version(1, 1));
}

#[tokio::test]
async fn garbage_is_swept_and_what_is_named_stays() {
    let store = Store::new();
    let machine = Machine::with_family(&store).await;
    for text in ["one", "two", "three"] {
        machine.write("a", text);
        machine.release().await;
    }
    let bucket = &machine.desk.bucket;
    let mut keep = Keep {
        versions: 2,
        since: "2000-01-01T00:00:00Z".parse().unwrap(),
        is_dry: false,
    };
    assert_eq!(
        sweep(bucket, &family(), keep).await.unwrap(),
        Swept::default()
    );

    keep.since = "2100-01-01T00:00:00Z".parse().unwrap();
    let swept = sweep(bucket, &family(), keep).await.unwrap();

    let expected = Swept {
        versions: 1,
        objects: 1,
        bytes: 3,
    };
    assert_eq!(swept, expected);
    assert_eq!(verify(bucket, &family(), 2, true).await.unwrap(), []);
    assert_eq!(verify(bucket, &family(), 3, true).await.unwrap(), []);
}

/// To whom nothing is closed, as root, all of it is read.
#[tokio::test]
async fn what_was_closed_to_us_is_not_released_as_deleted() {
    let store = Store::new();
    let machine = Machine::with_family(&store).await;
    for name in ["a", "shut/b", "c"] {
        machine.write(name, name);
    }
    machine.release().await;
    let set_mode = |name: &str, mode| {
        let mode = PermissionsExt::from_mode(mode);
        fs_err::set_permissions(machine.path(name), mode).unwrap();
    };
    set_mode("shut", 0o000);
    set_mode("c", 0o000);
    machine.write("a", "changed");
    assert_eq!(machine.release().await, version(2, 1));

    let other = Machine::empty(&store);
    other.restore().await;
    assert_eq!(other.read("a"), "changed");
    assert_eq!(
        (other.read("shut/b"), other.read("c")),
        ("shut/b".to_owned(), "c".to_owned())
    );
    // What a store has lost meanwhile is not promised there.
    let mut paths = store.inner().list(None);
    while let Some(found) = paths.next().await {
        store
            .inner()
            .delete(&found.unwrap().location)
            .await
            .unwrap();
    }
    machine.write("a", "changed again");
    machine.release().await;
    let flaws = verify(&machine.desk.bucket, &family(), 3, true).await;
    assert_eq!(flaws.unwrap(), []);
    set_mode("shut", 0o700);
}

#[tokio::test]
async fn old_versions_are_looked_after_once_in_a_while() {
    let store = Store::new();
    let machine = Machine::with_family(&store).await;
    for number in 1..20 {
        machine.write("a", &number.to_string());
        machine.release().await;
    }
    store.asked();
    machine.write("a", "20");

    assert_eq!(machine.release().await, version(20, 1));

    // Nothing is a day old, so each version is read to learn what it names.
    assert_eq!(store.asked(), "get 20, list 3, put 2");
}
