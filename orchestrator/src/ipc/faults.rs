//! What is wrong for the time being, told once and not at every look.

use std::collections::BTreeMap;
use std::fmt::Display;

/// The faults that last, by where they are.
#[derive(Debug, Default)]
pub(super) struct Faults(BTreeMap<String, String>);

impl Faults {
    /// Notes how it went somewhere; gives back what went well. A fault is logged when it is new.
    pub(super) fn note<T, E: Display>(&mut self, place: &str, outcome: Result<T, E>) -> Option<T> {
        match outcome {
            Ok(value) => {
                self.0.remove(place);
                Some(value)
            }
            Err(error) => {
                if self.is_new(place, &error.to_string()) {
                    tracing::error!(place, %error, "agents' files cannot be handled here until this is mended");
                }
                None
            }
        }
    }

    fn is_new(&mut self, place: &str, fault: &str) -> bool {
        let before = self.0.insert(place.to_owned(), fault.to_owned());
        before.as_deref() != Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_new_once_and_again_after_it_was_mended() {
        let mut faults = Faults::default();
        assert!(faults.is_new("ada", "permission denied"));
        assert!(!faults.is_new("ada", "permission denied"));
        assert!(faults.is_new("bob", "permission denied"));
        assert!(faults.is_new("ada", "disk full"));
        assert_eq!(faults.note("ada", Ok::<_, String>(1)), Some(1));
        assert!(faults.is_new("ada", "disk full"));
    }
}
