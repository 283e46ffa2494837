//! What the watcher promises, whatever lies in the agents' folders.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::inbox::DropKind;
use super::operations::{Operations, Order};
use super::*;
use crate::channel::{Channel, Deed, Prefix, SendError, Staged};
use crate::ids::ChatJid;
use crate::store::{NewGroup, Receipt, TriggerRule};

/// Nothing here takes longer on a machine that works.
const PATIENCE: Duration = Duration::from_secs(20);
/// Long enough for no scan to come to a test's help.
const NEVER: Duration = Duration::from_secs(3600);

struct Stage {
    root: tempfile::TempDir,
    house: House,
}

async fn stage() -> Stage {
    let root = tempfile::tempdir().unwrap();
    let house = House::staged(root.path(), "");
    let stage = Stage { root, house };
    for name in ["main", "ada", "bob"] {
        stage.register(name).await;
    }
    stage
}

impl Stage {
    async fn register(&self, name: &str) {
        let new = NewGroup {
            folder: folder(name),
            chat: ChatJid::http(name).unwrap(),
            name: name.to_owned(),
            trigger: TriggerRule::Always,
            is_main: name == "main",
        };
        let now = self.house.clock.now();
        self.house.store.register_group(new, now).await.unwrap();
        self.inbox().prepare(name).unwrap();
    }

    fn inbox(&self) -> Inbox {
        Inbox::open(&self.root.path().join("data/ipc")).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join("data/ipc").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs_err::write(self.path(name), text).unwrap();
    }

    fn exists(&self, name: &str) -> bool {
        fs_err::symlink_metadata(self.path(name)).is_ok()
    }

    /// Nobody serves the outbox and the scheduler: what is for them stays in the store.
    fn desk(&self) -> IpcDesk {
        IpcDesk {
            house: self.house.clone(),
            inbox: self.inbox(),
            outbox: Outbox::new().0,
            channels: Channels::new(vec![Channel::Http], Prefix::OwnNumber),
            scheduler: Scheduler::new().0,
            queue: GroupQueue::new().0,
        }
    }

    fn serve(&self, interval: Duration) -> (IpcWatch, JoinSet<()>) {
        serve_desk(self.desk(), interval)
    }

    /// How often an event was told.
    fn told(&self, event: &str) -> u64 {
        self.house.events.counts().get(event).copied().unwrap_or(0)
    }

    /// Waits until an event was told `times`.
    async fn hears(&self, event: &str, times: u64) {
        let mut reader = self.house.events.read_after(0);
        let enough = async {
            while self.told(event) < times {
                reader.next().await;
            }
        };
        timeout(PATIENCE, enough).await.unwrap();
    }
}

fn serve_desk(desk: IpcDesk, interval: Duration) -> (IpcWatch, JoinSet<()>) {
    let (watch, requests) = IpcWatch::new();
    let mut serving = JoinSet::new();
    serving.spawn(serve(requests, desk, interval));
    (watch, serving)
}

fn folder(name: &str) -> GroupFolder {
    name.parse().unwrap()
}

fn say(group: &str) -> String {
    format!(r#"{{"type":"message","chatJid":"http:{group}","text":"hi"}}"#)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_in_one_folder_delays_neither_others_nor_the_end() {
    let stage = stage().await;
    for n in 0..3000 {
        stage.write(&format!("ada/tasks/{n:04}.json"), "[]");
    }
    let pouring = Arc::new(AtomicBool::new(true));
    let poured = stage.path("ada/tasks");
    let more = Arc::clone(&pouring);
    let flood = std::thread::spawn(move || {
        let mut n = 0;
        while more.load(Ordering::Relaxed) {
            fs_err::write(poured.join(format!("9{n:09}.json")), "[]").unwrap();
            n += 1;
        }
    });
    let (watch, mut serving) = stage.serve(NEVER);
    stage.hears("ipc.quarantined", 1).await;
    stage.write("bob/messages/1.json", &say("bob"));

    let heard = timeout(PATIENCE, stage.hears("ipc.done", 1)).await;
    let drained = timeout(PATIENCE, watch.drain(&folder("ada"))).await;
    drop(watch);
    let ended = timeout(PATIENCE, serving.join_next()).await;
    let left = stage.exists("ada/tasks/2999.json");
    pouring.store(false, Ordering::Relaxed);
    flood.join().unwrap();

    assert!(heard.is_ok() && drained.is_ok() && ended.is_ok());
    assert!(left, "the flood was over before the test");
}

#[tokio::test]
async fn a_drain_takes_one_pass_and_the_rest_comes_after() {
    let stage = stage().await;
    let (watch, _serving) = stage.serve(NEVER);
    // The first look is over.
    watch.drain(&folder("ada")).await;
    fs_err::create_dir(stage.path("new")).unwrap();
    for n in 0..250 {
        stage.write(&format!("new/{n:03}.json"), "[]");
    }
    fs_err::remove_dir(stage.path("ada/messages")).unwrap();
    fs_err::rename(stage.path("new"), stage.path("ada/messages")).unwrap();

    watch.drain(&folder("ada")).await;
    assert_eq!(stage.told("ipc.quarantined"), 200);
    stage.hears("ipc.quarantined", 250).await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_read_is_no_other_groups_trouble() {
    let stage = stage().await;
    stage.write("bob/messages/1.json", &say("bob"));
    // Only root could read it now.
    fs_err::set_permissions(stage.path("ada"), mode(0)).unwrap();

    let (_watch, _serving) = stage.serve(NEVER);

    stage.hears("ipc.done", 1).await;
    fs_err::set_permissions(stage.path("ada"), mode(0o755)).unwrap();
}

#[tokio::test]
async fn a_file_written_in_pieces_is_handled_when_it_is_whole() {
    for half in ["", "{\"type\":\"message\","] {
        let stage = stage().await;
        let (watch, _serving) = stage.serve(NEVER);
        stage.write("ada/messages/1.json", half);
        watch.drain(&folder("ada")).await;
        assert!(stage.exists("ada/messages/1.json"), "`{half}`");

        stage.write("ada/messages/1.json", &say("ada"));
        stage.hears("ipc.done", 1).await;
        assert_eq!(stage.told("ipc.quarantined"), 0);
    }
}

#[tokio::test]
async fn a_file_that_stays_half_is_put_aside_in_the_end() {
    let stage = stage().await;
    stage.write("ada/messages/1.json", "{");
    let (_watch, _serving) = stage.serve(NEVER);
    stage.hears("ipc.quarantined", 1).await;
    assert!(stage.exists("errors/ada-1.json"));
}

/// What main may ask for about a task `t1` of its own, and what is told of it.
const OPERATIONS: [(&str, &str); 7] = [
    (
        r#"{"type":"schedule_task","taskId":"t1","prompt":"a","schedule_type":"interval","schedule_value":"1h"}"#,
        "task.created",
    ),
    (
        r#"{"type":"update_task","taskId":"t1","prompt":"feed"}"#,
        "task.updated",
    ),
    (r#"{"type":"pause_task","taskId":"t1"}"#, "task.paused"),
    (r#"{"type":"resume_task","taskId":"t1"}"#, "task.resumed"),
    (r#"{"type":"cancel_task","taskId":"t1"}"#, "task.cancelled"),
    (
        r#"{"type":"register_group","jid":"http:eve","name":"Eve","folder":"eve","trigger":"@Kai"}"#,
        "group.registered",
    ),
    (r#"{"type":"cancel_task","taskId":"t0"}"#, "ipc.refused"),
];

fn receipt() -> Receipt {
    Receipt {
        group: folder("main"),
        file: "tasks/1.json".to_owned(),
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_removed_is_handled_once() {
    let stage = stage().await;
    let (watch, _serving) = stage.serve(NEVER);
    for (text, event) in OPERATIONS {
        stage.write("main/tasks/1.json", text);
        // Nothing can be removed from there, unless we are root.
        fs_err::set_permissions(stage.path("main/tasks"), mode(0o500)).unwrap();
        for _ in 0..2 {
            watch.drain(&folder("main")).await;
            assert_eq!(stage.told(event), 1, "{text}");
        }
        let kept = stage.house.store.has_receipt(receipt()).await.unwrap();
        assert_eq!(kept, stage.exists("main/tasks/1.json"), "{text}");

        fs_err::set_permissions(stage.path("main/tasks"), mode(0o755)).unwrap();
        watch.drain(&folder("main")).await;
        assert!(!stage.exists("main/tasks/1.json"), "{text}");
        assert!(!stage.house.store.has_receipt(receipt()).await.unwrap());
    }
}

#[tokio::test]
async fn what_is_done_has_its_receipt_while_its_file_is_there() {
    let stage = stage().await;
    let operations = Operations::new(stage.desk());
    let store = &stage.house.store;
    let main = store.group_of_folder(folder("main")).await.unwrap();
    for (text, event) in OPERATIONS {
        stage.write("main/tasks/1.json", text);
        let pass = stage
            .inbox()
            .pass("main", DropKind::Tasks, &[].into())
            .unwrap();
        let order = Order {
            sender: main.as_ref().unwrap(),
            receipt: receipt(),
        };
        operations.carry_out(&pass.drops[0], &order).await.unwrap();
        // A refusal changes nothing, so its receipt can wait until it is known.
        let kept = store.has_receipt(receipt()).await.unwrap();
        assert_eq!(kept, event != "ipc.refused", "{text}");
        store.drop_receipt(receipt()).await.unwrap();
    }
}

#[tokio::test]
async fn a_file_whose_receipt_is_there_is_only_removed() {
    let stage = stage().await;
    let now = stage.house.clock.now();
    stage
        .house
        .store
        .keep_receipt(receipt(), now)
        .await
        .unwrap();
    stage.write("main/tasks/1.json", OPERATIONS[0].0);
    let (watch, _serving) = stage.serve(NEVER);
    watch.drain(&folder("main")).await;
    assert_eq!(stage.told("task.created"), 0);
    assert!(!stage.exists("main/tasks/1.json"));
    assert!(!stage.house.store.has_receipt(receipt()).await.unwrap());
}

#[tokio::test]
async fn what_changes_is_known_to_the_group_and_to_main_when_it_is_told() {
    let stage = stage().await;
    let (_watch, _serving) = stage.serve(NEVER);
    stage.write("ada/tasks/1.json", OPERATIONS[0].0);
    stage.hears("ipc.done", 1).await;
    for group in ["ada", "main"] {
        let tasks = fs_err::read_to_string(stage.path(group).join("current_tasks.json"));
        assert!(tasks.unwrap().contains("t1"), "{group}");
    }
    assert!(!stage.exists("bob/current_tasks.json"));
    stage.write("main/tasks/1.json", r#"{"type":"refresh_groups"}"#);
    stage.hears("ipc.done", 2).await;
    let groups = fs_err::read_to_string(stage.path("main/available_groups.json")).unwrap();
    assert!(groups.contains("http:bob"), "{groups}");
}

#[tokio::test]
async fn a_file_is_told_to_be_put_aside_when_it_is_and_not_before() {
    let stage = stage().await;
    let (watch, _serving) = stage.serve(NEVER);
    let (name, errors) = ("ada/tasks/1.json", stage.path("errors"));
    fs_err::create_dir(&errors).unwrap();
    // Nothing can be moved there, unless we are root.
    fs_err::set_permissions(&errors, mode(0o500)).unwrap();
    stage.write(name, "[]");
    for _ in 0..2 {
        watch.drain(&folder("ada")).await;
        let gone = !stage.exists(name);
        assert_eq!(stage.told("ipc.quarantined"), u64::from(gone));
    }

    fs_err::set_permissions(&errors, mode(0o755)).unwrap();
    watch.drain(&folder("ada")).await;
    assert_eq!(stage.told("ipc.quarantined"), 1);
}

fn mode(bits: u32) -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(bits)
}

#[tokio::test]
async fn groups_that_take_long_to_read_keep_nobody_waiting() {
    let stage = stage().await;
    let (staged, mut deeds) = Staged::new();
    let mut desk = stage.desk();
    desk.channels = Channels::new(
        vec![Channel::Http, Channel::Staged(staged)],
        Prefix::OwnNumber,
    );
    let (watch, _serving) = serve_desk(desk, NEVER);
    let ask = r#"{"type":"refresh_groups"}"#;
    stage.write("main/tasks/1.json", ask);
    watch.drain(&folder("main")).await;
    let Deed::Refresh(first) = deeds.next().await else {
        panic!("the groups were not read")
    };

    stage.write("main/tasks/2.json", ask);
    stage.write("bob/messages/1.json", &say("bob"));
    watch.drain_all().await;
    assert_eq!(stage.told("ipc.done"), 1, "bob waits, or main does not");
    assert!(deeds.is_empty(), "one after the other");
    let named = stage.house.store.note_chat(
        "120363@g.us".parse().unwrap(),
        Some("Family".to_owned()),
        stage.house.clock.now(),
    );
    assert!(named.await.unwrap());
    first.send(Ok(())).unwrap();
    stage.hears("ipc.done", 2).await;
    let told = fs_err::read_to_string(stage.path("main/available_groups.json")).unwrap();
    assert!(told.contains("Family"), "{told}");

    // Who asked meanwhile may know more than the first answer does.
    let Deed::Refresh(second) = deeds.next().await else {
        panic!("the groups were not read again")
    };
    second.send(Err(SendError::NotConnected)).unwrap();
    stage.hears("ipc.refused", 1).await;
}

/// What becomes of a message with this file, which the agent of a group sends to its own chat.
async fn check_media(group: &str, path: &str, expected: &str) {
    let stage = stage().await;
    let pictures = stage.root.path().join(format!("groups/{group}/pictures"));
    fs_err::create_dir_all(&pictures).unwrap();
    fs_err::write(pictures.join("cat.png"), "meow").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", pictures.join("link.png")).unwrap();
    std::os::unix::fs::symlink("/etc", pictures.join("folder")).unwrap();
    let mut desk = stage.desk();
    let (staged, _deeds) = Staged::new();
    let channels = vec![Channel::Http, Channel::Staged(staged)];
    desk.channels = Channels::new(channels, Prefix::OwnNumber);
    let eve = NewGroup {
        folder: folder("eve"),
        chat: "120363@g.us".parse().unwrap(),
        name: "Eve".to_owned(),
        trigger: TriggerRule::Always,
        is_main: false,
    };
    let now = stage.house.clock.now();
    stage.house.store.register_group(eve, now).await.unwrap();
    stage.inbox().prepare("eve").unwrap();
    let sender = stage.house.store.group_of_folder(folder(group)).await;
    let chat = sender.unwrap().unwrap().chat;
    let text = format!(r#"{{"type":"message","chatJid":"{chat}","text":"","media":"{path}"}}"#);
    stage.write(&format!("{group}/messages/1.json"), &text);

    let (watch, _serving) = serve_desk(desk, NEVER);
    watch.drain(&folder(group)).await;

    let became = match stage.house.store.unsent_heads().await.unwrap().first() {
        Some(head) => format!("sent {}", head.media.as_ref().unwrap().path),
        None => stage.house.told().await.pop().unwrap(),
    };
    assert!(became.contains(expected), "{path}: {became}");
}

#[tokio::test]
async fn an_agent_sends_files_of_its_own_folder_and_no_others() {
    check_media("eve", "pictures/cat.png", "sent pictures/cat.png").await;
    check_media("eve", "pictures/dog.png", "there is no file").await;
    check_media("eve", "pictures/link.png", "there is no file").await;
    check_media("eve", "pictures/folder/passwd", "there is no file").await;
    check_media("eve", "../main/secret.png", "is not a path below").await;
    check_media("eve", "/etc/passwd", "is not a path below").await;
    check_media("ada", "pictures/cat.png", "takes texts only").await;
}
