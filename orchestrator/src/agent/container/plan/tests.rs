//! Plans, held against what the design says of them.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::*;
use crate::house::House;
use crate::mounts::{AskedMount, Ground, grant, read_allowlist};
use crate::store::{Group, TriggerRule};

struct Stage {
    root: tempfile::TempDir,
    house: House,
    is_rootless: bool,
}

/// A folder whose name would mean options in a bind as text.
const ROOT: &str = "a:ro,b";

fn stage(settings: &str) -> Stage {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join(ROOT);
    fs_err::create_dir(&folder).unwrap();
    fs_err::write(folder.join(".env"), "OPENROUTER_API_KEY=sk-secret\n").unwrap();
    let house = House::staged(&folder, settings);
    Stage {
        root,
        house,
        is_rootless: false,
    }
}

impl Stage {
    fn plan(&self, folder: &str) -> Plan {
        self.plan_with(folder, &[])
    }

    fn plan_with(&self, folder: &str, extra: &[Granted]) -> Plan {
        let house = &self.house;
        let group = Group {
            folder: folder.parse().unwrap(),
            chat: "http:x".parse().unwrap(),
            name: "x".to_owned(),
            trigger: TriggerRule::Always,
            is_main: folder == "main",
            added_at: house.clock.now(),
        };
        let facts = Facts {
            nano_cpus: 1_000_000_000,
            is_rootless: self.is_rootless,
            remaps_users: true,
        };
        let boxes = Boxes::open(&house.root, &house.config).unwrap();
        let name = new_name(&group.folder);
        Plan::new(&Surroundings {
            root: &house.root,
            config: &house.config,
            home: &Home::prepare(house, &group).unwrap(),
            run: &RunId::new_random(),
            boxes: &boxes,
            facts,
            user: User::of(facts, (1001, 1002)),
            masks: &super::super::masks_in((&house.root, &house.config), facts).unwrap(),
            extra,
            name: &name,
            door: &boxes.open_door(&name).unwrap(),
        })
    }

    /// The mounts as `<source> <target> <ro|rw>`, the stage's folder left out.
    fn mounts(&self, folder: &str) -> Vec<String> {
        let root = self.root.path().to_string_lossy().into_owned();
        let limits = self.plan(folder).body.host_config.unwrap();
        assert_eq!(limits.binds, None, "a bind as text can be broken out of");
        let mounts = limits.mounts.unwrap().into_iter();
        mounts
            .map(|mount| {
                let source = mount.source.unwrap_or_else(|| "nothing".to_owned());
                let access = if mount.read_only == Some(true) {
                    "ro"
                } else {
                    "rw"
                };
                let below = mount.bind_options.and_then(|options| options.non_recursive);
                let is_ours = !matches!(source.as_str(), "nothing" | "/dev/null");
                let shows_all = is_ours && access == "ro" && below != Some(true);
                assert!(!shows_all, "what is mounted below {source} is writable");
                assert!(access == "ro" || below.is_none(), "{source} is not whole");
                let source = source.replacen(&root, "", 1);
                // It is named for its container.
                let door = source.strip_prefix("/a:ro,b/data/doors/nanokimi-");
                let source = door.map_or(source.as_str(), |_| "its door");
                format!("{source} {} {access}", mount.target.unwrap())
            })
            .collect()
    }
}

#[tokio::test]
async fn a_group_sees_its_own_folders_and_what_all_share() {
    assert_eq!(
        stage("").mounts("ada"),
        [
            "/a:ro,b/groups/ada /workspace/group rw",
            "/a:ro,b/data/ipc/ada /workspace/ipc rw",
            "its door /run/nanokimi ro",
            "/a:ro,b/data/env /workspace/env-dir ro",
            "/a:ro,b/data/sessions/ada/.kimi /home/node/.kimi rw",
            "/a:ro,b/data/sessions/ada/.kimi-code /home/node/.kimi-code rw",
            "/a:ro,b/groups/global /workspace/global ro",
        ]
    );
}

#[tokio::test]
async fn main_reads_the_project_without_its_secrets() {
    let mounts = stage("").mounts("main");
    assert_eq!(
        mounts[6..],
        [
            "/a:ro,b /workspace/project ro",
            "/dev/null /workspace/project/.env ro",
            "nothing /workspace/project/data ro",
            "nothing /workspace/project/store ro",
        ]
    );
}

#[tokio::test]
async fn a_rootless_engine_is_not_asked_to_look_under_others_mounts() {
    let here = Stage {
        is_rootless: true,
        ..stage("")
    };
    let limits = here.plan("main").body.host_config.unwrap();
    for mount in limits.mounts.unwrap() {
        assert_eq!(mount.bind_options, None, "{mount:?}");
    }
}

#[tokio::test]
async fn a_login_is_shared_only_where_there_is_one_and_no_key() {
    let shared = |here: &Stage| {
        let mut mounts = here.mounts("ada");
        mounts.retain(|mount| mount.contains("/data/credentials"));
        mounts
    };
    let here = stage("engine = \"acp\"\n");
    let folder = here.house.root.join("data/credentials");
    fs_err::create_dir_all(&folder).unwrap();
    assert!(shared(&here).is_empty());
    fs_err::write(folder.join("config.toml"), "").unwrap();
    assert!(shared(&here).is_empty());

    fs_err::remove_file(here.house.root.join(".env")).unwrap();
    let house = House::staged(&here.house.root, "engine = \"acp\"\n");
    let here = Stage { house, ..here };
    assert_eq!(
        shared(&here),
        [
            "/a:ro,b/data/credentials /workspace/credentials rw",
            "/a:ro,b/data/credentials/config.toml /workspace/credentials/config.toml ro",
            "/a:ro,b/data/credentials/config.toml /home/node/.kimi/config.toml ro",
        ]
    );
}

#[tokio::test]
async fn the_engine_s_machine_may_know_our_folder_by_another_name() {
    let mounts = stage("host_root = \"/srv/kimi\"\n").mounts("main");
    assert_eq!(mounts[0], "/srv/kimi/groups/main /workspace/group rw");
    assert_eq!(mounts[6], "/srv/kimi /workspace/project ro");
}

#[tokio::test]
async fn a_box_is_closed_and_small() {
    let plan = stage("agent_memory = \"64m\"\nagent_cpus = 4\nagent_pids = 99\n").plan("ada");
    let limits = serde_json::to_value(plan.body.host_config.unwrap()).unwrap();
    for (key, expected) in [
        ("ReadonlyRootfs", json!(true)),
        ("Init", json!(true)),
        ("CapDrop", json!(["ALL"])),
        ("SecurityOpt", json!(["no-new-privileges"])),
        ("Memory", json!(64 << 20)),
        ("MemorySwap", json!(64 << 20)),
        // Not more than there are.
        ("NanoCpus", json!(1_000_000_000)),
        ("PidsLimit", json!(99)),
        ("NetworkMode", json!("none")),
        ("ExtraHosts", json!(["openrouter.ai:127.0.0.1"])),
        (
            "Sysctls",
            json!({ "net.ipv4.ip_unprivileged_port_start": "0" }),
        ),
        ("LogConfig", json!({ "Type": "none" })),
        ("UsernsMode", json!("host")),
    ] {
        assert_eq!(limits[key], expected, "{key}");
    }
    for absent in ["Privileged", "CapAdd", "PortBindings", "PidMode", "Devices"] {
        assert_eq!(limits[absent], Value::Null, "{absent}");
    }
    assert_eq!(plan.body.user.as_deref(), Some("1001:1002"));
}

#[tokio::test]
async fn it_is_known_by_its_installation_and_shows_no_secret() {
    let here = stage("llm_model = \"m\"\n");
    let plan = here.plan("ada");
    let id = fs_err::read_to_string(here.house.root.join("data/install-id")).unwrap();
    let labels = plan.body.labels.as_ref().unwrap();
    assert_eq!(id.split_once(' ').unwrap().0, labels["nanokimi.install"]);
    assert_eq!(labels["nanokimi.group"], "ada");
    assert!(plan.name.starts_with("nanokimi-ada-"), "{}", plan.name);
    assert_ne!(plan.name, here.plan("ada").name);
    assert!(!format!("{plan:?}").contains("sk-secret"));
}

#[tokio::test]
async fn an_agent_is_told_where_things_are_in_its_box() {
    let told = |folder: &str| stage("llm_model = \"m\"\n").plan(folder).body.env.unwrap();
    let ada = told("ada");
    for line in [
        "HOME=/home/node",
        "NANOKIMI_GROUP_DIR=/workspace/group",
        "NANOKIMI_IPC_DIR=/workspace/ipc",
        "NANOKIMI_CREDENTIALS=/workspace/env-dir/env",
        "NANOKIMI_GLOBAL_DIR=/workspace/global",
        "NANOKIMI_LLM_MODEL=m",
        "NANOKIMI_DOOR=/run/nanokimi/door.sock",
        "NANOKIMI_DOOR_HOSTS=openrouter.ai:443",
        "NANOKIMI_ENGINE=builtin",
    ] {
        assert!(ada.iter().any(|found| found == line), "{line} in {ada:?}");
    }
    assert!(
        !ada.iter().any(|line| line.starts_with("PATH=")),
        "the image has its own"
    );
    let main = told("main");
    assert!(
        main.iter()
            .any(|line| line == "NANOKIMI_PROJECT_DIR=/workspace/project")
    );
}

#[tokio::test]
async fn what_an_agent_sees_besides_lies_in_one_folder_and_is_read_only_unless_it_is_granted() {
    let here = stage("");
    let outside = fs_err::canonicalize(here.root.path()).unwrap();
    let list = outside.join("list.json");
    let allowed = |path: &str, write: bool| {
        let path = outside.join(path);
        fs_err::create_dir(&path).unwrap();
        format!(
            "{{\"path\": \"{}\", \"allowReadWrite\": {write}}}",
            path.display()
        )
    };
    let roots = [allowed("x:rw", false), allowed("y", true)].join(",");
    fs_err::write(&list, format!("{{\"allowedRoots\": [{roots}]}}")).unwrap();
    fs_err::set_permissions(&list, PermissionsExt::from_mode(0o600)).unwrap();
    let ground = Ground {
        root: here.house.root.clone(),
        home: None,
        list: Some(list),
    };
    let judge = |path: &str, name: &str| {
        let path = outside.join(path).display().to_string();
        let asked = AskedMount::new(&path, Some(name), true).unwrap();
        grant(&asked, true, (&read_allowlist(&ground).unwrap(), &ground)).unwrap()
    };
    let extra = [judge("x:rw", "a"), judge("y", "b")];
    let plan = here.plan_with("ada", &extra);
    let told = "NANOKIMI_EXTRA_DIR=/workspace/extra".to_owned();
    assert!(plan.body.env.unwrap().contains(&told));
    let limits = plan.body.host_config.unwrap();
    assert_eq!(limits.binds, None, "a bind as text can be broken out of");
    let mounts = limits.mounts.unwrap();
    let mounts = mounts[mounts.len() - 2..].iter().map(|mount| {
        let (source, target) = (mount.source.clone(), mount.target.clone());
        (source.unwrap(), target.unwrap(), mount.read_only.unwrap())
    });
    let at = |path: &str| outside.join(path).display().to_string();
    assert_eq!(
        mounts.collect::<Vec<_>>(),
        [
            (at("x:rw"), "/workspace/extra/a".to_owned(), true),
            (at("y"), "/workspace/extra/b".to_owned(), false),
        ]
    );
}
