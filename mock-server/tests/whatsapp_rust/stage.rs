//! A mock with its people, and the client that is linked to the owner's account.

use mock_server::whatsapp::{Addressing, Control, Done, GroupCast, Saying, WhatsApp};
use mock_server::{Entry, MockOptions, MockServer};
use serde_json::Value;

use super::client::{PATIENCE, Running};
use super::device::LinkedDevice;

pub(crate) const GROUP: &str = "120363000000000001@g.us";

pub(crate) struct Stage {
    server: MockServer,
    device: LinkedDevice,
}

impl Stage {
    pub(crate) async fn opened() -> Self {
        let server = MockServer::start(MockOptions::default()).await.unwrap();
        let device = LinkedDevice::new(1, server.whatsapp().certificate()).await;
        server
            .whatsapp()
            .link(device.account.clone())
            .await
            .unwrap();
        Self { server, device }
    }

    /// The people have new phones, which know none of their sessions; the client has its store.
    pub(crate) async fn reopened(self) -> Self {
        let linked = self.whatsapp().linked().await;
        self.server.join().await.unwrap();
        let server = MockServer::start(MockOptions::default()).await.unwrap();
        for mut account in linked {
            account.sessions.clear();
            server.whatsapp().link(account).await.unwrap();
        }
        Self {
            server,
            device: self.device,
        }
    }

    /// With the client logged in.
    pub(crate) async fn connected() -> (Self, Running) {
        let stage = Self::opened().await;
        let mut client = stage.client().await;
        client.connected().await;
        (stage, client)
    }

    /// The same, and a group `family` of the owner, Ada and Bob.
    pub(crate) async fn with_group(addressing: Addressing) -> (Self, Running) {
        let stage = Self::opened().await;
        stage.stage_family(addressing).await;
        let mut client = stage.client().await;
        client.connected().await;
        (stage, client)
    }

    pub(crate) async fn stage_family(&self, addressing: Addressing) {
        let group = GroupCast {
            name: "family".to_owned(),
            id: GROUP.to_owned(),
            members: vec!["ada".to_owned(), "bob".to_owned()],
            addressing,
            ..GroupCast::default()
        };
        self.whatsapp().stage_group(group).await.unwrap();
    }

    /// One more client on the one store.
    pub(crate) async fn client(&self) -> Running {
        let whatsapp = self.whatsapp();
        Running::started(
            &self.device,
            &whatsapp.socket_url(),
            &whatsapp.media_authority(),
        )
        .await
    }

    pub(crate) fn whatsapp(&self) -> &WhatsApp {
        self.server.whatsapp()
    }

    /// The JID under which the client writes to a person.
    pub(crate) fn jid(&self, chat: &str) -> String {
        self.whatsapp().jid_of(chat).unwrap()
    }

    pub(crate) async fn does(&self, control: Control) -> Done {
        let told = format!("{control:?}");
        let done = self.whatsapp().control(control).await;
        done.unwrap_or_else(|fault| panic!("{told}: {fault}"))
    }

    /// Lets a person write; returns the id of what they wrote.
    pub(crate) async fn says(&self, saying: Saying) -> String {
        self.does(Control::Say(saying)).await.message_id.unwrap()
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

    pub(crate) async fn delivered(&self, id: &str) {
        self.sees("whatsapp.delivered", |entry| {
            (entry.text("id") == Some(id)).then_some(())
        })
        .await;
    }

    /// How many entries of that name the journal holds.
    pub(crate) fn count(&self, event: &str) -> usize {
        let entries = self.server.journal().entries();
        entries.iter().filter(|entry| entry.event == event).count()
    }

    /// How often the mock has handed out the message with that id.
    pub(crate) fn handed_out(&self, id: &str) -> usize {
        let begins = format!("<message id=\"{id}\"");
        let entries = self.server.journal().entries();
        let handed_out = entries.iter().filter(|entry| {
            let xml = entry.text("xml").unwrap_or("");
            entry.text("way") == Some("out") && xml.starts_with(&begins)
        });
        handed_out.count()
    }

    /// Lets the client go and closes the mock, which has understood all that it was sent.
    pub(crate) async fn ends(self, client: Running) {
        let rest = self.whatsapp().at_rest(PATIENCE).await;
        rest.unwrap_or_else(|fault| panic!("{fault}\n{}\n{}", self.story(), client.story()));
        client.leaves().await;
        self.closes().await;
    }

    pub(crate) async fn closes(self) {
        let unexpected = self.server.unexpected();
        assert!(unexpected.is_empty(), "{unexpected:#?}\n{}", self.story());
        self.server.join().await.unwrap();
    }

    /// What the mock saw, in lines that are cut short.
    pub(crate) fn story(&self) -> String {
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
