//! `service/nanokimi.service`: what it promises the service manager, played by a small one that
//! reads the unit, and looked over by systemd itself where that is installed.

use std::io::{self, Write};
use std::process::Command;
use std::time::{Duration, Instant};

use orchestrator::Exit;

use crate::agents::installation;
use crate::ends::{alive, check_becomes};
use crate::stage::Stage;

const UNIT: &str = include_str!("../../service/nanokimi.service");

/// The value of a key that stands once in the unit.
#[track_caller]
fn value(key: &str) -> &'static str {
    let mut values = UNIT.lines().filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name == key).then_some(value)
    });
    let value = values.next();
    assert_eq!(values.next(), None, "{key} stands there twice");
    value.unwrap_or_else(|| panic!("{key} is not in the unit"))
}

/// A span as the unit writes it: `30s`, `3min`.
#[track_caller]
fn span(key: &str) -> Duration {
    let text = value(key);
    let (count, unit) = text.split_at(text.find(char::is_alphabetic).unwrap());
    let seconds = match unit {
        "s" => 1,
        "min" => 60,
        other => panic!("`{other}` of {key} is no unit that is known here"),
    };
    Duration::from_secs(seconds * count.parse::<u64>().unwrap())
}

/// What an installation without settings of its own has for one, in whole units.
pub(crate) fn default_of(setting: &str) -> Duration {
    let stage = Stage::new();
    let told = stage.run(&["config"]);
    let told = String::from_utf8(told.stdout).unwrap();
    let line = told.lines().find(|line| line.starts_with(setting));
    let text = line.and_then(|line| line.split_whitespace().nth(2));
    let text = text.unwrap().trim_matches('"');
    let (count, unit) = text.split_at(text.find(char::is_alphabetic).unwrap());
    let seconds = if unit == "m" { 60 } else { 1 };
    Duration::from_secs(seconds * count.parse::<u64>().unwrap())
}

#[test]
fn five_busy_agents_that_heed_nothing_are_gone_within_the_stop_the_unit_allows() {
    assert_eq!(value("KillSignal"), "SIGTERM");
    assert_eq!(value("KillMode"), "mixed");
    let stage =
        installation("trap '' TERM; cat > /dev/null; touch working; while :; do sleep 5454; done");
    let mut nanokimi = stage.start(&[]);
    let groups = ["ada", "bob", "carol", "dave", "eve"];
    let _asking = groups.map(|group| {
        let message =
            format!(r#"{{"session_id":"{group}","messages":[{{"role":"user","content":"x"}}]}}"#);
        nanokimi.send("POST", "/v1/chat/completions", &message)
    });
    for group in groups {
        let working = stage.root.path().join(format!("groups/{group}/working"));
        check_becomes("five agents at work", || working.exists());
    }
    let told = Instant::now();
    stage.stop(&nanokimi);
    assert_eq!(nanokimi.wait(), Some(0));
    // No measure of speed: after this the service manager kills.
    assert!(told.elapsed() < span("TimeoutStopSec"));
    assert_eq!(alive("sleep 5454"), <[String; 0]>::default());
}

#[test]
fn the_unit_leaves_more_time_than_the_settings_take() {
    let reserve = Duration::from_secs(10);
    assert!(span("TimeoutStopSec") >= default_of("shutdown_grace") + reserve);
    let before_ready = default_of("docker_wait") + orchestrator::PULL;
    assert!(span("TimeoutStartSec") >= before_ready + reserve);
}

#[test]
fn what_only_a_person_can_mend_is_not_tried_again() {
    let kept_down: Vec<i32> = value("RestartPreventExitStatus")
        .split(' ')
        .map(|code| code.parse().unwrap())
        .collect();
    let persons = [Exit::Usage, Exit::Folder, Exit::NotLinked, Exit::LoggedOut];
    assert_eq!(kept_down, persons.map(|exit| exit as i32));
    assert_eq!(value("Restart"), "on-failure");
    let stage = Stage::new();
    stage.write("nanokimi.toml", "max_concurrent = 0\n");
    stage.check_refused(kept_down[0], "max_concurrent");
}

#[test]
fn it_says_that_it_is_ready_alive_and_stopping() {
    assert_eq!(value("Type"), "notify");
    let stage = installation("cat > /dev/null");
    let every = Duration::from_millis(200);
    let mut nanokimi = stage.start_watched(every);
    for _sign in 0..3 {
        assert_eq!(nanokimi.says(), "WATCHDOG=1");
    }
    assert!(every < span("WatchdogSec"));
    stage.stop(&nanokimi);
    check_becomes("word of the stop", || nanokimi.says() == "STOPPING=1");
    assert_eq!(nanokimi.wait(), Some(0));
}

#[test]
fn systemd_understands_every_line() {
    let there = Command::new("systemd-analyze").arg("--version").output();
    if there.is_err() {
        let told = writeln!(
            io::stderr(),
            "not tried: systemd-analyze is not installed here"
        );
        told.unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // It looks whether the program is there, and ours is elsewhere until it is installed.
    let unit = UNIT.replace(
        "ExecStart=nanokimi",
        concat!("ExecStart=", env!("CARGO_BIN_EXE_nanokimi")),
    );
    let path = folder.path().join("nanokimi.service");
    fs_err::write(&path, unit).unwrap();
    let looked = Command::new("systemd-analyze")
        .arg("verify")
        .arg(&path)
        .output();
    let looked = looked.unwrap();
    let said = String::from_utf8_lossy(&looked.stderr).into_owned();
    let ours: Vec<_> = said
        .lines()
        .filter(|line| line.contains("nanokimi"))
        .collect();
    assert!(ours.is_empty(), "{said}");
}
