//! Gates: where an answer waits until the scenario lets it go on.
//!
//! A gate that was released stays open, so it does not matter which comes first, the
//! request or the release.

use std::collections::BTreeMap;

use tokio_util::sync::CancellationToken;

/// All gates that turns name.
#[derive(Debug, Default)]
pub(crate) struct Gates {
    gates: BTreeMap<String, Gate>,
}

#[derive(Clone, Debug, Default)]
struct Gate {
    /// Cancelled: open.
    opened: CancellationToken,
    waiting: usize,
}

/// A gate that no turn waits at.
#[derive(Debug, thiserror::Error)]
#[error("no turn is held at a gate `{gate}`; gates: {known}")]
pub struct UnknownGate {
    gate: String,
    known: String,
}

impl Gates {
    pub(crate) fn add(&mut self, gate: &str) {
        self.gates.entry(gate.to_owned()).or_default();
    }

    /// Opens the gate for good, and says how many answers waited at it.
    pub(crate) fn release(&self, gate: &str) -> Result<usize, UnknownGate> {
        let found = self.gates.get(gate).ok_or_else(|| self.unknown(gate))?;
        found.opened.cancel();
        Ok(found.waiting)
    }

    pub(crate) fn release_all(&self) {
        self.gates.values().for_each(|gate| gate.opened.cancel());
    }

    /// What to wait for at a gate; nothing if it is open.
    pub(crate) fn arrive(&mut self, gate: &str) -> Option<CancellationToken> {
        let gate = self.gates.entry(gate.to_owned()).or_default();
        if gate.opened.is_cancelled() {
            return None;
        }
        gate.waiting += 1;
        Some(gate.opened.clone())
    }

    pub(crate) fn is_open(&self, gate: &str) -> bool {
        let gate = self.gates.get(gate);
        gate.is_some_and(|gate| gate.opened.is_cancelled())
    }

    pub(crate) fn leave(&mut self, gate: &str) {
        if let Some(gate) = self.gates.get_mut(gate) {
            gate.waiting = gate.waiting.saturating_sub(1);
        }
    }

    /// The gates at which somebody waits.
    pub(crate) fn waiting(&self) -> Vec<String> {
        let waiting = self.gates.iter().filter(|(_, gate)| gate.waiting > 0);
        waiting.map(|(name, _)| name.clone()).collect()
    }

    fn unknown(&self, gate: &str) -> UnknownGate {
        let names: Vec<_> = self.gates.keys().map(String::as_str).collect();
        UnknownGate {
            gate: gate.to_owned(),
            known: if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            },
        }
    }
}
