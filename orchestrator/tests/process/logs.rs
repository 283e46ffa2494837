//! The log files of one that runs for long.

use std::collections::BTreeMap;

use crate::stage::Stage;

#[test]
fn full_logs_are_put_aside_so_many_are_kept_and_no_line_between_them_is_lost() {
    let stage = Stage::new();
    stage.write(
        "nanokimi.toml",
        "agent_runtime = 'host'\nagent_runner = '/bin/true'\nhttp_listen = '127.0.0.1:0'\n\
         log_max_size = 4096\nlog_max_files = 3\n",
    );
    let mut nanokimi = stage.start(&[]);
    for number in 0..150 {
        let body = format!("{{\"text\":\"{number}\"}}");
        let answer = nanokimi.ask("POST", "/v1/groups/main/messages", &body);
        assert_eq!(answer.status, 202, "{answer:?}");
    }
    stage.stop(&nanokimi);
    assert_eq!(nanokimi.wait(), Some(0));

    let mut logs = BTreeMap::new();
    for entry in fs_err::read_dir(stage.root.path().join("logs")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        logs.insert(name, fs_err::read_to_string(path).unwrap());
    }
    let names: Vec<&str> = logs.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "nanokimi.error.log",
            "nanokimi.log",
            "nanokimi.log.1",
            "nanokimi.log.2"
        ]
    );
    assert!(logs.values().all(|log| log.len() <= 4096));
    let written = ["nanokimi.log.2", "nanokimi.log.1", "nanokimi.log"].map(|name| &*logs[name]);
    let lines = written.concat();
    assert!(lines.ends_with(" stopped\n"), "{lines}");
    // What left last is there without a gap.
    let database = rusqlite::Connection::open(stage.root.path().join("store/messages.db")).unwrap();
    let mut rows = database
        .prepare("SELECT message_id FROM outbox ORDER BY id")
        .unwrap();
    let ids = rows.query_map([], |row| row.get(0)).unwrap();
    let ids: Vec<String> = ids.map(Result::unwrap).collect();
    let sent = lines.lines().filter(|line| line.contains("Message sent"));
    let told: Vec<&str> = sent
        .map(|line| line.rsplit_once("id=").unwrap().1)
        .collect();
    assert!((20..150).contains(&told.len()), "{lines}");
    assert_eq!(told, ids[ids.len() - told.len()..]);
}
