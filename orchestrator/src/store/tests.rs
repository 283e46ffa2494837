//! What the store promises to the rest of the house.

use std::collections::BTreeSet;

use agent_protocol::{ContextMode, ScheduleType};
use jiff::Timestamp;

mod claims;

use super::*;
use crate::events::RunOutcome;
use crate::ids::{ChatJid, GroupFolder, SessionId};

pub(super) struct House {
    _root: tempfile::TempDir,
    pub(super) store: Store,
}

pub(super) fn at(text: &str) -> Timestamp {
    format!("2026-01-05T{text}Z").parse().unwrap()
}

fn folder(name: &str) -> GroupFolder {
    name.parse().unwrap()
}

fn group(name: &str) -> NewGroup {
    NewGroup {
        folder: folder(name),
        chat: ChatJid::http(name).unwrap(),
        name: name.to_owned(),
        trigger: TriggerRule::Always,
        is_main: name == "main",
    }
}

pub(super) async fn house() -> House {
    let root = tempfile::tempdir().unwrap();
    fs_err::create_dir(root.path().join("store")).unwrap();
    let store = Store::open(root.path()).unwrap();
    store
        .register_group(group("ada"), at("09:00:00"))
        .await
        .unwrap();
    House { _root: root, store }
}

impl House {
    pub(super) async fn write(&self, id: &str, state: MessageState) -> Option<i64> {
        let new = NewMessage {
            chat: ChatJid::http("ada").unwrap(),
            id: id.to_owned(),
            sender: "ada".to_owned(),
            sender_name: "Ada".to_owned(),
            content: format!("text of {id}"),
            sent_at: at("09:00:00"),
            from_me: false,
            quoted: None,
            media: None,
            media_note: None,
        };
        self.store.store_message(new, state).await.unwrap()
    }

    pub(super) async fn claim(&self) -> Option<Claim> {
        self.store
            .claim(folder("ada"), at("09:00:01"))
            .await
            .unwrap()
    }

    async fn release(&self, claim: &Claim, release: Release) -> Released {
        let ended = at("09:00:02");
        self.store
            .release(claim.clone(), release, ended)
            .await
            .unwrap()
    }

    pub(super) async fn say(&self, claim: &Claim, index: u32) -> Queued {
        self.store
            .queue_output(claim, output(index), at("09:00:01"))
            .await
            .unwrap()
    }

    /// `1 answered, 2 queued`, as the status shows messages.
    async fn messages(&self) -> String {
        let counts = self.store.status().await.unwrap().messages;
        let counts: Vec<String> = counts
            .iter()
            .map(|(state, n)| format!("{n} {state}"))
            .collect();
        counts.join(", ")
    }
}

fn texts(claim: &Claim) -> Vec<&str> {
    match &claim.unit {
        Unit::Messages(messages) => messages.iter().map(|m| m.content.as_str()).collect(),
        Unit::Task(task) => vec![&task.prompt],
    }
}

fn output(index: u32) -> Output {
    Output {
        index,
        parts: vec!["said".to_owned()],
    }
}

fn retry() -> Release {
    Release::Retry {
        error: "boom".to_owned(),
        at: at("09:00:10"),
        counts: true,
    }
}

fn done(session: Option<SessionId>) -> Release {
    Release::Done {
        session,
        answer: None,
        is_fresh: false,
    }
}

#[tokio::test]
async fn a_second_delivery_of_a_message_is_the_same_message() {
    let house = house().await;
    assert!(house.write("m1", MessageState::Queued).await.is_some());
    assert_eq!(house.write("m1", MessageState::Queued).await, None);
    assert_eq!(house.messages().await, "1 queued");
}

#[tokio::test]
async fn a_claim_takes_the_waiting_context_along_in_order_and_only_once() {
    let house = house().await;
    house.write("m1", MessageState::Waiting).await;
    assert!(
        house.claim().await.is_none(),
        "nobody has called the assistant"
    );
    house.write("m2", MessageState::Queued).await;
    house.write("m3", MessageState::Waiting).await;

    let claim = house.claim().await.unwrap();

    assert_eq!(texts(&claim), ["text of m1", "text of m2", "text of m3"]);
    assert!(house.claim().await.is_none());
    assert_eq!(house.messages().await, "3 in_flight");
}

#[tokio::test]
async fn a_run_that_said_nothing_is_retried_and_counted() {
    let house = house().await;
    house.write("m1", MessageState::Queued).await;
    for attempt in 1..=3 {
        let claim = house.claim().await.unwrap();
        assert_eq!(claim.attempt, attempt);
        assert_eq!(house.release(&claim, retry()).await.fate, Fate::Queued);
        assert_eq!(house.messages().await, "1 queued");
    }
}

#[tokio::test]
async fn a_run_that_was_heard_is_not_repeated_when_it_fails_afterwards() {
    let house = house().await;
    house.write("m1", MessageState::Queued).await;
    let claim = house.claim().await.unwrap();
    house.say(&claim, 0).await;

    let released = house.release(&claim, retry()).await;

    assert_eq!(released.fate, Fate::Over);
    assert_eq!(house.messages().await, "1 answered");
}

#[tokio::test]
async fn one_output_of_one_run_is_said_once() {
    let house = house().await;
    house.write("m1", MessageState::Queued).await;
    let claim = house.claim().await.unwrap();
    assert_eq!(house.say(&claim, 0).await, Queued::New);
    assert_eq!(house.say(&claim, 0).await, Queued::Already);
    assert_eq!(house.say(&claim, 1).await, Queued::New);
}

#[tokio::test]
async fn giving_up_is_said_in_the_chat() {
    let house = house().await;
    house.write("m1", MessageState::Queued).await;
    let claim = house.claim().await.unwrap();
    let release = Release::GiveUp {
        error: "boom".to_owned(),
        report: "I could not answer".to_owned(),
    };
    house.release(&claim, release).await;

    assert_eq!(house.messages().await, "1 failed");
    let heads = house.store.unsent_heads().await.unwrap();
    assert_eq!(heads[0].text, "I could not answer");
}

#[tokio::test]
async fn what_was_given_up_gets_one_more_chance_with_the_next_message() {
    let house = house().await;
    let give_up = || Release::GiveUp {
        error: "boom".to_owned(),
        report: "I could not answer".to_owned(),
    };
    house.write("m1", MessageState::Queued).await;
    let claim = house.claim().await.unwrap();
    house.release(&claim, give_up()).await;
    assert!(house.claim().await.is_none(), "not by itself");

    house.write("m2", MessageState::Queued).await;
    let claim = house.claim().await.unwrap();
    assert_eq!(texts(&claim), ["text of m1", "text of m2"]);
    assert_eq!(claim.attempt, 1);
    house.release(&claim, give_up()).await;

    house.write("m3", MessageState::Queued).await;
    let claim = house.claim().await.unwrap();
    assert_eq!(texts(&claim), ["text of m2", "text of m3"]);
}

#[tokio::test]
async fn a_group_is_not_removed_under_its_agent_and_keeps_its_messages() {
    let house = house().await;
    house.write("m1", MessageState::Queued).await;
    let claim = house.claim().await.unwrap();
    let busy = house.store.remove_group(folder("ada")).await;
    assert!(matches!(
        busy,
        Err(StoreError::GroupConflict(GroupConflict::Busy(_)))
    ));
    house.release(&claim, retry()).await;
    assert!(house.store.remove_group(folder("ada")).await.unwrap());
    assert_eq!(house.messages().await, "1 queued");
}

#[tokio::test]
async fn our_own_stop_does_not_count_as_an_attempt() {
    let house = house().await;
    house.write("m1", MessageState::Queued).await;
    let claim = house.claim().await.unwrap();
    house.release(&claim, Release::Interrupted).await;
    assert_eq!(house.claim().await.unwrap().attempt, 1);
}

#[tokio::test]
async fn a_session_is_kept_only_by_a_run_that_succeeded() {
    let house = house().await;
    house.write("m1", MessageState::Queued).await;
    let claim = house.claim().await.unwrap();
    house.release(&claim, retry()).await;
    assert!(house.store.sessions().await.unwrap().is_empty());

    let claim = house.claim().await.unwrap();
    let session = Some("s-1".parse().unwrap());
    let released = house.release(&claim, done(session)).await;
    assert_eq!(released.outcome, RunOutcome::Silent);
    assert_eq!(
        house.store.sessions().await.unwrap()[0].session.as_str(),
        "s-1"
    );

    house.write("m2", MessageState::Queued).await;
    let session = house.claim().await.unwrap().session;
    assert_eq!(session.unwrap().as_str(), "s-1");
}

#[tokio::test]
async fn a_session_that_was_left_is_named_until_it_is_written_down_or_its_group_is_gone() {
    let house = house().await;
    for session in ["s-1", "s-2"] {
        house.write(session, MessageState::Queued).await;
        let claim = house.claim().await.unwrap();
        let session = Some(session.parse().unwrap());
        house.release(&claim, done(session)).await;
        assert_eq!(house.store.clear_sessions(None).await.unwrap(), 1);
    }
    let left = async || {
        house.write("next", MessageState::Queued).await;
        let claim = house.claim().await.unwrap();
        house.release(&claim, retry()).await;
        let names = claim.left.iter().map(|left| left.session.to_string());
        (claim.session, names.collect::<Vec<_>>())
    };
    assert_eq!(left().await, (None, vec!["s-1".into(), "s-2".into()]));
    let written_down = "s-1".parse().unwrap();
    let forget = house.store.forget_left_session(folder("ada"), written_down);
    forget.await.unwrap();
    assert_eq!(left().await, (None, vec!["s-2".into()]));
    assert!(house.store.remove_group(folder("ada")).await.unwrap());
}

#[tokio::test]
async fn an_answer_is_kept_in_the_step_that_ends_its_run_and_once() {
    let house = house().await;
    house.write("m1", MessageState::Queued).await;
    let claim = house.claim().await.unwrap();
    house.say(&claim, 0).await;
    let last = |index| Release::Done {
        session: None,
        answer: Some(output(index)),
        is_fresh: false,
    };
    let released = house.release(&claim, last(1)).await;
    assert_eq!(
        (released.outcome, released.outputs),
        (RunOutcome::Answered, 2)
    );
    assert_eq!(house.release(&claim, last(1)).await.outputs, 2);
    assert_eq!(house.messages().await, "1 answered");
}

#[tokio::test]
async fn a_killed_process_leaves_its_work_queued_unless_it_was_heard() {
    let house = house().await;
    house.write("m1", MessageState::Queued).await;
    house.claim().await.unwrap();
    let recovered = house.store.recover(at("09:10:00")).await.unwrap();
    assert_eq!((recovered.requeued, recovered.answered), (1, 0));
    assert_eq!(recovered.groups, [folder("ada")]);

    let claim = house.claim().await.unwrap();
    house.say(&claim, 0).await;
    let recovered = house.store.recover(at("09:20:00")).await.unwrap();
    assert_eq!((recovered.requeued, recovered.answered), (0, 1));
    assert_eq!(recovered.groups, []);
    assert_eq!(house.messages().await, "1 answered");
    assert_eq!(house.store.unsent_heads().await.unwrap().len(), 1);
}

#[tokio::test]
async fn texts_leave_one_chat_in_the_order_they_were_said() {
    let house = house().await;
    house.write("m1", MessageState::Queued).await;
    let claim = house.claim().await.unwrap();
    house.say(&claim, 0).await;
    house.say(&claim, 1).await;

    let heads = house.store.unsent_heads().await.unwrap();
    assert_eq!(heads.len(), 1, "the second waits for the first");
    let sent = OutboxState::Sent;
    house
        .store
        .note_attempt(heads[0].id, sent, None, at("09:00:03"))
        .await
        .unwrap();
    let next = house.store.unsent_heads().await.unwrap();
    assert!(next[0].message_id.ends_with("-1"));
}

fn hourly() -> NewTask {
    NewTask {
        id: "task-1".parse().unwrap(),
        group: folder("ada"),
        prompt: "brief".to_owned(),
        schedule_type: ScheduleType::Interval,
        schedule_value: "1h".to_owned(),
        context_mode: ContextMode::Isolated,
        next_run: at("10:00:00"),
    }
}

#[tokio::test]
async fn a_due_task_is_queued_once_and_moved_on_in_the_same_step() {
    let house = house().await;
    house
        .store
        .create_task(hourly(), None, at("09:00:00"))
        .await
        .unwrap();
    let next = |_: &Task, _| Ok(Some(at("11:00:00")));
    let due = house.store.claim_due(at("10:00:00"), next).await.unwrap();
    assert!(due[0].run.is_some());
    assert!(
        house
            .store
            .claim_due(at("10:00:00"), next)
            .await
            .unwrap()
            .is_empty()
    );

    // It is due again before it had its turn: still one run.
    let later = |_: &Task, _| Ok(Some(at("12:00:00")));
    let due = house.store.claim_due(at("11:00:00"), later).await.unwrap();
    assert!(due[0].run.is_none());
    assert_eq!(texts(&house.claim().await.unwrap()), ["brief"]);
    assert!(house.claim().await.is_none());
}

#[tokio::test]
async fn what_a_task_has_run_of_the_time_to_come_is_known() {
    let house = house().await;
    let store = &house.store;
    let created = store.create_task(hourly(), None, at("09:00:00"));
    assert!(created.await.unwrap());
    let next = |_: &Task, _| Ok(Some(at("11:00:00")));
    let due = store.claim_due(at("10:00:00"), next).await.unwrap();
    let had = |now| store.had_ahead(due[0].task.clone(), at(now));
    let at_ten = BTreeSet::from([at("10:00:00")]);
    assert_eq!(had("09:30:00").await.unwrap(), at_ten);
    assert_eq!(had("10:00:00").await.unwrap(), BTreeSet::new());
}

#[tokio::test]
async fn a_task_paused_while_it_waits_for_its_turn_does_not_run() {
    let house = house().await;
    house
        .store
        .create_task(hourly(), None, at("09:00:00"))
        .await
        .unwrap();
    let next = |_: &Task, _| Ok(Some(at("11:00:00")));
    house.store.claim_due(at("10:00:00"), next).await.unwrap();
    let task = house.store.tasks(None).await.unwrap().remove(0);
    let pause = crate::task_changes::pause(&task).unwrap();
    house
        .store
        .update_task("task-1".parse().unwrap(), pause)
        .await
        .unwrap();
    assert!(house.claim().await.is_none());
}

#[tokio::test]
async fn a_schedule_that_cannot_be_read_any_more_pauses_its_task() {
    let house = house().await;
    house
        .store
        .create_task(hourly(), None, at("09:00:00"))
        .await
        .unwrap();
    let broken = |_: &Task, _| Err("garbage".to_owned());
    let due = house.store.claim_due(at("10:00:00"), broken).await.unwrap();
    assert_eq!(due[0].broken.as_deref(), Some("garbage"));
    let task = &house.store.tasks(None).await.unwrap()[0];
    assert_eq!(task.status, TaskStatus::Paused);
}

#[tokio::test]
async fn a_group_never_takes_over_another_ones_folder_or_chat() {
    let house = house().await;
    let register = |new| house.store.register_group(new, at("09:00:00"));
    let mut thief = group("eve");
    thief.folder = folder("ada");
    assert!(matches!(
        register(thief).await,
        Err(StoreError::GroupConflict(GroupConflict::FolderTaken { .. }))
    ));
    let mut second = group("ada");
    second.folder = folder("ada2");
    assert!(matches!(
        register(second).await,
        Err(StoreError::GroupConflict(GroupConflict::ChatTaken { .. }))
    ));
    let mut usurper = group("eve");
    usurper.is_main = true;
    assert!(matches!(
        register(usurper).await,
        Err(StoreError::GroupConflict(GroupConflict::MainReserved))
    ));
}

#[tokio::test]
async fn a_full_disk_is_called_by_its_name_and_loses_nothing_that_was_stored() {
    let house = house().await;
    house.write("m1", MessageState::Queued).await;
    let full = house.store.call(|tx| {
        tx.pragma_update(None, "max_page_count", 1)?;
        let filler = "x".repeat(1 << 20);
        tx.execute("UPDATE messages SET content = ?1", [filler])?;
        Ok(())
    });
    let error = full.await.unwrap_err();
    assert!(matches!(error, StoreError::DiskFull), "{error:?}");
    assert_eq!(texts(&house.claim().await.unwrap()), ["text of m1"]);
}
