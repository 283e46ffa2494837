//! A file's name and text, and how a place in it is shown to a person.
//!
//! Knows lines and columns, not YAML.

use std::fmt;

/// The widest piece of a line that is shown; longer lines are cut around the fault.
const WIDEST: usize = 110;

/// A range of bytes in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

impl Span {
    #[must_use]
    pub fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// Whether `inner` begins inside of this span.
    #[must_use]
    pub fn holds(self, inner: Self) -> bool {
        (self.start..self.end).contains(&inner.start)
    }
}

/// A line and a column, both from 1; the column counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub line: usize,
    pub col: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.col)
    }
}

/// A file as it was read.
#[derive(Debug)]
pub struct Source {
    file: String,
    text: String,
}

impl Source {
    #[must_use]
    pub fn new(file: &str, text: &str) -> Self {
        Self {
            file: file.to_owned(),
            text: text.to_owned(),
        }
    }

    /// The name under which the file was read.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// What the author wrote there.
    #[must_use]
    pub fn slice(&self, span: Span) -> &str {
        self.text
            .get(span.start..span.end)
            .map_or("", str::trim_end)
    }

    /// Where a span begins.
    #[must_use]
    pub fn place(&self, span: Span) -> Place {
        let before = self.before(span);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        Place {
            line: 1 + before.bytes().filter(|byte| *byte == b'\n').count(),
            col: 1 + before[line_start..].chars().count(),
        }
    }

    fn before(&self, span: Span) -> &str {
        let mut end = span.start.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        &self.text[..end]
    }

    /// Three lines: where, the line itself, and carets under the span with a label.
    ///
    /// ```text
    ///   --> chat.yaml:3:5
    ///    |
    ///  3 |   - heers: {chat: main}
    ///    |     ^^^^^ label
    /// ```
    #[must_use]
    pub fn excerpt(&self, span: Span, label: &str) -> String {
        let place = self.place(span);
        let gutter = place.line.to_string().len();
        let mut shown = format!(
            "{:gutter$}--> {}:{place}\n{:gutter$} |\n",
            "", self.file, ""
        );
        shown.push_str(&self.line_with_carets(span, label));
        shown
    }

    /// The line of a span and the carets under it, without the place.
    #[must_use]
    pub fn line_with_carets(&self, span: Span, label: &str) -> String {
        let place = self.place(span);
        let gutter = place.line.to_string().len();
        let line: Vec<char> = self.line(place.line).chars().collect();
        let start = place.col - 1;
        let width = self
            .slice(span)
            .lines()
            .next()
            .map_or(1, |first| first.chars().count().max(1));
        let cut = start.saturating_sub(WIDEST / 2);
        let cut = if line.len() <= WIDEST { 0 } else { cut };
        let visible: String = line.iter().skip(cut).take(WIDEST).collect();
        let carets = "^".repeat(width.min(WIDEST - (start - cut).min(WIDEST - 1)));
        let dots = if cut > 0 { "…" } else { "" };
        let pad = start - cut + dots.chars().count();
        let above = format!("{:gutter$} | {dots}{visible}", place.line);
        let under = format!("{:gutter$} | {:pad$}{carets} {label}", "", "");
        format!("{}\n{}\n", above.trim_end(), under.trim_end())
    }

    fn line(&self, number: usize) -> String {
        let line = self.text.lines().nth(number - 1).map_or("", |line| line);
        line.replace('\t', " ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, span: Span, expected: &str) {
        let shown = Source::new("x.yaml", text).excerpt(span, "here");
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_span_is_shown_with_carets_exactly_under_it() {
        check(
            "a: 1\nb: two\n",
            Span::new(8, 11),
            " --> x.yaml:2:4\n  |\n2 | b: two\n  |    ^^^ here\n",
        );
    }

    #[test]
    fn columns_count_characters_not_bytes() {
        check(
            "é: 助手x\n",
            Span::new(4, 7),
            " --> x.yaml:1:4\n  |\n1 | é: 助手x\n  |    ^ here\n",
        );
    }

    #[test]
    fn a_place_beyond_the_end_is_the_end() {
        check(
            "a\n",
            Span::new(90, 95),
            " --> x.yaml:2:1\n  |\n2 |\n  | ^ here\n",
        );
    }

    #[test]
    fn a_long_line_is_cut_around_the_fault() {
        let text = format!("{}FAULT{}", "a".repeat(300), "b".repeat(300));
        let shown = Source::new("x.yaml", &text).excerpt(Span::new(300, 305), "");
        assert!(
            shown.lines().all(|line| line.chars().count() < 130),
            "{shown}"
        );
        let lines: Vec<&str> = shown.lines().collect();
        let caret = lines[3].find('^').unwrap();
        let cut: String = lines[2].chars().skip(caret).take(5).collect();
        assert_eq!(cut, "FAULT");
    }
}
