//! The faults of a scenario: where each is written, and what it is called.
//!
//! What they do is the business of the mocks.

use mock_server::FaultRule;
use mock_server::Script;
use mock_server::yaml::Span;

use super::step::Step;
use super::{Scenario, ScenarioFile};

/// The faults that steps put in, in the order in which they are played.
pub(super) fn in_steps(file: &ScenarioFile) -> impl Iterator<Item = (Span, &FaultRule)> {
    let steps = file.steps.iter().chain(&file.finally);
    steps.filter_map(|step| {
        let Step::Fault(rule) = &step.value else {
            return None;
        };
        Some((step.span, &**rule))
    })
}

/// Where the fault of this name is written in the scenario's own file.
pub(super) fn place(file: &ScenarioFile, scripts: &[Script], name: &str) -> Option<Span> {
    // The last of the scripts is the scenario's own, and its faults are those of the file.
    let before: usize = scripts.iter().map(|script| script.faults.len()).sum();
    let before = before.saturating_sub(file.faults.len());
    let at_the_top = file.faults.iter().map(|rule| (rule.span, &rule.value));
    let own = at_the_top.chain(in_steps(file)).enumerate();
    let named = own.filter(|(index, (_, rule))| {
        let made = || format!("fault-{}", before + index + 1);
        rule.id.clone().unwrap_or_else(made) == name
    });
    // Of two with one name the second is too many.
    named.last().map(|(_, (span, _))| span)
}

impl Scenario {
    /// Where the fault of this name is written, if it is here.
    #[must_use]
    pub(crate) fn place_of_fault(&self, name: &str) -> Option<Span> {
        place(&self.file, &self.scripts, name)
    }
}
