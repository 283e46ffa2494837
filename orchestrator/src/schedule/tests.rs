//! Schedules through summer time, over clocks that are set back, and in other zones.

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

/// The runs of a cron schedule after `from`, in local time.
#[track_caller]
fn check_cron(value: &str, name: &str, from: &str, runs: &[&str]) {
    let zone = zone(name);
    let mut now = at(from);
    let schedule = Schedule::parse(ScheduleType::Cron, value, &zone, now).unwrap();
    let mut seen = Vec::new();
    for _ in runs {
        let next = schedule.next_but(now, now, &BTreeSet::new()).unwrap();
        assert!(
            next > now,
            "`{value}` in {name} does not move on from {now}"
        );
        let belongs = schedule.belongs(next, now, &BTreeSet::new());
        assert_eq!(belongs, None, "`{value}` in {name} stands at {next}");
        now = next;
        let local = next.to_zoned(zone.clone());
        seen.push(local.strftime("%m-%d %H:%M %:z").to_string());
    }
    assert_eq!(seen, runs, "`{value}` in {name}");
}

#[test]
fn cron_follows_the_clock_on_the_wall_through_summer_time() {
    // 02:30 does not exist on 8 March in New York.
    check_cron(
        "30 2 * * *",
        "America/New_York",
        "2026-03-07T08:00:00Z",
        &["03-08 03:00 -04:00", "03-09 02:30 -04:00"],
    );
    // 01:30 comes twice on 1 November, and the task once.
    check_cron(
        "30 1 * * *",
        "America/New_York",
        "2026-10-31T08:00:00Z",
        &["11-01 01:30 -04:00", "11-02 01:30 -05:00"],
    );
    // Every half hour means every half hour, in the hour that comes twice too.
    check_cron(
        "*/30 * * * *",
        "America/New_York",
        "2026-11-01T05:15:00Z",
        &[
            "11-01 01:30 -04:00",
            "11-01 01:00 -05:00",
            "11-01 01:30 -05:00",
            "11-01 02:00 -05:00",
        ],
    );
    check_cron(
        "0 0 * * *",
        "Africa/Cairo",
        "2026-04-23T08:00:00Z",
        &["04-24 01:00 +03:00", "04-25 00:00 +03:00"],
    );
    check_cron(
        "15 2 * * *",
        "Australia/Lord_Howe",
        "2026-10-03T00:00:00Z",
        &["10-04 02:30 +11:00", "10-05 02:15 +11:00"],
    );
    check_cron(
        "0 * * * *",
        "Europe/Rome",
        "2026-03-29T00:30:00Z",
        &["03-29 03:00 +02:00", "03-29 04:00 +02:00"],
    );
}

#[test]
fn cron_days_are_what_crontab_says() {
    check_cron(
        "0 9 13 * 5",
        "UTC",
        "2026-02-01T00:00:00Z",
        &["02-06 09:00 +00:00", "02-13 09:00 +00:00"],
    );
    check_cron(
        "0 9 * * 1-5",
        "UTC",
        "2026-01-02T10:00:00Z",
        &["01-05 09:00 +00:00"],
    );
    check_cron(
        "0 0 29 2 *",
        "UTC",
        "2026-01-01T00:00:00Z",
        &["02-29 00:00 +00:00"],
    );
}

#[track_caller]
fn check_error(kind: ScheduleType, value: &str, says: &str) {
    let now = at("2026-01-05T09:00:00Z");
    let error = Schedule::parse(kind, value, &zone("UTC"), now).unwrap_err();
    assert!(error.to_string().contains(says), "{error}");
}

#[test]
fn what_cannot_be_read_is_refused_with_the_way_out() {
    check_error(ScheduleType::Cron, "* * * * * *", "five fields");
    check_error(ScheduleType::Cron, "99 * * * *", "five fields");
    check_error(ScheduleType::Cron, "@reboot", "five fields");
    check_error(ScheduleType::Cron, "0 0 31 2 *", "never comes");
    check_error(ScheduleType::Interval, "5 minutes", "`5m`");
    check_error(ScheduleType::Interval, "1e3", "`5m`");
    check_error(ScheduleType::Interval, "-5m", "`5m`");
    check_error(ScheduleType::Interval, "", "`5m`");
    check_error(ScheduleType::Interval, "5", "at least one second");
    check_error(ScheduleType::Interval, "99999999999999999999d", "`5m`");
    check_error(ScheduleType::Interval, "99999999d", "out of range");
    check_error(ScheduleType::Once, "tomorrow", "local date and time");
    check_error(ScheduleType::Once, "2026-02-01", "2026-02-01T09:00:00");
}

#[track_caller]
fn check_slot(every: &str, due: &str, now: &str, next: &str) {
    let schedule = Schedule::parse(ScheduleType::Interval, every, &zone("UTC"), at(now)).unwrap();
    let found = schedule.next_but(at(due), at(now), &BTreeSet::new());
    assert_eq!(found, Some(at(next)));
}

#[test]
fn an_interval_keeps_its_rhythm_and_skips_what_it_missed() {
    check_slot(
        "5m",
        "2026-01-05T09:00:00Z",
        "2026-01-05T09:00:02Z",
        "2026-01-05T09:05:00Z",
    );
    check_slot(
        "300000",
        "2026-01-05T09:00:00Z",
        "2026-01-05T10:01:00Z",
        "2026-01-05T10:05:00Z",
    );
    check_slot(
        "5m",
        "2026-01-05T09:00:00Z",
        "2026-01-05T09:05:00Z",
        "2026-01-05T09:10:00Z",
    );
}

#[test]
fn a_single_instant_is_local_unless_it_says_otherwise_and_comes_once() {
    let now = at("2026-01-05T09:00:00Z");
    let paris = zone("Europe/Paris");
    for (value, instant) in [
        ("2026-07-01T09:00:00", "2026-07-01T07:00:00Z"),
        ("2026-07-01T09:00:00Z", "2026-07-01T09:00:00Z"),
        ("2026-07-01T09:00:00+01:00", "2026-07-01T08:00:00Z"),
        ("2026-03-29T02:30:00", "2026-03-29T01:30:00Z"),
    ] {
        let once = Schedule::parse(ScheduleType::Once, value, &paris, now).unwrap();
        assert_eq!(once.first_run(now), at(instant), "{value}");
        let next = once.next_but(at(instant), now, &BTreeSet::new());
        assert_eq!(next, None);
    }
}

#[test]
fn a_single_instant_is_kept_to_the_millisecond_and_stands_there() {
    let now = at("2026-01-05T09:00:00Z");
    for value in ["2026-07-01T09:00:00.1236", "2026-07-01T09:00:00.1236Z"] {
        let once = Schedule::parse(ScheduleType::Once, value, &zone("UTC"), now).unwrap();
        let kept = at("2026-07-01T09:00:00.123Z");
        assert_eq!(once.first_run(now), kept, "{value}");
        assert_eq!(once.belongs(kept, now, &BTreeSet::new()), None, "{value}");
    }
}

/// Where a task belongs that stands at `stands`, when nine and ten o'clock have had their runs.
#[track_caller]
fn check_belongs(task: (ScheduleType, &str), name: &str, times: [&str; 2], belongs: &str) {
    let [now, stands] = times.map(|time| at(&format!("2026-01-{time}:00Z")));
    let had = ["09:00", "10:00"].map(|time| at(&format!("2026-01-05T{time}:00Z")));
    let schedule = Schedule::parse(task.0, task.1, &zone(name), now).unwrap();
    let found = match schedule.belongs(stands, now, &BTreeSet::from(had)) {
        Some((next, why)) => format!("{next} {why:?}"),
        None => "there".to_owned(),
    };
    assert_eq!(found, belongs, "{task:?} in {name} at {now}");
}

#[test]
fn a_clock_set_back_neither_repeats_nor_loses_a_run() {
    let hourly = (ScheduleType::Cron, "0 * * * *");
    check_belongs(hourly, "UTC", ["05T10:30", "05T11:00"], "there");
    check_belongs(hourly, "UTC", ["05T08:30", "05T11:00"], "there");
    let back = ["05T07:30", "05T11:00"];
    check_belongs(hourly, "UTC", back, "2026-01-05T08:00:00Z Clock");
    let daily = (ScheduleType::Cron, "0 9 * * *");
    let from_a_year_ahead = ["05T08:00", "31T09:00"];
    check_belongs(
        daily,
        "UTC",
        from_a_year_ahead,
        "2026-01-06T09:00:00Z Clock",
    );
    // What was missed is made up for, whatever the clock says.
    check_belongs(hourly, "UTC", ["05T10:30", "05T07:00"], "there");

    let every = (ScheduleType::Interval, "20m");
    check_belongs(every, "UTC", ["05T10:30", "05T10:50"], "there");
    check_belongs(every, "UTC", ["05T10:30", "05T10:10"], "there");
    check_belongs(
        every,
        "UTC",
        ["05T09:31", "05T10:50"],
        "2026-01-05T09:50:00Z Clock",
    );
    check_belongs(
        every,
        "UTC",
        ["05T09:30", "05T10:50"],
        "2026-01-05T09:50:00Z Clock",
    );

    let once = (ScheduleType::Once, "2026-01-05T12:00:00");
    check_belongs(once, "UTC", ["01T10:30", "05T12:00"], "there");
}

#[test]
fn after_a_skipped_instant_comes_the_next_that_had_no_run() {
    let [now, nine, ten] =
        ["08:30", "09:00", "10:00"].map(|time| at(&format!("2026-01-05T{time}:00Z")));
    let hourly = Schedule::parse(ScheduleType::Cron, "0 * * * *", &zone("UTC"), now).unwrap();
    let next = |had: &[Timestamp]| hourly.next_but(now, now, &had.iter().copied().collect());
    assert_eq!(next(&[ten]), Some(nine));
    assert_eq!(next(&[nine]), Some(ten));
    assert_eq!(next(&[nine, ten]), Some(at("2026-01-05T11:00:00Z")));
}

#[test]
fn another_zone_moves_what_is_told_in_local_time() {
    let noon = (ScheduleType::Cron, "0 12 * * *");
    let ahead = ["06T08:00", "06T11:00"];
    check_belongs(noon, "Europe/Paris", ahead, "there");
    let there = "2026-01-06T17:00:00Z Zone";
    check_belongs(noon, "America/New_York", ahead, there);
    // It was due where we are no more, and nobody wants it in the middle of the night.
    check_belongs(noon, "America/New_York", ["06T13:00", "06T11:00"], there);
    let hourly = (ScheduleType::Cron, "0 * * * *");
    check_belongs(
        hourly,
        "America/New_York",
        ["06T08:30", "06T09:00"],
        "there",
    );
    let once = (ScheduleType::Once, "2026-01-06T12:00:00");
    check_belongs(once, "America/New_York", ahead, there);
    check_belongs(once, "America/New_York", ["06T11:30", "06T11:00"], "there");
    let told = (ScheduleType::Once, "2026-01-06T12:00:00+01:00");
    check_belongs(told, "America/New_York", ahead, "there");
    check_belongs((ScheduleType::Interval, "6h"), "Asia/Tokyo", ahead, "there");
}
