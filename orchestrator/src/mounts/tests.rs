//! Each rule of what may be mounted, on a disk with everything that could lead astray.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::allowlist::is_trusted;
use super::granted::hold_each_other;
use super::*;

struct Disk {
    folder: tempfile::TempDir,
}

const PHOTOS: &str = r#"{"allowedRoots": [{"path": "~/photos", "allowReadWrite": true}]}"#;

impl Disk {
    fn new(list: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let disk = Self { folder };
        for made in [
            "root/groups",
            "home/.config",
            "home/photos/summer",
            "home/secret",
        ] {
            fs_err::create_dir_all(disk.at(made)).unwrap();
        }
        disk.write_list(list);
        disk
    }

    fn write_list(&self, text: &str) {
        let list = self.at("home/.config/list.json");
        fs_err::write(&list, text).unwrap();
        fs_err::set_permissions(&list, PermissionsExt::from_mode(0o600)).unwrap();
    }

    /// Without links, as the system may hand out a folder behind one.
    fn at(&self, path: &str) -> PathBuf {
        let folder = fs_err::canonicalize(self.folder.path()).unwrap();
        folder.join(path)
    }

    fn ground(&self) -> Ground {
        Ground {
            root: self.at("root"),
            home: Some(self.at("home")),
            list: Some(self.at("home/.config/list.json")),
        }
    }

    fn judge(&self, is_main: bool, asked: &AskedMount) -> Result<Granted, String> {
        let ground = self.ground();
        let list = read_allowlist(&ground).map_err(|error| crate::chain(&error))?;
        grant(asked, is_main, (&list, &ground)).map_err(|error| crate::chain(&error))
    }

    fn asked(&self, is_main: bool, path: &str, writable: bool) -> Result<Granted, String> {
        let asked = AskedMount::new(path, Some("x"), writable).unwrap();
        self.judge(is_main, &asked)
    }

    #[track_caller]
    fn check_refused(&self, path: &str, says: &str) {
        let refused = self.asked(true, path, false).unwrap_err();
        assert!(refused.contains(says), "{path}: {refused}");
    }
}

#[track_caller]
fn check_no_mount(path: &str, name: Option<&str>) {
    let asked = AskedMount::new(path, name, false);
    assert!(asked.is_err(), "{path} as {name:?} is accepted");
}

#[test]
fn a_name_leads_nowhere_and_says_nothing_to_the_engine() {
    for name in [
        "",
        ".",
        "..",
        "a/b",
        "/etc",
        "x:rw",
        "x,y",
        "a b",
        ".hidden",
        "a\nb",
        "ä",
        &"a".repeat(65),
    ] {
        check_no_mount("/srv/photos", Some(name));
    }
    for name in ["photos", "2026-01", "a.b_c"] {
        assert!(AskedMount::new("/srv/photos", Some(name), false).is_ok());
    }
}

#[test]
fn a_path_is_whole_and_does_not_climb() {
    for path in [
        "",
        "photos",
        "./photos",
        "/srv/../etc",
        "~/..",
        "~bob/x",
        "/a\nb",
    ] {
        check_no_mount(path, Some("x"));
    }
    for path in ["/", "~"] {
        check_no_mount(path, None);
    }
    let named = AskedMount::new("~/photos/summer", None, false).unwrap();
    assert_eq!(named.name.as_str(), "summer");
}

#[test]
fn what_lies_below_a_root_is_granted_and_nothing_else() {
    let disk = Disk::new(PHOTOS);
    for path in ["~/photos", "~/photos/summer"] {
        let granted = disk.asked(true, path, false).unwrap();
        assert!(!granted.writable);
        assert_eq!(granted.path, disk.at(&path.replace('~', "home")));
    }
    disk.check_refused("~/secret", "no root of the list holds");
    disk.check_refused("~", "no root of the list holds");
    fs_err::create_dir(disk.at("home/photos-of-others")).unwrap();
    disk.check_refused("~/photos-of-others", "no root of the list holds");
    disk.check_refused("~/photos/winter", "cannot be found");
}

#[test]
fn a_link_counts_as_what_it_leads_to() {
    let disk = Disk::new(PHOTOS);
    symlink(disk.at("home/secret"), disk.at("home/photos/out")).unwrap();
    disk.check_refused("~/photos/out", "no root of the list holds");
    fs_err::create_dir(disk.at("home/secret/deep")).unwrap();
    disk.check_refused("~/photos/out/deep", "no root of the list holds");
    symlink(disk.at("home/photos/summer"), disk.at("home/photos/warm")).unwrap();
    let granted = disk.asked(true, "~/photos/warm", false).unwrap();
    assert_eq!(granted.path, disk.at("home/photos/summer"));
    // The list too may name a link, and what is asked for either.
    symlink(disk.at("home/photos"), disk.at("home/pictures")).unwrap();
    disk.write_list(r#"{"allowedRoots": [{"path": "~/pictures"}]}"#);
    for path in ["~/pictures/summer", "~/photos/summer"] {
        let granted = disk.asked(true, path, false).unwrap();
        assert_eq!(granted.path, disk.at("home/photos/summer"));
    }
}

#[test]
fn what_is_named_outside_of_all_roots_is_not_looked_for() {
    let disk = Disk::new(PHOTOS);
    // If it were looked for, it could not be found, or would lead into a root.
    disk.check_refused("~/nowhere", "no root of the list holds");
    symlink(disk.at("home/photos"), disk.at("home/pictures")).unwrap();
    disk.check_refused("~/pictures", "no root of the list holds");
}

#[test]
fn a_name_that_no_engine_can_be_told_is_refused() {
    let disk = Disk::new(PHOTOS);
    let name = disk.at("home/photos").join(OsStr::from_bytes(b"caf\xe9"));
    fs_err::create_dir(&name).unwrap();
    symlink(&name, disk.at("home/photos/coffee")).unwrap();
    disk.check_refused("~/photos/coffee", "is no UTF-8");
}

#[test]
fn a_root_is_not_led_out_of_another_by_a_link_that_an_agent_may_have_put_there() {
    let nested = r#"{"allowedRoots": [{"path": "~/photos", "allowReadWrite": true}, {"path": "~/photos/album"}]}"#;
    let disk = Disk::new(nested);
    let album = disk.at("home/photos/album");
    symlink(disk.at("home/photos/summer"), &album).unwrap();
    disk.asked(true, "~/photos/album", false).unwrap();
    fs_err::remove_file(&album).unwrap();
    symlink(disk.at("home/secret"), &album).unwrap();
    disk.check_refused("~/photos/album", "no root of the list holds");
    disk.check_refused("~/secret", "no root of the list holds");
    // The way may go by the other root though it is not written so.
    symlink(disk.at("home/photos"), disk.at("home/pictures")).unwrap();
    disk.write_list(&nested.replace("~/photos/album", "~/pictures/album"));
    disk.check_refused("~/pictures/album", "no root of the list holds");
    // Where no agent writes, a link is the operator's.
    disk.write_list(&nested.replace("true", "false"));
    disk.asked(true, "~/photos/album", false).unwrap();
}

async fn judged(disk: &Disk, kept: &[GroupMount], path: &str) -> Result<Granted, String> {
    let judge = Judge::new(disk.ground(), kept).await.unwrap();
    let asked = AskedMount::new(path, Some("x"), false).unwrap();
    let one = judge.judge(true, &asked).await;
    let all = judge.judge_all(true, &[asked]).await;
    assert_eq!(one.is_ok(), all[0].is_ok(), "{path}");
    one.map_err(|why| crate::chain(&why))
}

#[tokio::test]
async fn what_an_agent_could_exchange_is_not_mounted() {
    let disk = Disk::new(PHOTOS);
    let kept = |path: &str, is_main: bool, writable: bool| GroupMount {
        is_main,
        asked: AskedMount::new(path, Some("y"), writable).unwrap(),
    };
    let written = [kept("~/photos", true, true)];
    let refused = judged(&disk, &written, "~/photos/summer").await;
    let refused = refused.unwrap_err();
    assert!(refused.contains("could exchange"), "{refused}");
    judged(&disk, &written, "~/photos").await.unwrap();
    // Of those that write nothing, or are not granted it, nothing is feared.
    let read = [
        kept("~/photos", true, false),
        kept("~/photos", false, true),
        kept("~", true, true),
    ];
    judged(&disk, &read, "~/photos/summer").await.unwrap();
}

#[test]
fn what_was_exchanged_since_is_noticed() {
    let disk = Disk::new(PHOTOS);
    let granted = disk.asked(true, "~/photos/summer", false).unwrap();
    assert!(granted.is_still_there());
    let (summer, aside) = (disk.at("home/photos/summer"), disk.at("home/photos/aside"));
    fs_err::rename(&summer, &aside).unwrap();
    assert!(!granted.is_still_there());
    fs_err::create_dir(&summer).unwrap();
    assert!(!granted.is_still_there());
    fs_err::remove_dir(&summer).unwrap();
    symlink(&aside, &summer).unwrap();
    assert!(!granted.is_still_there(), "by a link to itself");
}

#[test]
fn a_blocked_name_is_a_whole_part_of_the_path() {
    let list = r#"{"allowedRoots": [{"path": "~"}], "blockedPatterns": ["private", "tax-*"]}"#;
    let disk = Disk::new(list);
    for path in [
        ".ssh",
        "photos/.aws/x",
        "photos/private",
        "private/x",
        "tax-2026",
        "app/.env.local",
        "id_rsa.pub",
        "id_ecdsa.pub",
        ".secrets",
        "private_key.pem",
        "prod.env",
        "credentials.json",
    ] {
        fs_err::create_dir_all(disk.at("home").join(path)).unwrap();
        disk.check_refused(&format!("~/{path}"), "is blocked");
    }
    for path in ["my.environment", "privately", "x-private", "taxes"] {
        fs_err::create_dir(disk.at("home").join(path)).unwrap();
        disk.asked(true, &format!("~/{path}"), false).unwrap();
    }
    symlink(disk.at("home/photos/private"), disk.at("home/photos/open")).unwrap();
    disk.check_refused("~/photos/open", "`private` is blocked");
}

#[track_caller]
fn check_writable(list: &str, [main, other]: [bool; 2]) {
    let disk = Disk::new(list);
    let writable = |is_main| {
        disk.asked(is_main, "~/photos/summer", true)
            .unwrap()
            .writable
    };
    assert_eq!([writable(true), writable(false)], [main, other], "{list}");
    let read_only = disk.asked(true, "~/photos/summer", false).unwrap();
    assert!(!read_only.writable, "it was not asked for");
}

#[test]
fn to_write_takes_the_wish_the_root_and_the_main_group() {
    check_writable(PHOTOS, [true, false]);
    check_writable(
        r#"{"allowedRoots": [{"path": "~/photos"}]}"#,
        [false, false],
    );
    let for_all = r#"{"allowedRoots": [{"path": "~/photos", "allowReadWrite": true}], "nonMainReadOnly": false}"#;
    check_writable(for_all, [true, true]);
    // The nearest root decides.
    let nearest =
        r#"{"allowedRoots": [{"path": "~/photos/summer"}, {"path": "~", "allowReadWrite": true}]}"#;
    check_writable(nearest, [false, false]);
}

#[test]
fn our_own_folder_and_the_list_are_not_mounted() {
    let disk = Disk::new(r#"{"allowedRoots": [{"path": "/"}]}"#);
    let root = disk.at("root");
    for ours in [root.clone(), root.join("groups"), disk.at("")] {
        disk.check_refused(&ours.display().to_string(), "nanokimi's own folder");
    }
    for holder in ["~", "~/.config", "~/.config/list.json"] {
        disk.check_refused(holder, "holds the list");
    }
}

#[test]
fn a_second_path_to_our_own_folder_is_known_by_what_it_leads_to() {
    let disk = Disk::new(PHOTOS);
    let (root, second) = (disk.at("root"), disk.at("home/second"));
    // By its name it is elsewhere, as a bind mount is.
    symlink(&root, &second).unwrap();
    let hold = |one: &Path, other: &Path| hold_each_other(one, other).unwrap();
    assert!(hold(&second, &root));
    assert!(hold(&second.join("groups"), &root));
    assert!(hold(&root, &second.join("groups")));
    assert!(!hold(&disk.at("home/photos"), &root));
}

#[test]
fn the_way_to_the_list_is_as_safe_as_the_list() {
    let disk = Disk::new(r#"{"allowedRoots": [{"path": "~"}]}"#);
    for made in ["lists", "home/dot"] {
        fs_err::create_dir(disk.at(made)).unwrap();
    }
    let list = disk.at("home/.config/list.json");
    fs_err::rename(&list, disk.at("lists/list.json")).unwrap();
    symlink(disk.at("lists/list.json"), disk.at("home/dot/list.json")).unwrap();
    symlink("../dot/list.json", &list).unwrap();
    for holder in ["~/.config", "~/dot"] {
        disk.check_refused(holder, "holds the list");
    }
    disk.asked(true, "~/photos", false).unwrap();
    // It ends outside of our root, but goes by it.
    fs_err::remove_file(disk.at("home/dot/list.json")).unwrap();
    symlink(disk.at("root/list.json"), disk.at("home/dot/list.json")).unwrap();
    symlink(disk.at("lists/list.json"), disk.at("root/list.json")).unwrap();
    disk.check_refused("~/photos", "where agents write");
}

#[test]
fn a_list_of_another_user_is_none() {
    assert!(is_trusted(0, 1000));
    assert!(is_trusted(1000, 1000));
    assert!(!is_trusted(1001, 1000));
    assert!(!is_trusted(1001, 0));
}

#[test]
fn sockets_and_pipes_are_not_mounted() {
    let disk = Disk::new(PHOTOS);
    let socket = disk.at("home/photos/engine.sock");
    let _listening = std::os::unix::net::UnixListener::bind(socket).unwrap();
    disk.check_refused("~/photos/engine.sock", "neither a folder nor a file");
    fs_err::write(disk.at("home/photos/one.jpg"), "x").unwrap();
    disk.asked(true, "~/photos/one.jpg", false).unwrap();
}

#[test]
fn without_a_list_to_go_by_nothing_is_mounted() {
    let disk = Disk::new(PHOTOS);
    let list = disk.at("home/.config/list.json");
    for (text, says) in [
        ("", "is no list of what may be mounted"),
        (r#"{"allowedRoots": "all"}"#, "is no list"),
        (
            r#"{"allowedRoots": [], "nonMainReadOnly": "no"}"#,
            "is no list",
        ),
        (
            r#"{"allowedRoots": [], "allow": true}"#,
            "unknown field `allow`",
        ),
        (
            r#"{"allowedRoots": [], "blockedPatterns": [""]}"#,
            "`` blocks nothing",
        ),
        (
            r#"{"allowedRoots": [], "blockedPatterns": ["home/private"]}"#,
            "`home/private` blocks nothing",
        ),
    ] {
        disk.write_list(text);
        disk.check_refused("~/photos", says);
    }
    disk.write_list(PHOTOS);
    fs_err::set_permissions(&list, PermissionsExt::from_mode(0o666)).unwrap();
    disk.check_refused("~/photos", "`chmod go-w` it");
    fs_err::remove_file(&list).unwrap();
    disk.check_refused("~/photos", "is not there; write it, as");
    let within = disk.at("root/list.json");
    fs_err::write(&within, PHOTOS).unwrap();
    symlink(&within, &list).unwrap();
    disk.check_refused("~/photos", "where agents write");
    // It is read anew each time.
    fs_err::remove_file(&list).unwrap();
    disk.write_list(PHOTOS);
    disk.asked(true, "~/photos", false).unwrap();
}
