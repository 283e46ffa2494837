//! A mock server in another process: each call of the library as one of its control API.

use std::net::SocketAddr;
use std::time::Duration;

use fs_err::tokio as fs;
use mock_server::whatsapp::{Base64, Control, Done, GroupCast, LinkedAccount};
use mock_server::{FaultCount, Journal, Lapse, Script, StagedStorage, UnsaidTurn};
use serde::Deserialize;
use serde_json::{Value, json};

use super::MockError;
use super::child::Child;
use super::client::{Client, encoded};
use super::mirror::{Afar, follow};
use crate::stage::StageError;
use crate::stage::telling::Telling;

/// A server that is being followed.
#[derive(Debug)]
pub(super) struct Elsewhere {
    client: Client,
    telling: Telling,
    /// The server itself, where it is ours.
    child: Option<Child>,
}

/// What the model has done so far.
#[derive(Debug, Deserialize)]
pub(super) struct Status {
    pub(super) unsaid: Vec<UnsaidTurn>,
    pub(super) unfired: Vec<FaultCount>,
    pub(super) waiting: Vec<String>,
    pub(super) paced: usize,
}

#[derive(Debug, Deserialize)]
struct Places {
    socket: String,
    media_authority: String,
}

#[derive(Debug, Deserialize)]
struct Jid {
    jid: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Online {
    online: bool,
}

impl Elsewhere {
    /// Begins to follow the server at `control`; what it sees is written into `journal`.
    pub(super) async fn enter(
        control: SocketAddr,
        journal: &Journal,
    ) -> Result<(Self, Afar), MockError> {
        let (telling, afar) = follow(control, journal).await?;
        let entered = Self {
            client: afar.client().clone(),
            telling,
            child: None,
        };
        Ok((entered, afar))
    }

    /// The server is a child of ours.
    pub(super) fn kept_by(self, child: Child) -> Self {
        Self {
            child: Some(child),
            ..self
        }
    }

    pub(super) async fn hide(&self, secret: &str) -> Result<(), MockError> {
        let hidden = self.client.post("/_mock/secrets", &json!([secret])).await;
        hidden.map(drop)
    }

    pub(super) async fn add(&self, script: &Script) -> Result<(), MockError> {
        let path = match &script.name {
            Some(name) => format!("/_mock/scripts?name={}", encoded(name)),
            None => "/_mock/scripts".to_owned(),
        };
        let script = written("a script", script)?;
        self.client.post(&path, &script).await.map(drop)
    }

    pub(super) async fn release(&self, gate: &str) -> Result<(), MockError> {
        let path = format!("/_mock/release/{}", encoded(gate));
        self.client.post(&path, &Value::Null).await.map(drop)
    }

    pub(super) async fn status(&self) -> Result<Status, MockError> {
        self.client.get("/_mock/status").await
    }

    pub(super) async fn link(&self, account: &LinkedAccount) -> Result<(), MockError> {
        let account = written("an account", account)?;
        let linked = self.client.post("/_mock/whatsapp/accounts", &account).await;
        linked.map(drop)
    }

    pub(super) async fn linked(&self) -> Result<Vec<LinkedAccount>, MockError> {
        self.client.get("/_mock/whatsapp/accounts").await
    }

    pub(super) async fn stage_group(&self, group: &GroupCast) -> Result<String, MockError> {
        self.stage(&json!({ "group": group })).await
    }

    pub(super) async fn stage_direct(&self, name: &str, person: &str) -> Result<String, MockError> {
        self.stage(&json!({ "direct": { "name": name, "person": person } }))
            .await
    }

    async fn stage(&self, chat: &Value) -> Result<String, MockError> {
        let staged: Jid = self.client.post_for("/_mock/whatsapp/chats", chat).await?;
        let nameless = || MockError::Gone("a chat that was made has no JID".to_owned());
        staged.jid.ok_or_else(nameless)
    }

    pub(super) async fn stage_storage(&self, staged: &StagedStorage) -> Result<(), MockError> {
        let staged = written("what lies in storage", staged)?;
        self.client.post("/_mock/storage", &staged).await.map(drop)
    }

    pub(super) async fn stored(&self, bucket: &str) -> Result<Value, MockError> {
        let path = format!("/_mock/storage/{}", encoded(bucket));
        self.client.get(&path).await
    }

    pub(super) async fn jid_of(&self, chat: &str) -> Result<Option<String>, MockError> {
        let path = format!("/_mock/whatsapp/jid?of={}", encoded(chat));
        let found: Jid = self.client.get(&path).await?;
        Ok(found.jid)
    }

    pub(super) async fn control(&self, mut control: Control) -> Result<Done, MockError> {
        send_content(&mut control).await?;
        let control = written("a control", &control)?;
        self.client.post_for("/_mock/whatsapp", &control).await
    }

    pub(super) async fn online(&self) -> Result<bool, MockError> {
        let state: Online = self.client.get("/_mock/whatsapp/online").await?;
        Ok(state.online)
    }

    pub(super) async fn at_rest(&self, patience: Duration) -> Result<(), MockError> {
        let within = json!({ "within": Lapse::new(patience) });
        let path = "/_mock/whatsapp/rest";
        let rested = self.client.post_patiently(path, &within, patience).await;
        rested.map(drop)
    }

    pub(super) async fn whatsapp_places(&self) -> Result<(String, String), MockError> {
        let places: Places = self.client.get("/_mock/whatsapp").await?;
        Ok((places.socket, places.media_authority))
    }

    /// Returns when its journal is told no more, and says why. Cancel-safe.
    pub(super) async fn lost(&self) -> MockError {
        MockError::Gone(self.telling.reached().ended().await)
    }

    /// Ends the server, if it is ours, and reads its last words.
    pub(super) async fn end(self) -> Result<(), StageError> {
        let Some(child) = self.child else {
            return Ok(());
        };
        let ended = child.end().await;
        self.telling.end().await;
        ended
    }
}

/// The server need not be able to read our files: what is in them is sent along.
async fn send_content(control: &mut Control) -> Result<(), MockError> {
    let Control::Say(saying) = control else {
        return Ok(());
    };
    let Some(media) = &mut saying.media else {
        return Ok(());
    };
    if let Some(path) = media.path.take() {
        let content = fs::read(path).await.map_err(MockError::refused)?;
        media.base64 = Some(Base64(content));
    }
    Ok(())
}

fn written(what: &str, value: &impl serde::Serialize) -> Result<Value, MockError> {
    serde_json::to_value(value)
        .map_err(|error| MockError::Gone(format!("{what} cannot be written down for it: {error}")))
}
