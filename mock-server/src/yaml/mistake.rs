//! A mistake in a file, told so that its author can mend it.
//!
//! Renders; does not find mistakes.

use std::fmt;
use std::sync::Arc;

use super::source::{Source, Span};

/// No report is longer; what does not fit is counted.
const MOST_LINES: usize = 25;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    pub span: Span,
    pub message: String,
    /// The way out, where there is one.
    pub help: Option<String>,
    /// A second place that explains the first, with what it is.
    pub also: Option<(Span, String)>,
}

impl Mistake {
    #[must_use]
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        Self {
            span,
            message: message.into(),
            help: None,
            also: None,
        }
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    #[must_use]
    pub fn also(mut self, span: Span, label: impl Into<String>) -> Self {
        self.also = Some((span, label.into()));
        self
    }

    fn render(&self, source: &Source) -> String {
        let mut text = format!("error: {}\n", self.message);
        text.push_str(&source.excerpt(self.span, ""));
        if let Some((span, label)) = &self.also {
            text.push_str(&source.line_with_carets(*span, label));
        }
        if let Some(help) = &self.help {
            text.push_str("help: ");
            text.push_str(help);
            text.push('\n');
        }
        text
    }
}

/// All that is wrong with one file, in the order of the file.
#[derive(Clone, Debug)]
pub struct Mistakes {
    source: Arc<Source>,
    list: Vec<Mistake>,
}

impl Mistakes {
    #[must_use]
    pub fn new(source: Arc<Source>, mut list: Vec<Mistake>) -> Self {
        list.sort_by_key(|mistake| mistake.span);
        list.dedup();
        Self { source, list }
    }

    #[must_use]
    pub fn list(&self) -> &[Mistake] {
        &self.list
    }

    /// The file they are in.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = 0;
        for (index, mistake) in self.list.iter().enumerate() {
            let block = mistake.render(&self.source);
            lines += block.lines().count();
            let last = index + 1 == self.list.len();
            if lines > MOST_LINES || (lines == MOST_LINES && !last) {
                let left = self.list.len() - index;
                let plural = if left == 1 { "mistake" } else { "mistakes" };
                return writeln!(f, "… and {left} more {plural} in {}", self.source.file());
            }
            f.write_str(&block)?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// The name an author may have meant, if one is near enough to be worth saying.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = match name.chars().count() {
        0..=3 => 1,
        4..=7 => 2,
        _ => 3,
    };
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// What to write instead of an unknown name: the nearest, or all there are.
#[must_use]
pub fn one_of<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match (nearest(name, known.iter().copied()), known.as_slice()) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, []) => "there are none to choose from".to_owned(),
        (None, all) => format!("use one of: {}", all.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_suggested_and_far_ones_are_listed() {
        assert_eq!(one_of("heers", ["hear", "ask"]), "did you mean `hear`?");
        assert_eq!(one_of("zzz", ["hear", "ask"]), "use one of: hear, ask");
        assert_eq!(one_of("zzz", []), "there are none to choose from");
    }

    #[test]
    fn many_mistakes_stay_within_the_page_and_are_counted() {
        let source = Arc::new(Source::new("x.yaml", &"a: 1\n".repeat(9)));
        let list = (0..9).map(|line| Mistake::new(Span::new(line * 5, line * 5 + 1), "wrong"));
        let shown = Mistakes::new(source, list.collect()).to_string();
        assert_eq!(shown.lines().count(), 21);
        assert!(
            shown.ends_with("… and 5 more mistakes in x.yaml\n"),
            "{shown}"
        );
    }
}
