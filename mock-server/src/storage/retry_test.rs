//! Google's retry tests: a client says beforehand what is to go wrong with which method, and
//! names that test with each of its requests.
//!
//! <https://github.com/googleapis/storage-testbench#retry-test-api>

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroUsize;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::lapse::Lapse;
use crate::llm::{Breaking, Drops, Fault, FaultMoment, StatusFault};
use crate::storage::Storage;
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
    fault: Fault,
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

    /// What goes wrong with this request of a test; it does so once.
    pub(crate) fn take(&mut self, id: &str, method: &str) -> Option<Fault> {
        let test = self.tests.get_mut(id)?;
        let next = test.instructions.get_mut(method)?.pop_front()?;
        Some(next.fault)
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
        let fault = fault(&text).ok_or_else(refused)?;
        Ok(Self { text, fault })
    }
}

/// `return-503`, `return-reset-connection`, `return-broken-stream`,
/// `return-broken-stream-after-256K`, `return-503-after-256K`, `stall-for-1s-after-128K`.
fn fault(text: &str) -> Option<Fault> {
    if let Some(rest) = text.strip_prefix("stall-for-") {
        let (pause, after) = rest.split_once("-after-")?;
        // All of it comes, so much at once, with the pause between.
        let bytes = NonZeroUsize::new(size(after)?)?;
        let every = Lapse::parse(pause)?;
        return Some(Fault::Slow(Drops { bytes, every }));
    }
    let rest = text.strip_prefix("return-")?;
    if rest == "reset-connection" {
        return Some(Fault::Break(Breaking::Reset, FaultMoment::Request));
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
        return Some(Fault::Break(Breaking::Close, moment));
    }
    // The body has been read by then anyhow.
    let code = rest.split_once("-after-").map_or(rest, |(code, _)| code);
    let status = code.parse().map_or(None, |code: u16| {
        Some(code).filter(|code| (400..600).contains(code))
    })?;
    Some(Fault::Status(StatusFault {
        status,
        headers: IndexMap::new(),
        message: None,
        error_type: None,
        body: None,
    }))
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
    use super::*;

    #[test]
    fn instructions_are_those_of_the_testbench() {
        #[track_caller]
        fn check(text: &str, expected: Option<&str>) {
            let shown = fault(text).map(|fault| match &fault {
                Fault::Status(told) => told.status.to_string(),
                Fault::Break(how, moment) => format!("{how:?} {moment}"),
                Fault::Slow(drops) => format!("{} each {}", drops.bytes, drops.every),
                Fault::Html(_)
                | Fault::Error(_)
                | Fault::Empty(_)
                | Fault::Invalid(_)
                | Fault::Lost
                | Fault::Corrupt(_) => fault.word().to_owned(),
            });
            assert_eq!(shown.as_deref(), expected, "{text}");
        }
        check("return-503", Some("503"));
        check("return-503-after-256K", Some("503"));
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
        check("stall-for-10s-after-12K", Some("12288 each 10s"));
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
        let mut take = |id: &str, method| match tests.take(id, method) {
            Some(Fault::Status(told)) => Some(told.status),
            _ => None,
        };
        assert_eq!(take(&told.id, "storage.objects.list"), None);
        assert_eq!(take("other", "storage.objects.get"), None);
        assert_eq!(take(&told.id, "storage.objects.get"), Some(503));
        assert_eq!(take(&told.id, "storage.objects.get"), Some(408));
        assert_eq!(take(&told.id, "storage.objects.get"), None);
        assert!(tests.find(&told.id).unwrap().completed);
    }
}
