//! What agents see of the machine besides their folders: granted by a list that lies outside.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::agents::{RESULT, ask, installation};
use crate::engine::{self, Boxed};
use crate::stage::Stage;

/// A folder with photos and a list that allows them to be seen, and what is said in the settings.
struct Outside {
    folder: tempfile::TempDir,
}

impl Outside {
    fn new() -> Self {
        let outside = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        for name in ["photos", "secret"] {
            let path = outside.path().join(name);
            fs_err::create_dir(&path).unwrap();
            // The user of a box is another than who plays this.
            fs_err::set_permissions(&path, PermissionsExt::from_mode(0o777)).unwrap();
            fs_err::write(path.join("one"), format!("of {name}")).unwrap();
        }
        fs_err::set_permissions(outside.path(), PermissionsExt::from_mode(0o755)).unwrap();
        outside.allow(true);
        outside
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn of(&self, name: &str) -> String {
        self.path().join(name).display().to_string()
    }

    /// Main may write to the photos; the others as it is said.
    fn allow(&self, others_read_only: bool) {
        let list = self.path().join("list.json");
        let text = format!(
            "{{\"allowedRoots\": [{{\"path\": \"{}\", \"allowReadWrite\": true}}], \"nonMainReadOnly\": {others_read_only}}}",
            self.of("photos")
        );
        fs_err::write(&list, text).unwrap();
        fs_err::set_permissions(&list, PermissionsExt::from_mode(0o600)).unwrap();
    }

    fn forbid(&self) {
        fs_err::remove_file(self.path().join("list.json")).unwrap();
    }

    fn setting(&self) -> String {
        format!("mount_allowlist = \"{}\"\n", self.of("list.json"))
    }
}

#[track_caller]
fn check_command(stage: &Stage, arguments: &[&str], says: Result<&str, &str>) {
    let output = stage.run(arguments);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    let (code, says) = match says {
        Ok(says) => (0, says),
        Err(says) => (1, says),
    };
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(said.contains(says), "{arguments:?}: {said}");
}

fn report(stage: &Stage) -> String {
    let file = stage.root.path().join("groups/ada/report");
    fs_err::read_to_string(file).unwrap()
}

fn mount(path: &str) -> [&str; 4] {
    ["groups", "mount", "ada", path]
}

#[test]
fn a_mount_that_would_not_be_made_is_not_kept() {
    let outside = Outside::new();
    let stage = Stage::new();
    let settings = stage.root.path().join("nanokimi.toml");
    let text = fs_err::read_to_string(&settings).unwrap() + &outside.setting();
    fs_err::write(&settings, text).unwrap();
    drop(stage.start(&[]));
    let register = ["groups", "register", "http:ada", "--folder", "ada"];
    check_command(&stage, &register, Ok("registered"));
    let (photos, secret) = (outside.of("photos"), outside.of("secret"));
    check_command(&stage, &mount(&secret), Err("no root of the list holds"));
    check_command(&stage, &mount("photos"), Err("from `/` or `~/` on"));
    let named = [&mount(&photos)[..], &["--name", "x:rw"]].concat();
    check_command(&stage, &named, Err("is not a name below /workspace/extra"));
    let writable = [&mount(&photos)[..], &["--writable"]].concat();
    check_command(&stage, &writable, Err("leave out --writable"));
    let stranger = ["groups", "mount", "bob", photos.as_str()];
    check_command(&stage, &stranger, Err("there is no group `bob`"));
    let list = ["groups", "mounts", "ada"];
    check_command(&stage, &list, Ok("nothing is mounted"));

    check_command(
        &stage,
        &mount(&photos),
        Ok("is photos from ada's next agent on"),
    );
    check_command(&stage, &list, Ok(&format!("photos\tro\t{photos}")));
    let unmount = ["groups", "unmount", "ada", "photos"];
    check_command(&stage, &unmount, Ok("unmounted"));
    check_command(&stage, &unmount, Err("has no mount `photos`"));
    outside.forbid();
    check_command(&stage, &mount(&photos), Err("is not there; write it, as"));

    outside.allow(true);
    let host = fs_err::read_to_string(&settings).unwrap();
    let boxed = host.replace("agent_runtime = \"host\"", "agent_runtime = \"docker\"");
    for (elsewhere, says) in [
        ("host_root = '/srv/kimi'\n", "host_root is set"),
        ("docker_host = 'tcp://127.0.0.1:2375'\n", "docker_host is"),
    ] {
        fs_err::write(&settings, format!("{boxed}{elsewhere}")).unwrap();
        check_command(&stage, &mount(&photos), Err(says));
    }
}

#[test]
fn an_agent_that_is_a_process_finds_a_link_as_long_as_the_list_allows_it() {
    let outside = Outside::new();
    let stage = installation(&format!(
        "cat > /dev/null; cat \"$NANOKIMI_EXTRA_DIR/photos/one\" > report 2>&1; echo '{RESULT}'"
    ));
    let settings = stage.root.path().join("nanokimi.toml");
    let text = fs_err::read_to_string(&settings).unwrap() + &outside.setting();
    fs_err::write(&settings, text).unwrap();
    let nanokimi = stage.start(&[]);
    ask(&nanokimi);
    assert!(
        report(&stage).contains("No such file"),
        "{}",
        report(&stage)
    );
    let photos = outside.of("photos");
    check_command(
        &stage,
        &mount(&photos),
        Ok("is photos from ada's next agent on"),
    );
    ask(&nanokimi);
    assert_eq!(report(&stage), "of photos");

    outside.forbid();
    assert_eq!(ask(&nanokimi).status, 200, "it works without");
    assert!(
        report(&stage).contains("No such file"),
        "{}",
        report(&stage)
    );
    let log = fs_err::read_to_string(stage.root.path().join("logs/nanokimi.log")).unwrap();
    assert!(log.contains("it is not mounted"), "{log}");
}

#[test]
fn a_box_shows_what_is_granted_and_lets_it_be_written_to_only_if_the_list_does() {
    if !engine::is_there() {
        return;
    }
    let outside = Outside::new();
    let script = format!(
        "cat > /dev/null
{{
cd /workspace/extra && ls
cat photos/one; echo
touch photos/of-mine 2> /dev/null && echo written || echo refused
}} > report 2>&1
echo '{RESULT}'"
    );
    let boxed = Boxed::new(&script, &outside.setting());
    let nanokimi = boxed.stage.start(&[]);
    ask(&nanokimi);
    assert!(report(&boxed.stage).contains("/workspace/extra: No such"));
    let photos = outside.of("photos");
    check_command(
        &boxed.stage,
        &mount(&photos),
        Ok("is photos from ada's next agent on"),
    );
    ask(&nanokimi);
    assert_eq!(report(&boxed.stage), "photos\nof photos\nrefused\n");

    outside.allow(false);
    let writable = [&mount(&photos)[..], &["--writable"]].concat();
    check_command(&boxed.stage, &writable, Ok("is photos from"));
    ask(&nanokimi);
    assert_eq!(report(&boxed.stage), "photos\nof photos\nwritten\n");
    outside.allow(true);
    ask(&nanokimi);
    assert_eq!(report(&boxed.stage), "photos\nof photos\nrefused\n");
}
