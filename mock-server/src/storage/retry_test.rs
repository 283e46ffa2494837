//! Google's retry tests: a client says beforehand what is to go wrong with which method, and
//! names that test with each of its requests.
//!
//! <https://github.com/googleapis/storage-testbench#retry-test-api>

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::lapse::Lapse;
use crate::llm::{Breaking, Fault, FaultMoment, StatusFault};
use crate::storage::Storage;
use crate::storage::errand::{Errand, StorageVerb};
use crate::storage::refusal::{Refusal, Wrong};

/// Names the test that a request belongs to.
pub(crate) const TEST: HeaderName = HeaderName::from_static("x-retry-test-id");
const KIBI: usize = 1 << 10;

/// All tests, by id.
#[derive(Debug, Default)]
pub(crate) struct RetryTests {
    tests: BTreeMap<String, RetryTest>,
    count: u64,
}

/// What is still to go wrong, by method.
#[derive(Debug)]
struct RetryTest {
    instructions: IndexMap<String, VecDeque<Instruction>>,
    transport: String,
}

/// One thing that is to go wrong.
#[derive(Clone, Debug)]
struct Instruction {
    text: String,
    trouble: Trouble,
}

/// What it is.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    Fault(Arc<Fault>),
    /// Of an upload in chunks so many bytes are kept, and the chunk that has the last of them meets
    /// the fault. What comes in one request meets it as it is.
    After(u64, Arc<Fault>),
    /// So many bytes of the answer come, and the rest after a pause.
    Stall(usize, Lapse),
}

/// A test as it is asked for.
#[derive(Debug, Deserialize)]
struct Asked {
    instructions: IndexMap<String, Vec<String>>,
    transport: Option<String>,
}

/// And as it is told.
#[derive(Debug, Serialize)]
struct Told {
    id: String,
    instructions: IndexMap<String, Vec<String>>,
    transport: String,
    completed: bool,
}

impl RetryTests {
    fn add(&mut self, asked: Asked) -> Result<Told, Refusal> {
        let mut instructions = IndexMap::new();
        for (method, texts) in asked.instructions {
            let read = texts.into_iter().map(Instruction::read);
            instructions.insert(method, read.collect::<Result<_, _>>()?);
        }
        self.count += 1;
        let id = format!("retry-test-{}", self.count);
        let transport = asked.transport.unwrap_or_else(|| "HTTP".to_owned());
        let test = RetryTest {
            instructions,
            transport,
        };
        let told = test.told(&id);
        self.tests.insert(id, test);
        Ok(told)
    }

    fn find(&self, id: &str) -> Result<Told, Refusal> {
        let test = self.tests.get(id).ok_or_else(|| unknown(id))?;
        Ok(test.told(id))
    }

    /// What goes wrong with this request of a test; it does so once. `last` is the last byte of a
    /// chunk, in its whole.
    pub(crate) fn take(&mut self, id: &str, errand: &Errand, last: Option<u64>) -> Option<Trouble> {
        let test = self.tests.get_mut(id)?;
        let left = test.instructions.get_mut(errand.method)?;
        left.front()
            .filter(|next| next.trouble.has_come(errand.verb, last))?;
        Some(left.pop_front()?.trouble)
    }
}

impl Trouble {
    fn has_come(&self, verb: StorageVerb, last: Option<u64>) -> bool {
        match self {
            Self::After(kept, _) => match verb {
                StorageVerb::Begin => false,
                StorageVerb::Chunk => last.is_some_and(|last| last.saturating_add(1) >= *kept),
                StorageVerb::Put
                | StorageVerb::Complete
                | StorageVerb::Cancel
                | StorageVerb::Get
                | StorageVerb::Patch
                | StorageVerb::Delete
                | StorageVerb::List
                | StorageVerb::Bucket => true,
            },
            Self::Fault(_) | Self::Stall(..) => true,
        }
    }

    /// As the journal calls it.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Fault(fault) | Self::After(_, fault) => fault.word(),
            Self::Stall(..) => "slow",
        }
    }
}

impl RetryTest {
    fn told(&self, id: &str) -> Told {
        let texts = |(method, left): (&String, &VecDeque<Instruction>)| {
            let left = left.iter().map(|one| one.text.clone()).collect();
            (method.clone(), left)
        };
        Told {
            id: id.to_owned(),
            instructions: self.instructions.iter().map(texts).collect(),
            transport: self.transport.clone(),
            completed: self.instructions.values().all(VecDeque::is_empty),
        }
    }
}

impl Instruction {
    fn read(text: String) -> Result<Self, Refusal> {
        let refused =
            || Refusal::invalid(format!("The fault injection request is invalid: {text}"));
        let trouble = trouble(&text).ok_or_else(refused)?;
        Ok(Self { text, trouble })
    }
}

/// `return-503`, `return-reset-connection`, `return-broken-stream`,
/// `return-broken-stream-after-256K`, `return-503-after-256K`, `stall-for-1s-after-128K`.
fn trouble(text: &str) -> Option<Trouble> {
    let fault = |fault| Some(Trouble::Fault(Arc::new(fault)));
    if let Some(rest) = text.strip_prefix("stall-for-") {
        let (pause, after) = rest.split_once("-after-")?;
        return Some(Trouble::Stall(size(after)?, Lapse::parse(pause)?));
    }
    let rest = text.strip_prefix("return-")?;
    if rest == "reset-connection" {
        return fault(Fault::Break(Breaking::Reset, FaultMoment::Request));
    }
    if let Some(rest) = rest.strip_prefix("broken-stream") {
        let moment = match rest
            .strip_prefix("-after-")
            .or(rest.strip_prefix("-final-chunk-after-"))
        {
            Some(after) => FaultMoment::Bytes(size(after)?),
            None if rest.is_empty() => FaultMoment::Frames(1),
            None => return None,
        };
        return fault(Fault::Break(Breaking::Close, moment));
    }
    let (code, after) = match rest.split_once("-after-") {
        Some((code, after)) => (code, Some(size(after)? as u64)),
        None => (rest, None),
    };
    let status = code.parse().map_or(None, |code: u16| {
        Some(code).filter(|code| (400..600).contains(code))
    })?;
    let refusal = Fault::Status(StatusFault {
        status,
        headers: IndexMap::new(),
        message: None,
        error_type: None,
        body: None,
    });
    match after {
        Some(kept) => Some(Trouble::After(kept, Arc::new(refusal))),
        None => fault(refusal),
    }
}

/// `256K`, `100B` or `100`.
fn size(text: &str) -> Option<usize> {
    let (number, unit) = match text.strip_suffix('K') {
        Some(number) => (number, KIBI),
        None => (text.strip_suffix('B').unwrap_or(text), 1),
    };
    match number.parse::<usize>() {
        Ok(number) => number.checked_mul(unit),
        Err(_no_number) => None,
    }
}

fn unknown(id: &str) -> Refusal {
    Refusal::new(Wrong::NoUpload, format!("Retry Test {id} does not exist"))
}

pub(crate) fn routes() -> Router<Storage> {
    Router::new()
        .route("/retry_test", post(add))
        .route("/retry_tests", get(list))
        .route("/retry_test/{id}", get(find).delete(remove))
}

async fn add(State(storage): State<Storage>, body: String) -> Result<Response, Refusal> {
    let asked = serde_json::from_str(&body);
    let asked = asked.map_err(|fault| Refusal::invalid(format!("Parse Error: {fault}")))?;
    let told = storage.retry_tests(|tests| tests.add(asked))?;
    Ok(Json(told).into_response())
}

async fn list(State(storage): State<Storage>) -> Response {
    let told: Vec<_> = storage.retry_tests(|tests| {
        let tests = tests.tests.iter();
        tests.map(|(id, test)| test.told(id)).collect()
    });
    Json(json!({ "retry_test": told })).into_response()
}

async fn find(State(storage): State<Storage>, Path(id): Path<String>) -> Result<Response, Refusal> {
    let told = storage.retry_tests(|tests| tests.find(&id))?;
    Ok(Json(told).into_response())
}

async fn remove(
    State(storage): State<Storage>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let removed = storage.retry_tests(|tests| tests.tests.remove(&id));
    match removed {
        Some(_) => Ok(StatusCode::OK.into_response()),
        None => Err(unknown(&id)),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{Method, Uri};

    use super::*;

    #[test]
    fn instructions_are_those_of_the_testbench() {
        #[track_caller]
        fn check(text: &str, expected: Option<&str>) {
            let fault = |fault: &Fault| match fault {
                Fault::Status(told) => told.status.to_string(),
                Fault::Break(how, moment) => format!("{how:?} {moment}"),
                Fault::Slow(_)
                | Fault::Html(_)
                | Fault::Error(_)
                | Fault::Empty(_)
                | Fault::Invalid(_)
                | Fault::Lost
                | Fault::Corrupt(_) => fault.word().to_owned(),
            };
            let shown = trouble(text).map(|trouble| match trouble {
                Trouble::Fault(told) => fault(&told),
                Trouble::After(kept, told) => format!("{} after {kept}", fault(&told)),
                Trouble::Stall(bytes, pause) => format!("{pause} after {bytes}"),
            });
            assert_eq!(shown.as_deref(), expected, "{text}");
        }
        check("return-503", Some("503"));
        check("return-503-after-256K", Some("503 after 262144"));
        check("return-reset-connection", Some("Reset before the answer"));
        check("return-broken-stream", Some("Close after 1 frame"));
        check(
            "return-broken-stream-after-256K",
            Some("Close after 262144 bytes"),
        );
        check(
            "return-broken-stream-final-chunk-after-100B",
            Some("Close after 100 bytes"),
        );
        check("stall-for-10s-after-12K", Some("10s after 12288"));
        for wrong in [
            "",
            "return-",
            "return-99",
            "return-200",
            "stall-for-x-after-1K",
            "return-broken-streams",
            "explode",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn what_is_to_go_wrong_does_so_once_in_order_and_for_its_method() {
        let mut tests = RetryTests::default();
        let asked = r#"{"instructions":{"storage.objects.get":["return-503","return-408"]}}"#;
        let told = tests.add(serde_json::from_str(asked).unwrap()).unwrap();
        assert!(!told.completed);
        let mut take = |id: &str, uri: &'static str| {
            let errand = Errand::of(&Method::GET, &Uri::from_static(uri)).unwrap();
            let Trouble::Fault(fault) = tests.take(id, &errand, None)? else {
                panic!("there is no such instruction");
            };
            let Fault::Status(told) = &*fault else {
                panic!("{fault:?}");
            };
            Some(told.status)
        };
        let (get, list) = ("/storage/v1/b/attic/o/cat", "/storage/v1/b/attic/o");
        assert_eq!(take(&told.id, list), None);
        assert_eq!(take("other", get), None);
        assert_eq!(take(&told.id, get), Some(503));
        assert_eq!(take(&told.id, get), Some(408));
        assert_eq!(take(&told.id, get), None);
        assert!(tests.find(&told.id).unwrap().completed);
    }
}
