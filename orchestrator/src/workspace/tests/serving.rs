//! The task that releases, with agents in its way.

use std::time::Duration;

use bytes::Bytes;
use object_store::ObjectStoreExt;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::clock::{Move, Work};
use crate::ids::ChatJid;
use crate::registration::of_conversation;

#[tokio::test]
async fn files_are_released_as_soon_as_an_agent_is_done_with_them() {
    let store = Store::new();
    let machine = Machine::with_family(&store).await;
    machine.write("list.md", "tea");
    let writing = store.meanwhile(machine.path("list.md"));
    let known = take_over(&machine.desk).await.unwrap();
    let (workspace, requests) = Workspace::new();
    let serving = serve(
        requests,
        machine.desk.clone(),
        known,
        CancellationToken::new(),
    );
    let house = &machine.desk.house;
    let agent = async {
        writing.await.unwrap();
        let busy = house.clock.busy(Work::Workspace);
        workspace.changed(&family(), busy).await;
        // The clock stands still: whoever makes it wait makes it wait for ever.
        house.events.read_after(0).next().await.unwrap();
        house.events.close();
    };
    let both = async { tokio::join!(serving, agent) };
    timeout(Duration::from_secs(20), both)
        .await
        .expect("nothing was told of the workspace");

    let told = machine.told().await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("workspace.released: "), "{told:?}");
    let fresh = Machine::empty(&store);
    take_over(&fresh.desk).await.unwrap();
    fresh.restore().await;
    assert_eq!(fresh.read("list.md"), "written meanwhile");
}

#[tokio::test]
async fn what_was_said_before_the_end_is_released_after_it() {
    let store = Store::new();
    let machine = Machine::empty(&store);
    // Each is heard before the end by chance; all of them by none worth naming.
    let groups: Vec<GroupFolder> = (0..16).map(|n| format!("g{n}").parse().unwrap()).collect();
    let known = take_over(&machine.desk).await.unwrap();
    let (workspace, requests) = Workspace::new();
    let stop = CancellationToken::new();
    let serving = serve(requests, machine.desk.clone(), known, stop);
    let house = &machine.desk.house;
    let runs = async {
        for group in &groups {
            machine.register(group.as_str()).await;
        }
        for group in &groups {
            let busy = house.clock.busy(Work::Workspace);
            workspace.changed(group, busy).await;
        }
        house.events.close();
    };
    // Whoever serves has looked at all groups when there were none.
    let both = async { tokio::join!(serving, runs) };
    timeout(Duration::from_secs(20), both)
        .await
        .expect("it does not come to an end");

    let mut released = machine.desk.bucket.groups().await.unwrap();
    released.sort();
    let mut groups = groups;
    groups.sort();
    assert_eq!(released, groups);
}

/// A store in which the newest version of a WhatsApp group is damaged; where, and what it said.
async fn damaged(store: &Arc<Store>) -> (StorePath, Bytes) {
    let machine = Machine::empty(store);
    machine.register_as("family", WHATSAPP).await;
    machine.release().await;
    let path: StorePath = "kimi/family/manifests/0000000001.json".into();
    let whole = store.inner().get(&path).await.unwrap();
    let whole = whole.bytes().await.unwrap();
    store.inner().put(&path, "{".into()).await.unwrap();
    (path, whole)
}

const WHATSAPP: &str = "120363000000000001@g.us";

/// What happens while a machine's workspaces are served.
async fn during(machine: &Machine, known: Known, story: impl AsyncFnOnce(&House)) {
    let (workspace, requests) = Workspace::new();
    let stop = CancellationToken::new();
    let serving = serve(requests, machine.desk.clone(), known, stop);
    let house = House {
        workspace,
        ..machine.desk.house.clone()
    };
    let story = async {
        story(&house).await;
        house.events.close();
    };
    let both = async { tokio::join!(serving, story) };
    timeout(Duration::from_secs(20), both)
        .await
        .expect("it does not come to an end");
}

async fn a_minute_passes(house: &House) {
    let later = Move {
        to: house.clock.after(Duration::from_secs(60)),
        patience: Duration::from_secs(20),
        leave_runs: false,
    };
    house.clock.advance(later).await;
}

#[tokio::test]
async fn a_conversation_takes_no_name_of_a_group_that_is_only_in_the_store() {
    let store = Store::new();
    let (path, whole) = damaged(&store).await;
    let fresh = Machine::empty(&store);
    let known = take_over(&fresh.desk).await.unwrap();
    let chat: ChatJid = "http:family".parse().unwrap();

    during(&fresh, known, async |house| {
        let refused = of_conversation(house, chat.clone()).await.unwrap_err();
        let said = crate::chain(&refused);
        assert!(said.contains("is damaged"), "{said}");
        store.asked();
        of_conversation(house, chat.clone()).await.unwrap_err();
        assert_eq!(store.asked(), "", "it is fetched again at once");
        store.inner().put(&path, whole.into()).await.unwrap();
        a_minute_passes(house).await;

        let group = of_conversation(house, chat).await.unwrap();

        assert_ne!(group.folder, family());
    })
    .await;
    let served = fresh.group().await.unwrap();
    assert_eq!(served.chat.as_str(), WHATSAPP);
}

#[tokio::test]
async fn a_group_that_could_not_be_registered_is_as_soon_as_it_can_be() {
    let store = Store::new();
    let (path, whole) = damaged(&store).await;
    let fresh = Machine::empty(&store);
    let known = take_over(&fresh.desk).await.unwrap();

    during(&fresh, known, async |house| {
        house.events.read_after(0).next().await.unwrap();
        let owed = house.store.owed_releases().await.unwrap();
        let problem = owed[0].problem.as_deref().unwrap();
        assert!(problem.contains("it is not restored"), "{problem}");
        store.inner().put(&path, whole.into()).await.unwrap();
        a_minute_passes(house).await;
    })
    .await;

    assert_eq!(fresh.group().await.unwrap().chat.as_str(), WHATSAPP);
    let owed = fresh.desk.house.store.owed_releases().await.unwrap();
    assert_eq!(owed, []);
}

#[tokio::test]
async fn a_restore_that_was_only_waited_for_is_settled_when_it_is_done() {
    let store = Store::new();
    let machine = Machine::empty(&store);
    machine.register("work").await;
    let work = "work".parse().unwrap();
    machine.desk.release(&work).await.unwrap();
    // It starts without the store, as it has agreed with it before.
    store.fail("kimi", 2);
    let known = take_over(&machine.desk).await.unwrap();
    store.fail("kimi", 0);
    let (path, whole) = damaged(&store).await;

    during(&machine, known, async |house| {
        house.workspace.ready(&family()).await.unwrap_err();
        let owed = house.store.owed_releases().await.unwrap();
        assert_eq!(owed, [], "it is no group");
        machine.register_as("family", WHATSAPP).await;
        a_minute_passes(house).await;
        house.workspace.ready(&family()).await.unwrap_err();
        assert_eq!(house.store.owed_releases().await.unwrap().len(), 1);
        store.inner().put(&path, whole.into()).await.unwrap();
        a_minute_passes(house).await;
        house.workspace.ready(&family()).await.unwrap();
    })
    .await;

    let owed = machine.desk.house.store.owed_releases().await.unwrap();
    assert_eq!(owed, []);
}

#[tokio::test]
async fn what_was_owed_to_a_group_that_is_gone_is_forgotten_at_the_start() {
    let store = Store::new();
    let machine = Machine::with_family(&store).await;
    let house = &machine.desk.house;
    let (stranger, now) = ("stranger".parse().unwrap(), house.clock.now());
    house.store.owe_release(stranger, now).await.unwrap();
    let known = take_over(&machine.desk).await.unwrap();

    during(&machine, known, async |_house| {}).await;

    let owed = machine.desk.house.store.owed_releases().await.unwrap();
    assert_eq!(owed, []);
}
