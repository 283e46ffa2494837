//! The binary, as somebody runs it by hand.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use super::stage::{asking, client};

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mock-server"));
    command
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Waits for the end, and returns exit code, what is left of stdout, and stderr.
async fn ended(child: Child) -> (Option<i32>, String, String) {
    let output = child.wait_with_output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[tokio::test]
async fn it_serves_its_scripts_and_sums_up_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let script = "- { match: hi, response: { content: hello } }\n- { match: bye, response: {} }\n";
    fs_err::write(folder.path().join("greet.yaml"), script).unwrap();
    let scripts = folder.path().to_str().unwrap();
    let mut child = program(&["--port", "0", "--scripts", scripts])
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).await.unwrap();
    let url = line.trim_end().strip_prefix("mock-server on ").unwrap();
    #[cfg(feature = "whatsapp")]
    {
        let mut socket = String::new();
        out.read_line(&mut socket).await.unwrap();
        let port = url.strip_prefix("http").unwrap();
        assert_eq!(socket, format!("WhatsApp on ws{port}/ws/chat\n"));
    }

    let request = client()
        .post(format!("{url}/v1/chat/completions"))
        .json(&asking("hi"));
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], "hello");

    let pid = Pid::from_raw(child.id().unwrap().cast_signed()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let mut rest = String::new();
    out.read_to_string(&mut rest).await.unwrap();
    assert_eq!(
        rest,
        "0 unexpected, 1 unsaid\nturn `greet-2` (lane main) was said 0 of 1 times\n"
    );
    assert_eq!(ended(child).await.0, Some(0));
}

#[tokio::test]
async fn it_can_be_known_by_another_name_and_begin_at_an_instant() {
    let port = free_port().to_string();
    let noon = "2026-01-05T12:00:00Z";
    let listen = format!("0.0.0.0:{port}");
    let arguments = [
        "--listen",
        &listen,
        "--advertise",
        "http://mock:9100",
        "--clock",
        noon,
    ];
    let mut child = program(&arguments).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(
        out.next_line().await.unwrap().as_deref(),
        Some("mock-server on http://mock:9100")
    );
    let ask = async |path: &str| {
        let asked = client().get(format!("http://127.0.0.1:{port}{path}"));
        asked.send().await.unwrap()
    };
    assert_eq!(ask("/_mock/health").await.text().await.unwrap(), "ok");
    let clock: Value = ask("/_mock/clock").await.json().await.unwrap();
    assert_eq!(clock["now"], noon);
    #[cfg(feature = "whatsapp")]
    {
        let state: Value = ask("/_mock/whatsapp").await.json().await.unwrap();
        assert_eq!(state["socket"], "ws://mock:9100/ws/chat");
    }
}

#[cfg(feature = "whatsapp")]
#[tokio::test]
async fn whatsapp_can_be_left_out() {
    let mut child = program(&["--port", "0", "--no-whatsapp"]).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = out.next_line().await.unwrap().unwrap();
    let url = line.strip_prefix("mock-server on ").unwrap();
    let asked = client().get(format!("{url}/_mock/whatsapp"));
    assert_eq!(asked.send().await.unwrap().status(), 410);
}

/// One that was free a moment ago.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test]
async fn a_bad_script_is_shown_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("greet.yaml");
    fs_err::write(&path, "- match: hi\n  respond: { content: hello }\n").unwrap();
    let child = program(&["--port", "0", "--scripts", path.to_str().unwrap()])
        .spawn()
        .unwrap();

    let (code, _, complaint) = ended(child).await;
    assert_eq!(code, Some(2));
    for part in [
        "unknown key `respond`",
        "greet.yaml:2:3",
        "did you mean `response`?",
    ] {
        assert!(complaint.contains(part), "{complaint}");
    }
}

#[tokio::test]
async fn a_taken_port_is_refused() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, _, complaint) = ended(program(&["--port", &port]).spawn().unwrap()).await;
    assert_eq!(code, Some(1));
    assert!(
        complaint.contains("the port is taken; choose another"),
        "{complaint}"
    );
}
