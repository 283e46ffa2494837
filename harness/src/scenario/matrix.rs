//! Rows of variables: the file is read once for each row, with its variables put in.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use mock_server::yaml::{Content, Document, Mistake, Mistakes, Node, Span};

use super::templates::{only_name, replace};

/// A file with the variables of one row put in.
pub(super) struct Row {
    pub(super) name: Option<String>,
    pub(super) document: Document,
    /// Where the row is written.
    pub(super) span: Option<Span>,
}

impl Row {
    /// A mistake at a place with a variable is told together with the row.
    pub(super) fn explain(&self, mistakes: Vec<Mistake>) -> Mistakes {
        let source = self.document.source();
        let explained = mistakes.into_iter().map(|mistake| match self.span {
            Some(row) if source.slice(mistake.span).contains("${") => {
                mistake.also(row, "with the variables of this row")
            }
            Some(_) | None => mistake,
        });
        self.document.mistaken(explained.collect())
    }
}

/// The rows of the matrix, or the file as it is when it has none.
pub(super) fn rows(document: &Document) -> Result<Vec<Row>, Mistakes> {
    let Some(Content::List(rows)) = document.root().get("matrix").map(Node::content) else {
        let document = document.with_root(document.root().clone());
        return Ok(vec![Row {
            name: None,
            document,
            span: None,
        }]);
    };
    if rows.is_empty() {
        let mistake = Mistake::new(document.root().span(), "the matrix has no rows");
        return Err(document.mistaken(vec![mistake]));
    }
    let rows: Vec<Row> = rows
        .iter()
        .map(|row| expand(document, row))
        .collect::<Result<_, _>>()?;
    match named_alike(&rows) {
        Some(mistake) => Err(document.mistaken(vec![mistake])),
        None => Ok(rows),
    }
}

/// Rows of one name would overwrite each other's traces and snapshots.
fn named_alike(rows: &[Row]) -> Option<Mistake> {
    let mut known = BTreeSet::new();
    let again = rows.iter().find(|row| !known.insert(&row.name))?;
    let name = again.name.as_deref().unwrap_or_default();
    let mistake = Mistake::new(again.span?, format!("two rows are called `{name}`"));
    Some(mistake.help("name each with `row: …`"))
}

fn expand(document: &Document, row: &Node) -> Result<Row, Mistakes> {
    let Content::Map(entries) = row.content() else {
        let mistake = Mistake::new(row.span(), "a row of the matrix is a map of variables");
        return Err(document.mistaken(vec![mistake]));
    };
    let variables: IndexMap<&str, &Node> = entries
        .iter()
        .map(|(key, value)| (key.name.as_str(), value))
        .collect();
    let name = match (variables.get("row"), variables.first()) {
        (Some(name), _) | (None, Some((_, name))) => as_text(name),
        (None, None) => String::new(),
    };
    let root = document
        .root()
        .map_texts(&mut |text| put_in(text, &variables));
    Ok(Row {
        name: Some(name),
        document: document.with_root(root),
        span: Some(row.span()),
    })
}

/// The text with its variables, or `None` when it names none of them. Other names are
/// left for later: they may be captures, or the shell's.
fn put_in(text: &str, variables: &IndexMap<&str, &Node>) -> Option<Content> {
    if let Some(value) = only_name(text).and_then(|name| variables.get(name)) {
        return Some(value.content().clone());
    }
    let filled = replace(text, |name| match variables.get(name) {
        Some(value) => as_text(value),
        None => format!("${{{name}}}"),
    });
    (filled != text).then_some(Content::Text {
        text: filled,
        plain: false,
    })
}

fn as_text(value: &Node) -> String {
    match value.content() {
        Content::Text { text, .. } => text.clone(),
        Content::Null
        | Content::Bool(_)
        | Content::Number(_)
        | Content::List(_)
        | Content::Map(_) => value.to_json().to_string(),
    }
}
