//! Whose turn it is, and what becomes of what was claimed when its run fails.

use super::*;

fn give_up() -> Release {
    Release::GiveUp {
        error: "boom".to_owned(),
        report: "I could not do it".to_owned(),
    }
}

fn done(session: &str) -> Release {
    super::done(Some(session.parse().unwrap()))
}

fn context(claim: &Claim) -> Vec<bool> {
    match &claim.unit {
        Unit::Messages(messages) => messages.iter().map(|message| message.is_context).collect(),
        Unit::Task(_) => Vec::new(),
    }
}

impl House {
    /// Has a task queued that comes again at `next`, if at all.
    async fn task_is_due(&self, now: &str, next: Option<&'static str>) {
        let schedule_type = match next {
            Some(_) => ScheduleType::Interval,
            None => ScheduleType::Once,
        };
        let task = NewTask {
            next_run: at(now),
            schedule_type,
            ..hourly()
        };
        let created = self.store.create_task(task, None, at("09:00:00"));
        assert!(created.await.unwrap());
        let next = move |_: &Task, _| Ok(next.map(at));
        let due = self.store.claim_due(at(now), next).await.unwrap();
        assert!(due[0].run.is_some());
    }

    async fn said(&self) -> Vec<String> {
        let heads = self.store.unsent_heads().await.unwrap();
        heads.into_iter().map(|head| head.text).collect()
    }
}

#[tokio::test]
async fn what_called_nobody_is_context_in_every_attempt() {
    let house = house().await;
    house.write("m1", MessageState::Waiting).await;
    house.write("m2", MessageState::Queued).await;
    let as_told = [true, false];

    let claim = house.claim().await.unwrap();
    assert_eq!(context(&claim), as_told);
    house.release(&claim, retry()).await;
    assert_eq!(house.messages().await, "1 queued, 1 waiting");

    let claim = house.claim().await.unwrap();
    assert_eq!(context(&claim), as_told);
    house.release(&claim, Release::Interrupted).await;

    let claim = house.claim().await.unwrap();
    assert_eq!((context(&claim), claim.attempt), (as_told.to_vec(), 2));
    house.store.recover(at("09:10:00")).await.unwrap();

    let claim = house.claim().await.unwrap();
    assert_eq!(context(&claim), as_told);
    house.release(&claim, give_up()).await;

    house.write("m3", MessageState::Queued).await;
    assert_eq!(
        context(&house.claim().await.unwrap()),
        [true, false, false],
        "given up, and told once more"
    );
}

#[tokio::test]
async fn what_was_not_begun_is_no_attempt() {
    let house = house().await;
    house.task_is_due("09:00:00", None).await;
    for _ in 0..9 {
        let claim = house.claim().await.unwrap();
        assert_eq!((texts(&claim), claim.attempt), (vec!["brief"], 1));
        let away = Release::Retry {
            error: "no engine".to_owned(),
            at: at("09:00:10"),
            counts: false,
        };
        assert_eq!(house.release(&claim, away).await.fate, Fate::Queued);
    }
}

#[tokio::test]
async fn whoever_waits_longest_is_next() {
    let house = house().await;
    house.task_is_due("09:00:00", Some("10:00:00")).await;
    house.write("m1", MessageState::Queued).await;

    let task = house.claim().await.unwrap();
    assert_eq!(texts(&task), ["brief"]);
    house.release(&task, Release::Interrupted).await;

    let claim = house.claim().await.unwrap();
    assert_eq!(texts(&claim), ["text of m1"]);
    house.release(&claim, done("s-1")).await;

    let task = house.claim().await.unwrap();
    assert_eq!((texts(&task), task.attempt), (vec!["brief"], 1));
}

#[tokio::test]
async fn a_task_that_does_not_come_again_is_tried_again_and_given_up_aloud() {
    let house = house().await;
    house.task_is_due("09:00:00", None).await;
    let claim = house.claim().await.unwrap();
    assert_eq!(house.release(&claim, retry()).await.fate, Fate::Due);
    assert!(house.claim().await.is_none(), "people do not wait for it");

    let due = house.store.claim_due(at("09:00:10"), |_, _| Ok(None));
    assert_eq!(due.await.unwrap()[0].due_at, at("09:00:10"));
    let claim = house.claim().await.unwrap();
    assert_eq!(claim.attempt, 2);
    let released = house.release(&claim, give_up()).await;

    assert!(released.reported);
    assert_eq!(released.fate, Fate::Over);
    assert_eq!(house.said().await, ["I could not do it"]);
    assert!(house.claim().await.is_none());
}

#[tokio::test]
async fn two_runs_of_one_task_that_wait_are_one() {
    let house = house().await;
    house.task_is_due("09:00:00", Some("09:00:01")).await;
    let claim = house.claim().await.unwrap();
    let next = |_: &Task, _| Ok(Some(at("10:00:00")));
    house.store.claim_due(at("09:00:01"), next).await.unwrap();

    let released = house.release(&claim, Release::Interrupted).await;

    assert_eq!(released.fate, Fate::Over);
    house.claim().await.unwrap();
    assert!(house.claim().await.is_none());
}

#[tokio::test]
async fn a_task_that_comes_again_fails_into_its_log() {
    let house = house().await;
    house.task_is_due("09:00:00", Some("10:00:00")).await;
    let claim = house.claim().await.unwrap();

    let released = house.release(&claim, retry()).await;
    assert_eq!((released.fate, released.reported), (Fate::Over, false));

    assert_eq!(house.said().await, [""; 0]);
    let task = house.store.tasks(None).await.unwrap().remove(0);
    assert_eq!(task.last_result.as_deref(), Some("Error: boom"));
}

#[tokio::test]
async fn a_session_that_was_cleared_under_its_run_is_not_gone_back_to() {
    let house = house().await;
    house.write("m1", MessageState::Queued).await;
    let claim = house.claim().await.unwrap();
    assert!(house.release(&claim, done("s-1")).await.session_stored);

    house.write("m2", MessageState::Queued).await;
    let claim = house.claim().await.unwrap();
    assert_eq!(house.store.clear_sessions(None).await.unwrap(), 1);
    assert!(!house.release(&claim, done("s-1")).await.session_stored);
    assert_eq!(house.store.sessions().await.unwrap(), []);

    house.write("m3", MessageState::Queued).await;
    let claim = house.claim().await.unwrap();
    assert_eq!(claim.session, None);
    assert!(house.release(&claim, done("s-2")).await.session_stored);

    // One that was healed may be called as before.
    house.write("m4", MessageState::Queued).await;
    let claim = house.claim().await.unwrap();
    assert_eq!(house.store.clear_sessions(None).await.unwrap(), 1);
    let healed = Release::Done {
        session: Some("s-2".parse().unwrap()),
        answer: None,
        is_fresh: true,
    };
    assert!(house.release(&claim, healed).await.session_stored);
}
