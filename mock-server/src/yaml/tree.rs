//! From the parser's events to the tree of nodes.
//!
//! Bounded in size and depth, so that no file (alias bombs included) can hang or fill us.

use std::collections::HashMap;
use std::ops::Range;

use serde_yaml::granit_parser::{
    Event, Marker, Options, Parser, ScalarStyle, ScanError, Span as EventSpan, StructureStyle,
};

use super::mistake::Mistake;
use super::node::{Content, Key, Node};
use super::scalar;
use super::source::Span;

const MOST_NODES: u32 = 100_000;
const DEEPEST: usize = 64;

/// Reads the one document of `text`.
pub(super) fn plant(text: &str) -> Result<Node, Vec<Mistake>> {
    let mut options = Options::default();
    options.emit_comments = false;
    options.block_nesting_limit = DEEPEST;
    options.flow_nesting_limit = DEEPEST;
    let mut planter = Planter {
        events: Parser::new_from_str_with_options(text, options),
        text,
        anchors: HashMap::new(),
        nodes: 0,
        mistakes: Vec::new(),
    };
    match planter.document() {
        Ok(root) if planter.mistakes.is_empty() => Ok(root),
        Ok(_) => Err(planter.mistakes),
        Err(end) => {
            planter.mistakes.push(*end);
            Err(planter.mistakes)
        }
    }
}

/// A mistake after which nothing more can be read.
type Unreadable = Box<Mistake>;

struct Planter<'a, I> {
    events: I,
    text: &'a str,
    anchors: HashMap<usize, Node>,
    nodes: u32,
    mistakes: Vec<Mistake>,
}

impl<'a, I> Planter<'a, I>
where
    I: Iterator<Item = Result<(Event<'a>, EventSpan), ScanError>>,
{
    fn next(&mut self) -> Result<(Event<'a>, Span), Unreadable> {
        match self.events.next() {
            Some(Ok((event, span))) => Ok((event, span_of(span.byte_range()))),
            Some(Err(error)) => Err(Box::new(self.malformed(&error))),
            None => Err(Box::new(Mistake::new(
                self.end(),
                "the file ends too early",
            ))),
        }
    }

    fn end(&self) -> Span {
        Span::new(self.text.len(), self.text.len())
    }

    fn malformed(&self, error: &ScanError) -> Mistake {
        let at = offset(self.text, error.marker());
        let mistake = Mistake::new(Span::new(at, at), error.info());
        let line_start = self.text[..at].rfind('\n').map_or(0, |end| end + 1);
        if self.text[line_start..]
            .trim_start_matches(' ')
            .starts_with('\t')
        {
            return mistake.help("indent with spaces: YAML allows no tabs there");
        }
        if error.info().contains("block") {
            return mistake.help("begin lines that belong together in the same column");
        }
        mistake
    }

    fn document(&mut self) -> Result<Node, Unreadable> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::StreamEnd) {
                let empty = || Box::new(Mistake::new(self.end(), "the file is empty"));
                return root.ok_or_else(empty);
            }
            if !event.is_node() {
                continue;
            }
            if root.is_some() {
                let message = "a second document begins: one file holds one";
                return Err(Box::new(Mistake::new(span, message)));
            }
            root = Some(self.node(event, span)?);
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span) -> Result<Node, Unreadable> {
        if let Some(tag) = event.tag() {
            let message = format!("the tag `{}` means nothing here", tag.original());
            self.mistakes
                .push(Mistake::new(span, message).help("write the value without it"));
        }
        let anchor = event.anchor_id();
        let node = self.content(event, span)?;
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn content(&mut self, event: Event<'a>, span: Span) -> Result<Node, Unreadable> {
        let id = self.count(span, 1)?;
        if let Event::Scalar(text, style, ..) = event {
            return Ok(Node {
                id,
                span: self.trimmed(span),
                content: written(&text, style),
            });
        }
        if let Event::SequenceStart(style, ..) = event {
            return self.list(id, style, span);
        }
        if let Event::MappingStart(style, ..) = event {
            return self.map(id, style, span);
        }
        if let Event::Alias(anchor) = event {
            return self.alias(anchor, span);
        }
        let message = format!("YAML that is not understood here ({event:?})");
        Err(Box::new(Mistake::new(span, message)))
    }

    fn count(&mut self, span: Span, more: u32) -> Result<u32, Unreadable> {
        self.nodes = self.nodes.saturating_add(more);
        if self.nodes > MOST_NODES {
            let message = format!("the file holds more than {MOST_NODES} values");
            return Err(Box::new(
                Mistake::new(span, message).help("aliases count each time they are used"),
            ));
        }
        Ok(self.nodes)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<Node, Unreadable> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            let message = "this alias stands inside of what it names";
            return Err(Box::new(Mistake::new(span, message)));
        };
        self.count(span, size(&node))?;
        Ok(node)
    }

    fn list(&mut self, id: u32, style: StructureStyle, start: Span) -> Result<Node, Unreadable> {
        let mut items: Vec<Node> = Vec::new();
        let close = loop {
            match self.next()? {
                (Event::SequenceEnd, close) => break close,
                (event, span) => items.push(self.node(event, span)?),
            }
        };
        let last = items.last().map(Node::span);
        Ok(Node {
            id,
            span: whole(style, start, last, close),
            content: Content::List(items),
        })
    }

    fn map(&mut self, id: u32, style: StructureStyle, start: Span) -> Result<Node, Unreadable> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let close = loop {
            let key = match self.next()? {
                (Event::MappingEnd, close) => break close,
                (event, span) => self.key(event, span)?,
            };
            let (event, span) = self.next()?;
            let mut value = self.node(event, span)?;
            if value.span.start == value.span.end {
                // Nothing was written: the key is the place to point at.
                value.span = key.span;
            }
            self.insert(&mut entries, key, value);
        };
        let last = entries.last().map(|(_, value)| value.span);
        Ok(Node {
            id,
            span: whole(style, start, last, close),
            content: Content::Map(entries),
        })
    }

    fn key(&mut self, event: Event<'a>, span: Span) -> Result<Key, Unreadable> {
        let Event::Scalar(name, ..) = event else {
            let mistake = Mistake::new(span, "a key must be a plain word")
                .help("quote a text that begins with `{`, `[`, `*` or `&`");
            return Err(Box::new(mistake));
        };
        Ok(Key {
            name: name.into_owned(),
            span: self.trimmed(span),
        })
    }

    fn insert(&mut self, entries: &mut Vec<(Key, Node)>, key: Key, value: Node) {
        if let Some((first, _)) = entries.iter().find(|(known, _)| known.name == key.name) {
            let message = format!("the key `{}` is written twice", key.name);
            let mistake = Mistake::new(key.span, message)
                .also(first.span, "first written here")
                .help("keep one of them");
            self.mistakes.push(mistake);
            return;
        }
        entries.push((key, value));
    }

    fn trimmed(&self, span: Span) -> Span {
        let text = self.text.get(span.start..span.end).map_or("", |text| text);
        Span::new(span.start, span.start + text.trim_end().len())
    }
}

fn written(text: &str, style: ScalarStyle) -> Content {
    match style {
        ScalarStyle::Plain => scalar::resolve(text),
        ScalarStyle::SingleQuoted
        | ScalarStyle::DoubleQuoted
        | ScalarStyle::Literal
        | ScalarStyle::Folded => Content::Text {
            text: text.to_owned(),
            plain: false,
        },
    }
}

/// From the opening to the closing bracket, or to the end of the last value.
fn whole(style: StructureStyle, start: Span, last: Option<Span>, close: Span) -> Span {
    let end = match style {
        StructureStyle::Flow => close.end,
        StructureStyle::Block => last.map_or(start.end, |last| last.end),
    };
    Span::new(start.start, end.max(start.start))
}

fn size(node: &Node) -> u32 {
    let below: u32 = match &node.content {
        Content::List(items) => items.iter().map(size).sum(),
        Content::Map(entries) => entries.iter().map(|(_, value)| size(value)).sum(),
        Content::Null | Content::Bool(_) | Content::Number(_) | Content::Text { .. } => 0,
    };
    below.saturating_add(1)
}

fn span_of(bytes: Option<Range<usize>>) -> Span {
    bytes.map_or(Span::default(), |range| Span::new(range.start, range.end))
}

fn offset(text: &str, marker: &Marker) -> usize {
    let from_chars = || text.char_indices().nth(marker.index()).map(|(at, _)| at);
    marker
        .byte_offset()
        .or_else(from_chars)
        .map_or(text.len(), |at| at.min(text.len()))
}
