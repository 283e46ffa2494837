//! What a runner sees that comes to a door.

use std::io::ErrorKind;

use agent_protocol::door::read_line;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

struct Stage {
    root: TempDir,
    service: TcpListener,
    listed: String,
}

impl Stage {
    async fn new() -> Self {
        let service = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        Self {
            root: tempfile::tempdir().unwrap(),
            listed: service.local_addr().unwrap().to_string(),
            service,
        }
    }

    fn door(&self) -> Door {
        let listed = self.listed.parse().unwrap();
        Door::open(self.root.path().join("run"), &[listed]).unwrap()
    }

    /// Comes to the door with a line, and is told one.
    async fn call(&self, line: &str) -> (UnixStream, String) {
        let socket = self.root.path().join("run").join(DOOR_SOCKET);
        let mut caller = UnixStream::connect(socket).await.unwrap();
        let said = format!("{line}\n");
        caller.write_all(said.as_bytes()).await.unwrap();
        let told = read_line(&mut caller).await.unwrap();
        (caller, told)
    }
}

#[tokio::test]
async fn a_listed_host_is_reached_and_answers() {
    let stage = Stage::new().await;
    let door = stage.door();

    let (mut caller, told) = stage.call(&stage.listed).await;
    assert_eq!(told, "ok");
    let (mut service, _) = stage.service.accept().await.unwrap();
    caller.write_all(b"ping").await.unwrap();
    caller.shutdown().await.unwrap();
    let mut heard = String::new();
    service.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "ping");
    service.write_all(b"pong").await.unwrap();
    drop(service);
    let mut heard = String::new();
    caller.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "pong");
    door.end().await;
}

#[track_caller]
fn check_refused(told: &str, why: &str) {
    assert!(told.starts_with("no ") && told.contains(why), "{told}");
}

#[tokio::test]
async fn every_other_host_is_refused() {
    let stage = Stage::new().await;
    let door = stage.door();
    let other = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();

    let (mut caller, told) = stage.call(&other.local_addr().unwrap().to_string()).await;
    check_refused(&told, "is not among the hosts");
    let ended = caller.read_u8().await.unwrap_err();
    assert_eq!(ended.kind(), ErrorKind::UnexpectedEof);
    let (_caller, told) = stage.call("169.254.169.254:80").await;
    check_refused(&told, "give it a name");
    let (_caller, told) = stage.call("GET / HTTP/1.1").await;
    check_refused(&told, "is not a host and a port");
    door.end().await;
}

#[tokio::test]
async fn a_host_that_is_down_is_named() {
    let mut stage = Stage::new().await;
    let door = stage.door();
    // Another port, so that the listed one is closed.
    stage.service = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();

    let (_caller, told) = stage.call(&stage.listed).await;
    check_refused(&told, &format!("{} cannot be reached", stage.listed));
    door.end().await;
}

#[tokio::test]
async fn the_lifeline_lasts_as_long_as_the_door() {
    let stage = Stage::new().await;
    let door = stage.door();
    let (mut lifeline, told) = stage.call("lifeline").await;
    assert_eq!(told, "ok");
    let (mut caller, _) = stage.call(&stage.listed).await;

    door.end().await;

    for end in [&mut lifeline, &mut caller] {
        let ended = end.read_u8().await.unwrap_err();
        assert_eq!(ended.kind(), ErrorKind::UnexpectedEof);
    }
    assert!(!stage.root.path().join("run").exists());
}

#[tokio::test]
async fn a_crowd_is_turned_away_until_someone_leaves() {
    let stage = Stage::new().await;
    let door = stage.door();
    let mut crowd = Vec::new();
    for _ in 0..MOST {
        crowd.push(stage.call("lifeline").await);
    }
    let (_caller, told) = stage.call(&stage.listed).await;
    check_refused(&told, "64 connections of this agent are open already");

    crowd.clear();
    // The door has heard of it once it lets somebody in; it is asked no oftener than it answers.
    let let_in = async { while stage.call(&stage.listed).await.1 != "ok" {} };
    timeout(PATIENCE, let_in).await.unwrap();
    door.end().await;
}

#[tokio::test]
async fn a_long_way_to_the_root_and_a_door_left_behind_are_no_hindrance() {
    let stage = Stage::new().await;
    let deep = stage.root.path().join("a".repeat(200));
    let listed = stage.listed.parse().unwrap();
    let abandoned = Door::open(deep.join("run"), std::slice::from_ref(&listed)).unwrap();
    drop(abandoned);

    let door = Door::open(deep.join("run"), &[listed]).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&deep), 0o700);
    assert_eq!(mode(door.folder()), 0o755);
    assert_eq!(mode(&door.folder().join(DOOR_SOCKET)), 0o666);
    // As in a box, where the folder is mounted at a short path.
    let short = stage.root.path().join("run");
    std::os::unix::fs::symlink(door.folder(), &short).unwrap();
    let (_caller, told) = stage.call(&stage.listed).await;
    assert_eq!(told, "ok");
    door.end().await;
}

#[tokio::test]
async fn a_box_is_told_where_its_hosts_are() {
    let root = tempfile::tempdir().unwrap();
    let targets = ["openrouter.ai:443", "mock:443", "mock:9100", "localhost:80"];
    let targets = targets.map(|target| target.parse().unwrap());
    let door = Door::open(root.path().join("run"), &targets).unwrap();

    let environment = door.environment();
    assert_eq!(environment[0], (DOOR, "/run/nanokimi/door.sock".to_owned()));
    assert_eq!(
        environment[1].1,
        "localhost:80,openrouter.ai:443,mock:443@127.0.0.2,mock:9100@127.0.0.2"
    );
    assert_eq!(
        door.extra_hosts(),
        ["mock:127.0.0.2", "openrouter.ai:127.0.0.1"]
    );
    door.end().await;
}
