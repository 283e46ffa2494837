//! The image that agents in containers start from: missing, on its way, and gone again.

use std::path::Path;

use crate::agents::ask;
use crate::containers::{WAIT, send, text};
use crate::engine::{self, Boxed, docker, said, until};
use crate::gate::Gate;

/// Another name for the agents' image, for one test.
struct Name(String);

impl Name {
    /// In a registry or in none, by what it begins with; nothing is called that yet.
    fn new(name: &str) -> Self {
        Self(format!("{name}-{}:1", std::process::id()))
    }

    fn give(&self) {
        said(&["tag", engine::IMAGE, &self.0]);
    }

    fn take(&self) {
        said(&["rmi", &self.0]);
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        docker(&["rmi", &self.0]);
    }
}

/// An installation that speaks to the engine through a gate there.
fn behind_a_gate(script: &str, socket: &Path) -> Boxed {
    let socket = socket.display();
    Boxed::new(script, &format!("docker_host = \"unix://{socket}\"\n"))
}

#[test]
fn an_image_that_is_not_there_is_named_with_what_makes_it() {
    if !engine::is_there() {
        return;
    }
    let boxed = Boxed::new("", "");
    boxed.use_image("no-such-image");
    boxed.stage.check_refused(
        2,
        "the image `no-such-image` is not there; `container/build --profile release`",
    );
}

#[test]
fn an_image_that_goes_away_meanwhile_is_told_to_who_asks() {
    if !engine::is_there() {
        return;
    }
    let boxed = Boxed::new("", "");
    let gone = Name::new("nanokimi-test-gone");
    gone.give();
    boxed.use_image(&gone.0);
    let nanokimi = boxed.stage.start(&[]);
    gone.take();
    let answer = ask(&nanokimi);
    assert_eq!(answer.status, 502, "{answer:?}");
    assert!(
        answer
            .body
            .contains(&format!("the image `{}` is not there", gone.0)),
        "{answer:?}"
    );
}

#[test]
fn what_was_asked_before_waits_for_an_image_that_is_being_pulled() {
    if !engine::is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let gate = Gate::open(&socket);
    let boxed = behind_a_gate(&format!("cat > /dev/null\n{WAIT}{}", text("ok")), &socket);
    let mut killed = boxed.stage.start(&[]);
    let _asked = send(&killed);
    boxed.left("here");
    killed.kill();
    fs_err::remove_file(boxed.stage.root.path().join("groups/ada/here")).unwrap();

    let image = Name::new("localhost/nanokimi-test-pulled");
    boxed.use_image(&image.0);
    let successor = std::thread::scope(|scope| {
        let starting = scope.spawn(|| boxed.stage.start(&[]));
        until("a pull", || gate.pulls() > 0);
        // Whoever does not wait for it takes what was left behind away, and fails, meanwhile.
        until("an engine without boxes", || boxed.containers().is_empty());
        let status = boxed.stage.run(&["status", "--json"]).stdout;
        let status = String::from_utf8(status).unwrap();
        assert!(!status.contains("\"failed\": 1"), "{status}");
        image.give();
        gate.let_images_come();
        starting.join().unwrap()
    });
    boxed.left("here");
    boxed.go();
    let since = "Last-Event-ID: 0\r\n";
    let seen = successor.read_until("/v1/events", since, "\"outcome\":");
    assert!(seen.contains("\"outcome\":\"answered\""), "{seen}");
}

#[test]
fn an_image_that_went_away_is_pulled_again_if_it_comes_from_a_registry() {
    if !engine::is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let gate = Gate::open(&socket);
    let boxed = behind_a_gate(&format!("cat > /dev/null\n{}", text("ok")), &socket);
    let image = Name::new("localhost/nanokimi-test-again");
    image.give();
    boxed.use_image(&image.0);
    let nanokimi = boxed.stage.start(&[]);
    image.take();
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask(&nanokimi));
        until("a pull", || gate.pulls() > 0);
        image.give();
        gate.let_images_come();
        let answer = asking.join().unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    });
}
