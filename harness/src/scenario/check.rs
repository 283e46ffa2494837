//! What the types cannot say: names that must be known, and that something is expected.
//!
//! Where a part of the file could not be read, what depends on that part is not doubted.

use std::collections::BTreeSet;

use mock_server::Script;
use mock_server::yaml::{At, Content, Document, Mistake, Node, Span, one_of};
use serde_json::Value;

use super::known_names::{EVENTS, TABLES};
use super::matcher::Matcher;
use super::sought::{Expect, Never, Sought, StateName};
use super::step::{Hear, How, Moment, Restart, Start, Step, Subject};
use super::templates::{JID, names_in, shift_of_now};
use super::{ScenarioFile, background, boxes, cast, chat, rehearsal, within_root};

pub(super) fn check(
    document: &Document,
    file: &ScenarioFile,
    scripts: &[Script],
    mistakes: &mut Vec<Mistake>,
) {
    let doubtful = doubtful_parts(document, mistakes);
    let sure = |part: &str| !doubtful.contains(part);
    if file.story.trim().is_empty() {
        let help = "say in one sentence what a person would notice if this broke";
        mistakes.push(Mistake::new(file.story.span, "the story is empty").help(help));
    }
    if let Some(stages) = file.stages.as_ref().filter(|stages| stages.is_empty()) {
        let help = "name some of `process`, `hybrid` and `docker`, or leave `stages` out";
        mistakes.push(Mistake::new(stages.span, "it is never played").help(help));
    }
    if sure("steps") && sure("finally") && !all_steps(file).any(|step| expects(step)) {
        let mistake = Mistake::new(
            first_key(document.root()),
            "nothing is expected, so nothing is tested",
        )
        .help("add a `hear`, an `expect`, a `never`, or an `answer` to an `ask`");
        mistakes.push(mistake);
    }
    check_settings(document, file, mistakes);
    chat::check(document, &file.chats, mistakes);
    within_root::check(document, file, mistakes);
    boxes::check(document, file, mistakes);
    let told = ["script", "scripts", "lanes", "faults", "steps"];
    if told.into_iter().all(sure) {
        rehearsal::check(document, file, scripts, mistakes);
    }
    if sure("chats") && sure("steps") && sure("finally") {
        cast::check(document, file, mistakes);
    }
    let on_whatsapp = cast::chats(document, file);
    let mut known = Known {
        chats: file
            .chats
            .keys()
            .chain(&on_whatsapp)
            .map(String::as_str)
            .chain(["main"])
            .collect(),
        gates: gates(scripts),
        turns: rehearsal::names(scripts).concat(),
        mistakes,
    };
    if sure("steps") && sure("finally") {
        all_steps(file).for_each(|step| known.check_heard(step));
    }
    for step in all_steps(file) {
        known.check_step(step, sure("chats"), sure("script") && sure("scripts"));
    }
    if sure("steps") && sure("finally") {
        background::check(file, known.mistakes);
    }
    for part in ["config", "files"] {
        if let Some(node) = document.root().get(part).filter(|_| sure(part)) {
            check_variables(node, known.mistakes);
        }
    }
    if sure("steps") {
        check_names(document, &cast::jids(document, file), known.mistakes);
    }
}

fn all_steps(file: &ScenarioFile) -> impl Iterator<Item = &At<Step>> {
    file.steps.iter().chain(&file.finally)
}

/// The top keys in which something could not be read.
fn doubtful_parts(document: &Document, mistakes: &[Mistake]) -> BTreeSet<String> {
    let Content::Map(entries) = document.root().content() else {
        return BTreeSet::new();
    };
    let touched = |value: &Node| mistakes.iter().any(|one| value.span().holds(one.span));
    entries
        .iter()
        .filter(|(_, value)| touched(value))
        .map(|(key, _)| key.name.clone())
        .collect()
}

fn first_key(root: &Node) -> Span {
    match root.content() {
        Content::Map(entries) => entries.first().map_or(root.span(), |(key, _)| key.span),
        Content::Null
        | Content::Bool(_)
        | Content::Number(_)
        | Content::Text { .. }
        | Content::List(_) => root.span(),
    }
}

fn expects(step: &Step) -> bool {
    match step {
        Step::Hear(_) | Step::Expect(_) | Step::Never(_) | Step::Ended(_) => true,
        // What became of one in the background is told with `ended`.
        Step::Run(run) => !run.background,
        Step::Snapshot(subjects) => !subjects.is_empty(),
        Step::Ask(ask) => ask.answer.is_some() || ask.status.is_some(),
        Step::Start(start) => start.exit.is_some(),
        Step::Stop(stop) => stop.exit.is_some(),
        Step::Say(_)
        | Step::Burst(_)
        | Step::Phone(_)
        | Step::Ipc(_)
        | Step::Clock(_)
        | Step::Restart(_)
        | Step::Release(_)
        | Step::Fault(_)
        | Step::Store(_)
        | Step::Storage(_)
        | Step::Box(_)
        | Step::Engine(_)
        | Step::Settle(_) => false,
    }
}

fn check_settings(document: &Document, file: &ScenarioFile, mistakes: &mut Vec<Mistake>) {
    if let Some(zone) = &file.clock.tz {
        check_zone(zone, entry(document, &["clock", "tz"]), mistakes);
    }
}

fn check_zone(zone: &str, span: Span, mistakes: &mut Vec<Mistake>) {
    if jiff::tz::TimeZone::get(zone).is_err() {
        let mistake = Mistake::new(span, format!("`{zone}` is not a time zone"));
        mistakes.push(mistake.help("use an IANA name such as `Europe/Paris`"));
    }
}

fn entry(document: &Document, keys: &[&str]) -> Span {
    let found = keys
        .iter()
        .try_fold(document.root(), |node, key| node.get(key));
    found.map_or_else(|| document.root().span(), Node::span)
}

fn gates(scripts: &[Script]) -> Vec<String> {
    let turns = scripts.iter().flat_map(|script| &script.turns);
    turns.filter_map(|turn| turn.hold.clone()).collect()
}

/// The names a step may use.
struct Known<'a> {
    chats: Vec<&'a str>,
    gates: Vec<String>,
    turns: Vec<String>,
    mistakes: &'a mut Vec<Mistake>,
}

impl Known<'_> {
    fn check_step(&mut self, step: &At<Step>, chats_are_sure: bool, turns_are_sure: bool) {
        if chats_are_sure && let Some(chat) = chat_of(step) {
            let known = self.chats.clone();
            self.must_be_known("chat", chat, known);
        }
        match &step.value {
            Step::Release(gate) if turns_are_sure => {
                let known = self.gates.clone();
                self.must_be_known("gate", gate, known.iter().map(String::as_str));
            }
            Step::Expect(Expect { sought, count, .. }) => {
                if let (Sought::State { .. }, Some(count)) = (sought, count) {
                    let help = "say how many there are in the state itself, as in `{ len: 2 }`";
                    self.means_nothing("count", "a state", count.span, help);
                }
                self.check_sought(sought, turns_are_sure);
            }
            Step::Never(Never { sought, .. }) => {
                if let Sought::Heard(hear) = sought {
                    self.check_never_heard(hear);
                }
                self.check_sought(sought, turns_are_sure);
            }
            Step::Snapshot(subjects) => {
                for subject in subjects {
                    if let Subject::State(state) = &subject.value {
                        self.check_state(state, subject.span);
                    }
                }
            }
            Step::Stop(stop) => self.check_end((stop.how, stop.at), step.span),
            Step::Restart(again) => self.check_restart(again, step.span),
            Step::Start(start) => self.check_start(start, step.span),
            Step::Ipc(drop) if drop.content().is_none() => {
                let mistake = Mistake::new(step.span, "a drop has exactly one content")
                    .help("give one of: message, task, raw, symlink, fifo, size");
                self.mistakes.push(mistake);
            }
            Step::Hear(_)
            | Step::Ask(_)
            | Step::Say(_)
            | Step::Burst(_)
            | Step::Phone(_)
            | Step::Ipc(_)
            | Step::Clock(_)
            | Step::Release(_)
            | Step::Fault(_)
            | Step::Store(_)
            | Step::Storage(_)
            | Step::Box(_)
            | Step::Engine(_)
            | Step::Settle(_)
            | Step::Run(_)
            | Step::Ended(_) => {}
        }
    }

    fn check_end(&mut self, end: (How, Moment), span: Span) {
        if end == (How::Itself, Moment::Once) {
            let help = "leave it out; nanokimi itself says when";
            self.means_nothing("at", "`how: itself`", span, help);
        }
    }

    fn check_restart(&mut self, again: &Restart, span: Span) {
        self.check_end((again.how, again.at), span);
        if let Some(zone) = &again.tz {
            check_zone(zone, zone.span, self.mistakes);
        }
    }

    fn check_start(&mut self, start: &Start, span: Span) {
        let is_plain =
            |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        if let Some(machine) = &start.machine
            && (machine.is_empty() || !machine.chars().all(is_plain))
        {
            let message = format!("`{}` is no name of a machine", machine.value);
            let help = "take small letters, digits and `-`; the scenario begins on `first`";
            self.mistakes
                .push(Mistake::new(machine.span, message).help(help));
        }
        if let Some(zone) = &start.tz {
            check_zone(zone, zone.span, self.mistakes);
        }
        if !start.awaited {
            self.check_not_waited_for(start, span);
        }
    }

    fn check_not_waited_for(&mut self, start: &Start, span: Span) {
        let help = "leave it to the `start` that waits";
        for (key, given) in [
            ("exit", start.exit.is_some()),
            ("stderr", start.stderr.is_some()),
            ("within", start.within.is_some()),
        ] {
            if given {
                self.means_nothing(key, "`await: false`", span, help);
            }
        }
    }

    fn check_heard(&mut self, step: &Step) {
        let Some(hear) = heard_in(step) else {
            return;
        };
        let told = [
            &hear.text,
            &hear.kind,
            &hear.quoted,
            &hear.mentions,
            &hear.media,
            &hear.heard_by,
        ];
        if told.into_iter().all(Option::is_none) {
            let mistake = Mistake::new(hear.chat.span, "nothing is said of what is heard");
            let help = "add `text: …`, or `text: { any: true }` for whatever it is";
            self.mistakes.push(mistake.help(help));
        }
    }

    fn check_never_heard(&mut self, hear: &Hear) {
        if let Some(count) = &hear.count {
            let help = "leave it out; to hear it no more often, write `hear` with a `count`";
            self.means_nothing("count", "what is never heard", count.span, help);
        }
        if let Some(name) = &hear.called {
            let help = "leave it out; what is not heard has no name";
            self.means_nothing("as", "what is never heard", name.span, help);
        }
        if hear.within.is_some() {
            let help = "leave it out; `for` says how long";
            self.means_nothing("within", "what is never heard", hear.chat.span, help);
        }
    }

    fn means_nothing(&mut self, key: &str, beside: &str, span: Span, help: &str) {
        let message = format!("`{key}` means nothing beside {beside}");
        self.mistakes.push(Mistake::new(span, message).help(help));
    }

    /// `span` is the nearest place to the name of the table that we know of.
    fn check_state(&mut self, state: &StateName, span: Span) {
        if let StateName::Table(table) = state {
            let value = table.clone();
            self.must_be_known("table", &At { value, span }, TABLES.iter().copied());
        }
    }

    fn check_sought(&mut self, sought: &Sought, turns_are_sure: bool) {
        if let Sought::State { state, matcher } = sought {
            self.check_state(state, matcher.span);
        }
        let Sought::Event { event, fields } = sought else {
            return;
        };
        self.must_be_known("event", event, EVENTS.iter().copied());
        if let Some(Matcher::Fields(fields)) = fields.as_ref().map(|fields| &fields.value)
            && let Some(turn) = fields.get("turn").filter(|_| turns_are_sure)
            && let Matcher::Equals(Value::String(id)) = &turn.value
        {
            let id = At {
                value: id.clone(),
                span: turn.span,
            };
            let known = self.turns.clone();
            self.must_be_known("turn", &id, known.iter().map(String::as_str));
        }
    }

    fn must_be_known<'b>(
        &mut self,
        what: &str,
        name: &At<String>,
        known: impl IntoIterator<Item = &'b str>,
    ) {
        let known: Vec<&str> = known.into_iter().collect();
        if known.contains(&name.as_str()) || name.contains("${") {
            return;
        }
        let message = format!("unknown {what} `{}`", name.value);
        let help = one_of(name, known);
        self.mistakes
            .push(Mistake::new(name.span, message).help(help));
    }
}

fn chat_of(step: &Step) -> Option<&At<String>> {
    // The words of phones are looked at together, see `cast`.
    if let Step::Ask(ask) = step {
        return Some(&ask.chat);
    }
    if let Step::Box(befalling) = step {
        return befalling.chat();
    }
    heard_in(step).map(|hear| &hear.chat)
}

/// What is to be heard, or never.
fn heard_in(step: &Step) -> Option<&Hear> {
    match step {
        Step::Hear(hear)
        | Step::Never(Never {
            sought: Sought::Heard(hear),
            ..
        }) => Some(hear),
        Step::Ask(_)
        | Step::Say(_)
        | Step::Burst(_)
        | Step::Phone(_)
        | Step::Ended(_)
        | Step::Never(_)
        | Step::Ipc(_)
        | Step::Expect(_)
        | Step::Clock(_)
        | Step::Start(_)
        | Step::Stop(_)
        | Step::Restart(_)
        | Step::Release(_)
        | Step::Fault(_)
        | Step::Store(_)
        | Step::Storage(_)
        | Step::Box(_)
        | Step::Engine(_)
        | Step::Settle(_)
        | Step::Snapshot(_)
        | Step::Run(_) => None,
    }
}

/// What the rows of the matrix left over.
fn check_variables(node: &Node, mistakes: &mut Vec<Mistake>) {
    match node.content() {
        Content::Text { text, .. } => {
            for name in names_in(text) {
                let message = format!("`${{{name}}}` is no variable of the matrix");
                let help = "only steps know captures, `now` and `root`";
                mistakes.push(Mistake::new(node.span(), message).help(help));
            }
        }
        Content::List(items) => items
            .iter()
            .for_each(|item| check_variables(item, mistakes)),
        Content::Map(entries) => {
            let values = entries.iter().map(|(_, value)| value);
            values.for_each(|value| check_variables(value, mistakes));
        }
        Content::Null | Content::Bool(_) | Content::Number(_) => {}
    }
}

/// Each `${name}` in a step must be `now`, `root`, a JID, or captured further up.
fn check_names(document: &Document, jids: &[String], mistakes: &mut Vec<Mistake>) {
    let mut given = Given {
        captured: Vec::new(),
        jids,
        mistakes,
    };
    for part in ["steps", "finally"] {
        if let Some(node) = document.root().get(part) {
            given.check(node);
        }
    }
}

/// The names that have a value so far.
struct Given<'a> {
    captured: Vec<String>,
    /// Whom and what a JID may be of.
    jids: &'a [String],
    mistakes: &'a mut Vec<Mistake>,
}

impl Given<'_> {
    fn check(&mut self, node: &Node) {
        match node.content() {
            Content::Text { text, .. } => self.check_text(text, node.span()),
            Content::List(items) => items.iter().for_each(|item| self.check(item)),
            Content::Map(entries) => {
                for (key, value) in entries {
                    self.check_text(&key.name, key.span);
                    self.check_entry(&key.name, value);
                }
            }
            Content::Null | Content::Bool(_) | Content::Number(_) => {}
        }
    }

    fn check_entry(&mut self, key: &str, value: &Node) {
        if key == "burst" {
            // Its messages are counted.
            self.captured.push("n".to_owned());
            self.check(value);
            self.captured.retain(|name| name != "n");
            return;
        }
        self.check(value);
        if let ("capture", Value::String(name)) = (key, value.to_json()) {
            self.captured.push(name);
        }
    }

    fn check_text(&mut self, text: &str, span: Span) {
        for name in names_in(text) {
            if let Some(of) = name.strip_prefix(JID) {
                if !self.jids.iter().any(|known| known == of) {
                    let help = one_of(of, self.jids.iter().map(String::as_str));
                    let message = format!("`${{{name}}}` is the JID of nobody");
                    self.mistakes.push(Mistake::new(span, message).help(help));
                }
                continue;
            }
            if name == "root" || shift_of_now(&name).is_some() || self.captured.contains(&name) {
                continue;
            }
            let known = self.captured.iter().map(String::as_str);
            let help = one_of(&name, known.chain(["now", "root"]));
            let message = format!("`${{{name}}}` is captured by no step before this one");
            self.mistakes.push(Mistake::new(span, message).help(help));
        }
    }
}
