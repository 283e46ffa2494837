//! A mock with its people, and clients that are to be linked to the owner's account.

use std::path::PathBuf;
use std::time::Duration;

use mock_server::whatsapp::{Control, Done, GroupCast, Saying, WhatsApp};
use mock_server::{Entry, MockOptions, MockServer};
use serde_json::Value;
use tempfile::TempDir;

use super::client::Baileys;
use super::installing::installed;

/// Real time; only a broken test ever waits for it.
const PATIENCE: Duration = Duration::from_secs(20);
/// The number of the account that clients are linked to.
pub(crate) const OWNER: &str = "4915100000001";
/// What a client is told that may go on under another connection.
pub(crate) const RESTART: u16 = 515;

pub(crate) struct Stage {
    server: MockServer,
    modules: PathBuf,
    folder: TempDir,
}

impl Stage {
    /// None where there is no Node, which has been said.
    pub(crate) async fn opened() -> Option<Self> {
        let modules = installed().await?;
        Some(Self {
            server: MockServer::start(MockOptions::default()).await.unwrap(),
            modules,
            folder: tempfile::tempdir().unwrap(),
        })
    }

    pub(crate) fn whatsapp(&self) -> &WhatsApp {
        self.server.whatsapp()
    }

    pub(crate) fn url(&self) -> String {
        self.whatsapp().socket_url()
    }

    /// A client with the account that the last one of this name had; or else with none.
    pub(crate) fn client(&self, name: &str) -> Baileys {
        let folder = self.folder.path().join(name);
        Baileys::started(&folder, &self.modules, &self.whatsapp().media_authority())
    }

    /// A client that the owner has linked, and that is logged in.
    pub(crate) async fn linked(&self) -> Baileys {
        let mut baileys = self.client("linked");
        baileys.connects(&self.url()).await;
        let code = baileys.qr().await;
        self.does(Control::ScanQr { code }).await;
        assert_eq!(baileys.closed().await, RESTART, "the end of the pairing");
        self.comes_back(&mut baileys).await;
        baileys
    }

    /// Lets it connect once more, until it is logged in and has taken what waited.
    ///
    /// What Baileys writes before that may go out under an old state of a session: while it
    /// decrypts, it does not keep itself from encrypting.
    pub(crate) async fn comes_back(&self, baileys: &mut Baileys) {
        baileys.connects(&self.url()).await;
        baileys.open().await;
        self.rests().await;
    }

    /// Waits until nothing is on its way any more.
    pub(crate) async fn rests(&self) {
        let settled = self.whatsapp().at_rest(PATIENCE).await;
        settled.unwrap_or_else(|left| panic!("{left}\n{}", self.story()));
    }

    pub(crate) async fn does(&self, control: Control) -> Done {
        let told = format!("{control:?}");
        let done = self.whatsapp().control(control).await;
        done.unwrap_or_else(|fault| panic!("{told}: {fault}"))
    }

    /// Lets a person write; returns the id of what they wrote.
    pub(crate) async fn says(&self, saying: Saying) -> String {
        let done = self.does(Control::Say(saying)).await;
        done.message_id.unwrap()
    }

    /// A group of the owner and these, called `name`.
    pub(crate) async fn group(&self, group: GroupCast) -> String {
        self.whatsapp().stage_group(group).await.unwrap()
    }

    /// Waits for an entry of the mock's journal.
    pub(crate) async fn sees<T>(&self, event: &str, found: impl Fn(&Entry) -> Option<T>) -> T {
        let journal = self.server.journal();
        let seen = journal.wait_for(event, PATIENCE, |entry| {
            if entry.event == event {
                found(entry)
            } else {
                None
            }
        });
        seen.await
            .unwrap_or_else(|fault| panic!("{fault}\n{}", self.story()))
    }

    /// Waits until the phones that a message was for have read what is in it: the fields of
    /// `whatsapp.heard`.
    pub(crate) async fn heard(&self, id: &str) -> Value {
        self.sees("whatsapp.heard", |entry| {
            (entry.text("id") == Some(id)).then(|| Value::Object(entry.fields.clone()))
        })
        .await
    }

    /// Lets the client go and closes the mock, which has understood all that it was sent, and
    /// whose phones could open it: also the owner's, who gets copies.
    pub(crate) async fn ends(self, baileys: Baileys) {
        baileys.leaves().await;
        let unexpected = self.server.unexpected();
        assert!(unexpected.is_empty(), "{unexpected:#?}\n{}", self.story());
        let entries = self.server.journal().entries();
        let sealed = entries
            .iter()
            .find(|entry| entry.event == "whatsapp.undecryptable");
        assert!(sealed.is_none(), "{sealed:?}\n{}", self.story());
        self.server.join().await.unwrap();
    }

    /// What the mock saw, in lines that are cut short.
    fn story(&self) -> String {
        let entries = self.server.journal().entries();
        let lines: Vec<_> = entries.iter().map(ToString::to_string).collect();
        format!("the journal holds:\n  {}", lines.join("\n  "))
    }
}

/// What a person writes in a chat.
pub(crate) fn saying(chat: &str, from: &str, text: &str) -> Saying {
    Saying {
        chat: chat.to_owned(),
        from: from.to_owned(),
        text: Some(text.to_owned()),
        ..Saying::default()
    }
}
