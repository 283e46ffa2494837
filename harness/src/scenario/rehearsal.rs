//! Turns and lanes must fit together before a scenario is played.
//!
//! The rules are the model's own; here their faults only get a place in the file.

use mock_server::yaml::{Content, Document, Mistake, Node, Span};
use mock_server::{Script, ScriptError};

use super::{ScenarioFile, faults};

/// Adds what keeps the scripts from being said in one scenario.
pub(super) fn check(
    document: &Document,
    file: &ScenarioFile,
    scripts: &[Script],
    mistakes: &mut Vec<Mistake>,
) {
    let on_the_way = faults::in_steps(file).map(|(_, rule)| Script::of_faults(vec![rule.clone()]));
    let all: Vec<_> = scripts.iter().cloned().chain(on_the_way).collect();
    if let Err(error) = Script::rehearse(&all) {
        let fault = error.fault();
        let fault = fault.and_then(|name| faults::place(file, scripts, name));
        let place = fault.unwrap_or_else(|| place(document, scripts, &error));
        mistakes.push(Mistake::new(place, error.to_string()));
    }
}

/// The names of all turns, script by script: given, or made from their places.
pub(super) fn names(scripts: &[Script]) -> Vec<Vec<String>> {
    let mut known = 0;
    let mut names = Vec::new();
    for script in scripts {
        let (prefix, first) = match &script.name {
            Some(name) => (name.as_str(), 0),
            None => ("turn", known),
        };
        let name = |(index, turn): (usize, &mock_server::ScriptedTurn)| {
            let made = || format!("{prefix}-{}", first + index + 1);
            turn.id.clone().unwrap_or_else(made)
        };
        known += script.turns.len();
        names.push(script.turns.iter().enumerate().map(name).collect());
    }
    names
}

/// The turn at fault if it is written here, or else the part that brought it.
fn place(document: &Document, scripts: &[Script], error: &ScriptError) -> Span {
    let root = document.root();
    let part = |name: &str| root.get(name).map(Node::span);
    let Some(turn) = error.turn() else {
        return part("lanes").or(part("scripts")).unwrap_or(root.span());
    };
    let inline = names(scripts).pop().unwrap_or_default();
    let written = inline.iter().rposition(|name| name == turn);
    let node = match root.get("script").map(Node::content) {
        Some(Content::List(turns)) => written.and_then(|index| turns.get(index)),
        _ => None,
    };
    let named = |node: &Node| match node.get("id") {
        Some(id) => id.span(),
        None => node.span(),
    };
    let node = node.map(named);
    node.or(part("scripts")).unwrap_or(root.span())
}
