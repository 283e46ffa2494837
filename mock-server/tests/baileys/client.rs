//! A running Baileys: what it is told to do, and what it says happens.
//!
//! It speaks lines of JSON, see `client.mjs`. It is killed when it is dropped.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use fs_err as fs;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::event::{Event, Message};

const SCRIPT: &str = include_str!("client.mjs");
/// Real time; only a broken test ever waits for it.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much of what it logged a failure shows, in lines.
const SHOWN: usize = 25;

pub(crate) struct Baileys {
    process: Child,
    orders: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    /// What it said that nobody has asked for yet.
    unasked: Vec<Event>,
    /// All it ever said, for failures.
    said: Vec<String>,
    folder: PathBuf,
}

impl Baileys {
    /// Starts one in `folder`, where it keeps its account. It trusts `authority` (PEM) besides
    /// the public ones, and does nothing until it is told to.
    pub(crate) fn started(folder: &Path, modules: &Path, authority: &str) -> Self {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("client.mjs"), SCRIPT).unwrap();
        fs::write(folder.join("authority.pem"), authority).unwrap();
        let link = folder.join("node_modules");
        if fs::symlink_metadata(&link).is_err() {
            fs::os::unix::fs::symlink(modules.join("node_modules"), link).unwrap();
        }
        let log = fs::File::create(folder.join("log")).unwrap();
        let mut process = Command::new("node")
            .arg("client.mjs")
            .current_dir(folder)
            .env("NODE_EXTRA_CA_CERTS", folder.join("authority.pem"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.into_parts().0)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self {
            orders: process.stdin.take().unwrap(),
            lines: BufReader::new(process.stdout.take().unwrap()).lines(),
            process,
            unasked: Vec::new(),
            said: Vec::new(),
            folder: folder.to_owned(),
        }
    }

    /// Tells it to do something, and returns what came of it, e.g. the `id` of a message sent.
    pub(crate) async fn does(&mut self, name: &str, mut order: Value) -> Map<String, Value> {
        order["do"] = json!(name);
        let line = format!("{order}\n");
        self.orders.write_all(line.as_bytes()).await.unwrap();
        let done = |event: &Event| {
            if let Event::Failed { of, why } = event {
                return (of == name).then(|| Err(why.clone()));
            }
            let Event::Done(done) = event else {
                return None;
            };
            (done.of == name).then(|| Ok(done.results.clone()))
        };
        let outcome = self.says(&format!("that it did `{name}`"), done).await;
        outcome.unwrap_or_else(|why| panic!("Baileys cannot do {order}: {why}\n{}", self.story()))
    }

    /// Like [`Self::does`], for what results in a message: its id.
    pub(crate) async fn sends(&mut self, name: &str, order: Value) -> String {
        let results = self.does(name, order).await;
        results["id"].as_str().unwrap().to_owned()
    }

    /// Waits until it says what `found` accepts. Each thing said is returned once.
    pub(crate) async fn says<T>(&mut self, what: &str, found: impl Fn(&Event) -> Option<T>) -> T {
        match timeout(PATIENCE, self.listen(found)).await {
            Ok(Some(said)) => said,
            Ok(None) => panic!(
                "waited for Baileys to say {what}, but it ended: {:?}\n{}",
                self.process.wait().await,
                self.story()
            ),
            Err(_) => panic!(
                "waited {PATIENCE:?} for Baileys to say {what}\n{}",
                self.story()
            ),
        }
    }

    /// The first thing said that `found` accepts; none if Baileys ends before it.
    async fn listen<T>(&mut self, found: impl Fn(&Event) -> Option<T>) -> Option<T> {
        let mut candidates = 0..self.unasked.len();
        loop {
            for place in candidates {
                if let Some(said) = found(&self.unasked[place]) {
                    self.unasked.remove(place);
                    return Some(said);
                }
            }
            let line = self.lines.next_line().await.unwrap()?;
            let event = serde_json::from_str(&line)
                .unwrap_or_else(|fault| panic!("Baileys says what is no event: {fault}: {line}"));
            self.said.push(line);
            self.unasked.push(event);
            candidates = self.unasked.len() - 1..self.unasked.len();
        }
    }

    /// Connects to the mock; what comes of it is told.
    pub(crate) async fn connects(&mut self, url: &str) {
        self.does("connect", json!({ "url": url })).await;
    }

    /// The QR code that it shows.
    pub(crate) async fn qr(&mut self) -> String {
        let shown = |event: &Event| {
            let Event::Qr { code } = event else {
                return None;
            };
            Some(code.clone())
        };
        self.says("a QR code", shown).await
    }

    /// Waits until it is logged in; returns its JID.
    pub(crate) async fn open(&mut self) -> String {
        let logged_in = |event: &Event| {
            let Event::Open { jid, .. } = event else {
                return None;
            };
            Some(jid.clone())
        };
        self.says("that it is logged in", logged_in).await
    }

    /// Waits until its connection is closed; returns with which status, e.g. 515.
    pub(crate) async fn closed(&mut self) -> u16 {
        let ended = |event: &Event| {
            let Event::Closed { status, .. } = event else {
                return None;
            };
            Some(status.unwrap_or(0))
        };
        self.says("that it is closed", ended).await
    }

    /// Waits for the message with this id.
    pub(crate) async fn message(&mut self, id: &str) -> Message {
        let came = |event: &Event| {
            let Event::Message(message) = event else {
                return None;
            };
            (message.id == id).then(|| message.clone())
        };
        self.says(&format!("that message {id} came"), came).await
    }

    /// Waits for the next message that somebody else wrote; returns its text.
    pub(crate) async fn next_text(&mut self) -> String {
        let came = |event: &Event| {
            let Event::Message(message) = event else {
                return None;
            };
            if message.own {
                None
            } else {
                message.text.clone()
            }
        };
        self.says("that somebody wrote", came).await
    }

    /// Waits until a phone has received (3) or read (4) a message of Baileys, or the server has
    /// refused it (0); returns whose.
    pub(crate) async fn receipt(&mut self, id: &str, status: u8) -> String {
        let came = |event: &Event| {
            let Event::Receipt(receipt) = event else {
                return None;
            };
            (receipt.id == id && receipt.status == status).then(|| receipt.by.clone())
        };
        self.says(&format!("that {id} has status {status}"), came)
            .await
    }

    /// Lets it go, and sees that it goes by itself.
    pub(crate) async fn leaves(mut self) {
        drop(self.orders);
        let ended = timeout(PATIENCE, self.process.wait()).await;
        let status = ended.expect("a Baileys that is let go ends").unwrap();
        assert!(status.success(), "Baileys ended with {status}");
    }

    /// Puts a file into its folder.
    pub(crate) fn holds(&self, name: &str, content: &str) {
        fs::write(self.folder.join(name), content).unwrap();
    }

    /// The folder of its account, for another one to log in with.
    pub(crate) fn account(&self) -> PathBuf {
        self.folder.join("auth")
    }

    /// What it said, and the end of what it logged.
    fn story(&self) -> String {
        let log = fs::read_to_string(self.folder.join("log")).unwrap();
        let lines: Vec<_> = log.lines().collect();
        let end = lines[lines.len().saturating_sub(SHOWN)..].join("\n  ");
        let said = self.said.join("\n  ");
        format!("it said:\n  {said}\nand logged at last:\n  {end}")
    }
}
