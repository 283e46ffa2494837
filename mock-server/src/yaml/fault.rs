//! What stops the decoding of one value.

use std::fmt;

use serde::de::{Error, Expected, Unexpected};

use super::mistake::{Mistake, one_of};
use super::source::Span;

/// Separates the message of a `serde` error from the way out.
///
/// Types that are read from YAML may use it in `Error::custom("what\nhelp: way out")`.
const HELP: &str = "\nhelp: ";

/// A fault, first without a place; the decoder of the value adds it on the way up.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    pub(super) place: Option<At>,
}

/// Where the fault is, and which node to leave out to go on without it.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub(super) span: Span,
    pub(super) victim: u32,
}

#[derive(Debug)]
pub(super) enum Kind {
    Said(String),
    Unexpected(String),
    UnknownKey(String, &'static [&'static str]),
    UnknownVariant(String, &'static [&'static str]),
    Missing(&'static str),
}

impl Fault {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, place: None }
    }

    /// Places a fault that has no place yet.
    pub(super) fn at(mut self, span: Span, victim: u32) -> Self {
        self.place.get_or_insert(At { span, victim });
        self
    }

    /// The mistake that an author sees; `found` is what stands at the place.
    pub(super) fn told(self, span: Span, found: &str) -> Mistake {
        match self.kind {
            Kind::Said(text) => match text.split_once(HELP) {
                Some((message, help)) => Mistake::new(span, message).help(help),
                None => Mistake::new(span, text),
            },
            Kind::Unexpected(expected) => unexpected(span, &expected, found),
            Kind::UnknownKey(name, known) => Mistake::new(span, format!("unknown key `{name}`"))
                .help(one_of(&name, known.iter().copied())),
            Kind::UnknownVariant(name, known) => {
                Mistake::new(span, format!("`{name}` is not known here"))
                    .help(one_of(&name, known.iter().copied()))
            }
            Kind::Missing(name) => Mistake::new(span, format!("the key `{name}` is missing here"))
                .help(format!("add `{name}: …`")),
        }
    }
}

fn unexpected(span: Span, expected: &str, found: &str) -> Mistake {
    let (expected, help) = match expected.split_once(HELP) {
        Some((expected, help)) => (expected, Some(help.to_owned())),
        None => (expected, None),
    };
    let scalar = !found.starts_with("a ") && found != "nothing";
    let text = found.trim_matches('`');
    let help = help.or_else(|| match expected {
        "a string" if scalar => Some(format!("quote it to make it a text: \"{text}\"")),
        "a boolean" if scalar => Some("write `true` or `false`".to_owned()),
        _ => None,
    });
    let expected = worded(expected);
    let mistake = Mistake::new(span, format!("expected {expected}, found {found}"));
    match help {
        Some(help) => mistake.help(help),
        None => mistake,
    }
}

/// The words of an author for the words of `serde`.
fn worded(expected: &str) -> &str {
    match expected {
        "a string" | "str" | "string" => "a text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        structure if structure.starts_with("struct ") => "a map",
        other => other,
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.kind)
    }
}

impl std::error::Error for Fault {}

impl Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(Kind::Said(message.to_string()))
    }

    fn invalid_type(_found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(Kind::Unexpected(expected.to_string()))
    }

    fn invalid_value(_found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(Kind::Unexpected(expected.to_string()))
    }

    fn unknown_variant(name: &str, known: &'static [&'static str]) -> Self {
        Self::new(Kind::UnknownVariant(name.to_owned(), known))
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Self {
        Self::new(Kind::UnknownKey(name.to_owned(), known))
    }

    fn missing_field(name: &'static str) -> Self {
        Self::new(Kind::Missing(name))
    }
}
