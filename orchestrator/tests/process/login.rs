//! What agents are given to get to a model, by the setting `auth_forward`.

use std::os::unix::fs::PermissionsExt;

use crate::agents::{RESULT, ask, installation};
use crate::stage::Stage;

const SETTINGS: &str = "default_model = \"kimi\"
[models.kimi]
provider = \"managed:kimi-code\"
[providers.\"managed:kimi-code\"]
api_key = \"\"
";
const TOKEN: &str = r#"{"access_token":"at-1","refresh_token":"rt-1","expires_at":4e9}"#;

/// An installation of an operator who has logged in; its agent tells what it is given.
fn logged_in() -> Stage {
    let stage = installation(&format!(
        "cat > /dev/null
{{ find \"$NANOKIMI_KIMI_LOGIN\" -type f -printf '%m %P\\n' | sort; cat \"$NANOKIMI_CREDENTIALS\"; }} > given 2> /dev/null
echo '{RESULT}'"
    ));
    stage.write("host/config.toml", SETTINGS);
    stage.write("host/device_id", "d-1");
    stage.write("host/mcp.json", "{}");
    stage.write("host/credentials/kimi-code.json", TOKEN);
    let open = PermissionsExt::from_mode(0o644);
    let token = stage.root.path().join("host/credentials/kimi-code.json");
    fs_err::set_permissions(token, open).unwrap();
    stage.write(".env", "");
    set(&stage, "sync");
    stage
}

fn set(stage: &Stage, forward: &str) {
    stage.write(
        "nanokimi.toml",
        &format!(
            "agent_runtime = \"host\"\nagent_runner = \"agent\"\nhttp_listen = \"127.0.0.1:0\"\n\
             engine = \"acp\"\nauth_source = \"host\"\nauth_forward = \"{forward}\"\n"
        ),
    );
}

fn given(stage: &Stage) -> String {
    assert_eq!(ask(&stage.start(&[])).status, 200);
    fs_err::read_to_string(stage.root.path().join("groups/ada/given")).unwrap()
}

#[test]
fn each_mode_gives_what_it_says_and_leaves_nothing_of_another() {
    let stage = logged_in();
    let login = "600 config.toml\n600 credentials/kimi-code.json\n600 device_id\n";
    assert_eq!(given(&stage), login);

    stage.write(".env", "MOONSHOT_API_KEY=sk-1\n");
    set(&stage, "api_key");
    assert_eq!(given(&stage), "MOONSHOT_API_KEY='sk-1'\n");
    assert!(!stage.root.path().join("data/credentials").exists());

    stage.write(".env", "");
    set(&stage, "sync");
    assert_eq!(given(&stage), login);

    stage.write(".env", "MOONSHOT_API_KEY=sk-1\n");
    set(&stage, "ignore");
    assert_eq!(given(&stage), "");
    for name in ["data/credentials", "data/env/env"] {
        assert!(!stage.root.path().join(name).exists(), "{name}");
    }
    let theirs = stage.root.path().join("host/credentials/kimi-code.json");
    assert_eq!(fs_err::read_to_string(theirs).unwrap(), TOKEN);
}

#[test]
fn a_login_that_is_renewed_on_the_host_reaches_the_next_agent() {
    let stage = logged_in();
    let nanokimi = stage.start(&[]);
    let renewed = TOKEN.replace("at-1", "at-2").replace("4e9", "5e9");
    stage.write("host/credentials/kimi-code.json", &renewed);
    assert_eq!(ask(&nanokimi).status, 200);
    let ours = stage
        .root
        .path()
        .join("data/credentials/credentials/kimi-code.json");
    assert_eq!(fs_err::read_to_string(ours).unwrap(), renewed);
}

#[test]
fn settings_that_lead_to_no_model_are_told_once_and_no_agent_is_started() {
    let stage = logged_in();
    let broken = SETTINGS.replace(
        "default_model = \"kimi\"",
        "default_model = \"kimi-latest\"",
    );
    stage.write("host/config.toml", &broken);
    let nanokimi = stage.start(&[]);
    let sentence = "host/config.toml` has the default_model `kimi-latest` and no \
                    [models.kimi-latest], only kimi; correct it";
    for _ in 0..2 {
        let answer = ask(&nanokimi);
        assert_eq!(answer.status, 502, "{answer:?}");
        assert!(answer.body.contains("\"code\":\"config\""), "{answer:?}");
        assert!(answer.body.contains(sentence), "{answer:?}");
    }
    assert!(!stage.root.path().join("groups/ada/given").exists());
    let log = fs_err::read_to_string(stage.root.path().join("logs/nanokimi.error.log")).unwrap();
    let told = log
        .lines()
        .filter(|line| line.contains("agents cannot work"));
    assert_eq!(told.count(), 1, "{log}");

    stage.write("host/config.toml", SETTINGS);
    let file = fs_err::File::open(stage.root.path().join("host/config.toml")).unwrap();
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    file.file().set_modified(later).unwrap();
    assert_eq!(ask(&nanokimi).status, 200);
}
