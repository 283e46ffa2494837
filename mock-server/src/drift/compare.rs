//! Two answers side by side: the one that was recorded, and the one the mock gives.

use std::fmt;

use super::order::Stream;
use super::shape::{Kinds, Shape};
use crate::record::Received;

/// The headers of an answer that clients read.
const HEADERS: [&str; 1] = ["x-generation-id"];

/// A place in an answer, and what is there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Difference {
    pub path: String,
    pub recorded: String,
    pub mock: String,
}

pub(super) fn differences(recorded: &Received, mock: &Received) -> Vec<Difference> {
    if recorded.status != mock.status {
        let why = crate::text::shorten(&mock.body, 200);
        let (recorded, mock) = (
            recorded.status.to_string(),
            format!("{} {why}", mock.status),
        );
        return vec![Difference::new("status", recorded, mock)];
    }
    let mut differences = headers(recorded, mock);
    if recorded.is_stream() && mock.is_stream() {
        differences.extend(streams(&recorded.body, &mock.body));
    } else if !recorded.is_stream() && !mock.is_stream() {
        differences.extend(shapes(&document(&recorded.body), &document(&mock.body)));
    }
    differences
}

fn headers(recorded: &Received, mock: &Received) -> Vec<Difference> {
    let content_type = |received: &Received| received.content_type().map(str::to_owned);
    let types = (content_type(recorded), content_type(mock));
    let is_there = |received: &Received, name: &str| {
        let header = received.headers.get(name);
        header.map(|_value| "present".to_owned())
    };
    let present = HEADERS.map(|name| (name, is_there(recorded, name), is_there(mock, name)));
    [("content-type", types.0, types.1)]
        .into_iter()
        .chain(present)
        .filter(|(_, recorded, mock)| recorded != mock)
        .map(|(name, recorded, mock)| {
            let shown = |value: Option<String>| value.unwrap_or_else(|| "nothing".to_owned());
            Difference::new(&format!("header {name}"), shown(recorded), shown(mock))
        })
        .collect()
}

fn streams(recorded: &str, mock: &str) -> Vec<Difference> {
    let (recorded, mock) = (Stream::read(recorded), Stream::read(mock));
    let mut differences = shapes(&recorded.shape, &mock.shape);
    if recorded.order != mock.order {
        let (recorded, mock) = (recorded.order.to_string(), mock.order.to_string());
        differences.push(Difference::new("order of frames", recorded, mock));
    }
    let framing = recorded.framing.into_iter().zip(mock.framing);
    let framing = framing.filter(|((_, recorded), (_, mock))| recorded != mock);
    differences.extend(framing.map(|((fact, recorded), (_, mock))| {
        Difference::new(&format!("framing, {fact}"), recorded, mock)
    }));
    differences
}

fn shapes(recorded: &Shape, mock: &Shape) -> Vec<Difference> {
    let shown =
        |kinds: Option<&Kinds>| kinds.map_or_else(|| "nothing".to_owned(), ToString::to_string);
    let found = recorded.differences(mock).into_iter();
    found
        .map(|(path, recorded, mock)| Difference::new(path, shown(recorded), shown(mock)))
        .collect()
}

/// What is no JSON is one text.
fn document(body: &str) -> Shape {
    let mut shape = Shape::default();
    let text = || serde_json::Value::from(body);
    shape.see(&serde_json::from_str(body).unwrap_or_else(|_no_json| text()));
    shape
}

impl Difference {
    fn new(path: &str, recorded: String, mock: String) -> Self {
        let path = if path.is_empty() {
            "the document"
        } else {
            path
        };
        Self {
            path: path.to_owned(),
            recorded,
            mock,
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            recorded,
            mock,
        } = self;
        write!(out, "{path}: recorded {recorded}, mock {mock}")
    }
}
