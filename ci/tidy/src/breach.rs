//! What a rule says when it is broken.

use std::fmt;

/// A rule broken in one place, and the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    place: String,
    fault: String,
    way_out: String,
}

impl Breach {
    pub(crate) fn new(
        place: impl fmt::Display,
        fault: impl Into<String>,
        way_out: impl Into<String>,
    ) -> Self {
        Self {
            place: place.to_string(),
            fault: fault.into(),
            way_out: way_out.into(),
        }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            place,
            fault,
            way_out,
        } = self;
        write!(f, "{place}: {fault}; {way_out}")
    }
}

/// The lines that the tests beside the rules compare.
#[cfg(test)]
pub(crate) fn lines(breaches: impl IntoIterator<Item = Breach>) -> Vec<String> {
    breaches
        .into_iter()
        .map(|breach| breach.to_string())
        .collect()
}
