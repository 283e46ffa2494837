//! The door of every service: no key, no answer.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Json, Response};
use serde_json::{Map, Value, json};

use crate::llm::dialect::{Complaint, Dialect, Mount};
use crate::llm::script::origin::key_in;
use crate::llm::scripted::ScriptedLlm;
use crate::llm::services::Services;
use crate::llm::services::admission::{Keys, TurnedAway};

/// How much of a request that is turned away is read, to know whose it was.
const LOOK: usize = 4 << 20;

/// A door, and whose it is.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    llm: ScriptedLlm,
    whose: Whose,
}

#[derive(Clone, Copy, Debug)]
enum Whose {
    /// Of whoever is asked below the path.
    Mount(Mount),
    /// Of a protocol that has paths of its own.
    Dialect(Dialect),
}

impl Door {
    pub(crate) fn at(llm: &ScriptedLlm, mount: Mount) -> Self {
        Self {
            llm: llm.clone(),
            whose: Whose::Mount(mount),
        }
    }

    pub(crate) fn of(llm: &ScriptedLlm, dialect: Dialect) -> Self {
        Self {
            llm: llm.clone(),
            whose: Whose::Dialect(dialect),
        }
    }
}

impl Whose {
    fn is_kimis(self) -> bool {
        match self {
            Self::Mount(mount) => mount.serves(Dialect::Kimi),
            Self::Dialect(dialect) => dialect == Dialect::Kimi,
        }
    }

    fn dialect(self, body: &[u8]) -> Dialect {
        match self {
            Self::Mount(mount) => mount.dialect(body),
            Self::Dialect(dialect) => dialect,
        }
    }
}

/// Lets a request pass, or answers it as its service would.
pub(crate) async fn admit(State(door): State<Door>, request: Request, next: Next) -> Response {
    match door.let_in(request, false).await {
        Ok(request) => next.run(request).await,
        Err(refusal) => *refusal,
    }
}

impl Door {
    /// The request back, or the answer of a service that does not let it in. Questions to the
    /// model ask here themselves: a layer costs each of them as much as finding its turn.
    pub(crate) async fn let_in(
        &self,
        request: Request,
        is_question: bool,
    ) -> Result<Request, Box<Response>> {
        let services = self.llm.services();
        match services.admits(self.whose, request.headers(), is_question) {
            Ok(()) => Ok(request),
            Err(turned_away) => Err(Box::new(turn_away(self, turned_away, request).await)),
        }
    }
}

async fn turn_away(door: &Door, turned_away: TurnedAway, request: Request<Body>) -> Response {
    let path = request.uri().path().to_owned();
    let method = request.method().to_string();
    // One that breaks off or is endless is answered all the same.
    let body = to_bytes(request.into_body(), LOOK)
        .await
        .unwrap_or_else(|_broken| [].as_slice().into());
    let dialect = door.whose.dialect(&body);
    let complaint = turned_away.complaint(dialect);
    let (status, headers, body) = dialect.status_error(turned_away.status(), complaint);
    let fields = json!({
        "method": method,
        "path": path,
        "status": status.as_u16(),
        "message": body["error"]["message"],
    });
    door.llm.note("llm.refused", fields);
    (status, headers, Json(body)).into_response()
}

impl Services {
    /// The refusal of a service whose account has nothing left.
    pub(crate) fn overdrawn(&self, dialect: Dialect) -> Option<Response> {
        let (status, kind) = match dialect {
            Dialect::OpenRouter => {
                let state = self.state();
                let spent = state.generations.spent();
                (
                    StatusCode::PAYMENT_REQUIRED,
                    state
                        .account
                        .is_spent(spent)
                        .then_some("payment_required")?,
                )
            }
            Dialect::Moonshot => {
                let is_empty = self.state().account.balance.available() <= 0.0;
                (
                    StatusCode::TOO_MANY_REQUESTS,
                    is_empty.then_some("exceeded_current_quota_error")?,
                )
            }
            Dialect::OpenAi | Dialect::Kimi | Dialect::Anthropic | Dialect::Responses => {
                return None;
            }
        };
        let complaint = Complaint {
            kind: Some(kind),
            message: None,
        };
        let (status, headers, body) = dialect.status_error(status, complaint);
        let fields = json!({ "status": status.as_u16(), "message": body["error"]["message"] });
        self.journal.write("llm.refused", as_fields(fields));
        Some((status, headers, Json(body)).into_response())
    }

    fn admits(
        &self,
        whose: Whose,
        headers: &HeaderMap,
        is_question: bool,
    ) -> Result<(), TurnedAway> {
        let doors = self.doors();
        let key = key_in(headers);
        if !whose.is_kimis() {
            let any = Keys::Any;
            return doors.keys.as_ref().unwrap_or(&any).admit(key);
        }
        self.admits_at_kimi(doors.keys.as_ref(), key)?;
        if is_question {
            doors.agents.admit(headers)?;
        }
        Ok(())
    }

    /// Once there is a login, keys pass only if a script names them.
    fn admits_at_kimi(&self, keys: Option<&Keys>, key: Option<&str>) -> Result<(), TurnedAway> {
        let now = self.now();
        let ledger = &self.state().ledger;
        match (keys, key) {
            (_, Some(token)) if ledger.opens(token, now) => Ok(()),
            (None, Some(_)) if ledger.is_kept => Err(TurnedAway::WrongKey),
            (None, key) => Keys::Any.admit(key),
            (Some(keys), key) => keys.admit(key),
        }
    }
}

fn as_fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}
