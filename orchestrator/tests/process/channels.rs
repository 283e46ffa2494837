//! What an installation without a linked device says of WhatsApp, and where.

use crate::stage::Stage;

/// A nanokimi without WhatsApp has it switched off.
const UNLINKED: &str = if cfg!(feature = "whatsapp") {
    "not_linked"
} else {
    "off"
};

#[test]
fn whatsapp_that_is_required_and_not_there_is_an_exit_code_of_its_own() {
    let stage = Stage::new();
    let settings = fs_err::read_to_string(stage.root.path().join("nanokimi.toml")).unwrap();
    stage.write(
        "nanokimi.toml",
        &format!("{settings}whatsapp = \"required\"\n"),
    );
    if cfg!(feature = "whatsapp") {
        stage.check_refused(4, "link one with `nanokimi auth`");
    } else {
        stage.check_refused(2, "built without WhatsApp");
    }
}

#[test]
fn how_a_channel_stands_is_shown_wherever_somebody_may_look() {
    let stage = Stage::new();
    let nanokimi = stage.start(&[]);
    let health = nanokimi.ask_with("GET", "/health", "", "").body;
    assert!(
        health.contains(&format!(r#""channels":{{"whatsapp":"{UNLINKED}"}}"#)),
        "{health}"
    );
    let status = nanokimi.ask("GET", "/v1/status", "").body;
    let channel = format!(r#""channels":[{{"channel":"whatsapp","state":"{UNLINKED}","#);
    assert!(status.contains(&channel), "{status}");
    let metrics = nanokimi.ask("GET", "/metrics", "").body;
    let gauge = format!("nanokimi_channel{{channel=\"whatsapp\",state=\"{UNLINKED}\"}} 1");
    assert!(metrics.contains(&gauge), "{metrics}");

    let told = stage.run(&["status"]);
    let told = String::from_utf8_lossy(&told.stdout);
    assert!(
        told.contains(&format!("whatsapp: {}", UNLINKED.replace('_', " "))),
        "{told}"
    );
    let groups = stage.run(&["groups", "list", "--available"]);
    let groups = String::from_utf8_lossy(&groups.stdout);
    assert!(groups.contains("http:main\tregistered"), "{groups}");
}
