//! What lies where after each step, with which rights.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, SystemTime};

use super::*;

struct Stage(tempfile::TempDir);

fn token(access: &str, expires_at: u32) -> String {
    format!(r#"{{"access_token":"{access}","refresh_token":"r","expires_at":{expires_at}.5}}"#)
}

const OURS: &str = "nanokimi/data/credentials";

impl Stage {
    /// An operator who has logged in, and an installation.
    fn new() -> Self {
        let stage = Self(tempfile::tempdir().unwrap());
        stage.write(".kimi-code/config.toml", "# theirs\n");
        stage.write(".kimi-code/device_id", "d-1");
        stage.write(".kimi-code/mcp.json", "{}");
        stage.write(".kimi-code/credentials/kimi-code.json", &token("host", 100));
        stage.write(".kimi-code/credentials/kimi-code.lock", "");
        stage.write("nanokimi/.env", "");
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs_err::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs_err::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs_err::read_to_string(self.path(name)).unwrap()
    }

    fn forward(&self, settings: &str) {
        self.write("nanokimi/nanokimi.toml", settings);
        let home = self.0.path().display().to_string();
        let environment = [("HOME".to_owned(), home)].into();
        let root = self.path("nanokimi");
        let config = Config::load(&root, &environment).unwrap();
        forward(&root, &config).unwrap();
    }

    fn sync(&self) {
        self.forward("engine = \"acp\"\n");
    }

    fn ours(&self) -> Vec<String> {
        let mut found = Vec::new();
        list(&self.path(OURS), "", &mut found);
        found
    }

    fn token_of_ours(&self) -> String {
        self.read(&format!("{OURS}/credentials/kimi-code.json"))
    }
}

/// Everything below a folder as `<mode> <path>`.
fn list(folder: &Path, below: &str, found: &mut Vec<String>) {
    let Ok(meta) = fs_err::symlink_metadata(folder) else {
        return;
    };
    let mode = meta.permissions().mode() & 0o7777;
    found.push(format!("{mode:o} {below}/"));
    let mut entries: Vec<_> = fs_err::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .collect();
    entries.sort_by_key(fs_err::DirEntry::file_name);
    for entry in entries {
        let name = format!("{below}/{}", entry.file_name().display());
        let meta = entry.metadata().unwrap();
        if meta.is_dir() {
            list(&entry.path(), &name, found);
        } else {
            found.push(format!("{:o} {name}", meta.permissions().mode() & 0o7777));
        }
    }
}

#[test]
fn a_login_is_copied_with_what_belongs_to_it_for_its_owner_alone() {
    let stage = Stage::new();
    stage.sync();
    assert_eq!(
        stage.ours(),
        [
            "700 /",
            "600 /config.toml",
            "700 /credentials/",
            "600 /credentials/kimi-code.json",
            "600 /device_id",
        ]
    );
    assert_eq!(stage.read(&format!("{OURS}/config.toml")), "# theirs\n");
}

#[test]
fn of_two_tokens_the_one_that_is_good_for_longer_stays_and_nothing_is_written_back() {
    let stage = Stage::new();
    stage.sync();
    let ours = format!("{OURS}/credentials/kimi-code.json");
    let theirs = ".kimi-code/credentials/kimi-code.json";

    stage.write(&ours, &token("renewed by an agent", 200));
    stage.sync();
    assert!(stage.token_of_ours().contains("renewed by an agent"));
    assert_eq!(stage.read(theirs), token("host", 100));

    stage.write(theirs, &token("logged in again", 300));
    stage.sync();
    assert!(stage.token_of_ours().contains("logged in again"));

    // What the CLI leaves of a login that was revoked.
    stage.write(theirs, &token("", 400));
    stage.sync();
    assert!(stage.token_of_ours().contains("logged in again"));
    stage.write(&ours, &token("", 500));
    stage.write(theirs, &token("and again", 450));
    stage.sync();
    assert!(stage.token_of_ours().contains("and again"));
}

#[test]
fn settings_are_copied_again_when_they_have_changed() {
    let stage = Stage::new();
    stage.sync();
    stage.write(&format!("{OURS}/config.toml"), "# by hand\n");
    stage.sync();
    assert_eq!(stage.read(&format!("{OURS}/config.toml")), "# by hand\n");

    stage.write(".kimi-code/config.toml", "# changed\n");
    let file = fs_err::File::open(stage.path(".kimi-code/config.toml")).unwrap();
    let later = SystemTime::now() + Duration::from_secs(5);
    file.file().set_modified(later).unwrap();
    stage.sync();
    assert_eq!(stage.read(&format!("{OURS}/config.toml")), "# changed\n");
}

#[test]
fn a_login_that_was_made_for_agents_is_left_alone() {
    let stage = Stage::new();
    stage.write(&format!("{OURS}/config.toml"), "# made here\n");
    stage.sync();
    assert_eq!(stage.read(&format!("{OURS}/config.toml")), "# made here\n");
    assert!(!stage.path(OURS).join("credentials").exists());
}

#[test]
fn a_login_that_nobody_would_use_is_not_copied() {
    let stage = Stage::new();
    stage.forward("");
    assert!(stage.ours().is_empty());
    stage.write("nanokimi/.env", "MOONSHOT_API_KEY=sk-1\n");
    stage.sync();
    assert!(stage.ours().is_empty());
}

#[test]
fn another_mode_leaves_nothing_of_a_login_and_the_operator_keeps_theirs() {
    let stage = Stage::new();
    for mode in ["api_key", "ignore"] {
        stage.write("nanokimi/.env", "");
        stage.sync();
        assert!(!stage.ours().is_empty());
        stage.write("nanokimi/.env", "MOONSHOT_API_KEY=sk-1\n");
        stage.forward(&format!("engine = \"acp\"\nauth_forward = \"{mode}\"\n"));
        assert!(stage.ours().is_empty(), "{mode}");
        let mark = stage.path("nanokimi/data").join(COPIED_FROM);
        assert!(!mark.exists(), "{mode}");
    }
    assert_eq!(stage.read(".kimi-code/config.toml"), "# theirs\n");
}

#[test]
fn the_older_home_is_taken_where_the_newer_one_is_missing() {
    let stage = Stage::new();
    fs_err::rename(stage.path(".kimi-code"), stage.path(".kimi")).unwrap();
    stage.sync();
    assert!(stage.token_of_ours().contains("host"));

    // A login elsewhere takes the place of the whole copy.
    stage.write("nanokimi/other/config.toml", "# other\n");
    stage.write(
        "nanokimi/other/credentials/kimi-code.json",
        &token("other", 1),
    );
    stage.forward("engine = \"acp\"\nauth_source = \"other\"\n");
    assert_eq!(stage.token_of_ours(), token("other", 1));
    assert!(!stage.path(OURS).join("device_id").exists());
}

#[test]
fn a_link_of_the_operator_s_is_not_followed() {
    let stage = Stage::new();
    stage.write("precious.json", &token("precious", 900));
    stage.write("elsewhere/deep.json", &token("precious", 900));
    let tokens = stage.path(".kimi-code/credentials");
    symlink(stage.path("precious.json"), tokens.join("linked.json")).unwrap();
    fs_err::hard_link(stage.path("precious.json"), tokens.join("named.json")).unwrap();
    symlink(stage.path("elsewhere"), tokens.join("folder")).unwrap();
    stage.sync();
    assert_eq!(stage.ours().len(), 5, "{:?}", stage.ours());
    assert!(stage.token_of_ours().contains("host"));
}

#[test]
fn a_home_that_is_a_link_is_no_login() {
    for name in ["", "/config.toml", "/credentials"] {
        let stage = Stage::new();
        let place = stage.path(&format!(".kimi-code{name}"));
        let real = stage.path("real");
        fs_err::rename(&place, &real).unwrap();
        symlink(&real, &place).unwrap();
        stage.sync();
        assert!(stage.ours().is_empty(), "{name}");
    }
}

#[test]
fn a_link_that_an_agent_has_put_into_the_copy_is_replaced() {
    let stage = Stage::new();
    stage.sync();
    let victim = stage.path("victim");
    fs_err::write(&victim, "precious").unwrap();
    let ours = stage.path(OURS);
    fs_err::remove_file(ours.join("config.toml")).unwrap();
    symlink(&victim, ours.join("config.toml")).unwrap();
    fs_err::remove_dir_all(ours.join("credentials")).unwrap();
    fs_err::create_dir(stage.path("outside")).unwrap();
    symlink(stage.path("outside"), ours.join("credentials")).unwrap();

    stage.sync();

    assert_eq!(stage.read("victim"), "precious");
    assert_eq!(fs_err::read_dir(stage.path("outside")).unwrap().count(), 0);
    assert_eq!(stage.ours().len(), 5, "{:?}", stage.ours());
    assert_eq!(stage.read(&format!("{OURS}/config.toml")), "# theirs\n");
}

#[test]
fn a_link_in_place_of_the_copy_is_refused() {
    let stage = Stage::new();
    stage.write("nanokimi/nanokimi.toml", "engine = \"acp\"\n");
    fs_err::create_dir_all(stage.path("nanokimi/data")).unwrap();
    fs_err::create_dir_all(stage.path("outside")).unwrap();
    symlink(stage.path("outside"), stage.path(OURS)).unwrap();
    let home = stage.0.path().display().to_string();
    let root = stage.path("nanokimi");
    let config = Config::load(&root, &[("HOME".to_owned(), home)].into()).unwrap();

    let error = forward(&root, &config).unwrap_err().to_string();

    assert!(error.contains("data/credentials"), "{error}");
    assert_eq!(fs_err::read_dir(stage.path("outside")).unwrap().count(), 0);
}
