//! A long text in the parts in which it leaves, cut where a reader would pause.
//!
//! Nothing is lost but the white space around a cut, and nothing is added but the fence that
//! keeps code looking like code on both sides of a cut that had to go through it.

const FENCE: &str = "```";
const CLOSING: &str = "\n```";

/// Cuts a text into parts of at most `longest` characters; one part where there is no limit.
#[must_use]
pub(crate) fn split_text(text: &str, longest: Option<usize>) -> Vec<String> {
    let Some(longest) = longest.map(|longest| longest.max(1)) else {
        return vec![text.to_owned()];
    };
    let mut parts = Vec::new();
    let mut rest = text.to_owned();
    while first(&rest, longest).len() < rest.len() {
        let (part, left) = cut(&rest, longest);
        parts.push(part);
        rest = left;
    }
    parts.push(rest);
    // A cut in white space leaves a part of nothing.
    if parts.len() > 1 {
        parts.retain(|part| !part.trim().is_empty());
    }
    parts
}

/// The first part, and what is left.
fn cut(text: &str, longest: usize) -> (String, String) {
    let room = first(text, longest).len();
    let blocks = blocks(&text[..room]);
    let outside = |at: &usize| *at <= room && !blocks.iter().any(|block| block.holds(*at));
    // With what comes next in view, a pause right behind the part is seen, too.
    let pauses = pauses(first(text, longest + 2));
    let late = pauses
        .iter()
        .find_map(|kind| kind.iter().rev().find(|at| outside(at) && **at >= room / 2));
    if let Some(at) = late {
        return apart(text, *at);
    }
    let through = match blocks.first() {
        Some(block) if block.start == 0 && block.open => through_code(text, &block.fence, longest),
        Some(_) | None => None,
    };
    // Rather a short part than code that is torn apart.
    let early = pauses.iter().flatten().filter(|at| outside(at)).max();
    through.unwrap_or_else(|| match early {
        Some(at) if !blocks.is_empty() => apart(text, *at),
        Some(_) | None => apart(text, room),
    })
}

/// Cuts without adding anything.
fn apart(text: &str, at: usize) -> (String, String) {
    let (part, left) = text.split_at(at);
    let left = left.strip_prefix(' ').unwrap_or(left);
    let left = left.trim_start_matches(['\n', '\r']);
    (part.trim_end().to_owned(), left.to_owned())
}

/// Cuts the block that the text begins with: closes it in the part, and opens it again in what
/// is left. None if there is no room for that.
fn through_code(text: &str, fence: &str, longest: usize) -> Option<(String, String)> {
    let room = first(text, longest.checked_sub(CLOSING.len())?);
    let code = fence.len() + 1;
    let at = match room.rfind('\n') {
        Some(line) if line > code => line,
        Some(_) | None if room.len() > code => room.len(),
        Some(_) | None => return None,
    };
    let (part, left) = text.split_at(at);
    let left = left.strip_prefix('\n').unwrap_or(left);
    // The block was about to end anyway.
    let left = match left.split_once('\n').unwrap_or((left, "")) {
        (line, after) if line.trim_end() == FENCE => {
            after.trim_start_matches(['\n', '\r']).to_owned()
        }
        (_code, _after) => format!("{fence}\n{left}"),
    };
    Some((format!("{part}{CLOSING}"), left))
}

/// A code block, from its fence to behind its closing one, or to the end of the text.
struct Block {
    start: usize,
    end: usize,
    /// It is not closed.
    open: bool,
    /// The whole opening line.
    fence: String,
}

impl Block {
    /// Whether a cut here would go through it.
    fn holds(&self, at: usize) -> bool {
        self.start < at && (at < self.end || self.open)
    }
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        match blocks.last_mut().filter(|block| block.open) {
            Some(block) if line.trim_end() == FENCE => {
                block.end = at + line.trim_end().len();
                block.open = false;
            }
            Some(_code) => {}
            None if line.starts_with(FENCE) => blocks.push(Block {
                start: at,
                end: text.len(),
                open: true,
                fence: line.trim_end().to_owned(),
            }),
            None => {}
        }
        at += line.len();
    }
    blocks
}

/// Where a reader would pause, the longest pauses first: paragraphs, lines, sentences, words.
fn pauses(text: &str) -> [Vec<usize>; 4] {
    let [mut paragraphs, mut lines, mut sentences, mut words] = [const { Vec::new() }; 4];
    let mut before = ' ';
    for (at, c) in text.char_indices().filter(|(at, _)| *at > 0) {
        match c {
            '\n' if text[at..].starts_with("\n\n") => paragraphs.push(at),
            '\n' => lines.push(at),
            ' ' if ['.', '!', '?', ':', ';'].contains(&before) => sentences.push(at),
            ' ' => words.push(at),
            _ if ['。', '！', '？'].contains(&before) => sentences.push(at),
            _ => {}
        }
        before = c;
    }
    [paragraphs, lines, sentences, words]
}

/// The first `longest` characters, or all of them.
fn first(text: &str, longest: usize) -> &str {
    match text.char_indices().nth(longest) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(longest: usize, text: &str, parts: &[&str]) {
        assert_eq!(
            split_text(text, Some(longest)),
            parts,
            "at most {longest} of `{text}`"
        );
    }

    #[test]
    fn a_text_that_fits_is_one_part() {
        check(5, "hello", &["hello"]);
        check(5, "", &[""]);
        check(3, "héé", &["héé"]);
        assert_eq!(split_text(&"x".repeat(9_000), None).len(), 1);
    }

    #[test]
    fn the_longest_pause_wins_if_it_is_late_enough() {
        check(
            20,
            "One two. Three\n\nFour five six.",
            &["One two. Three", "Four five six."],
        );
        check(
            20,
            "One. Two.\nThree four five six.",
            &["One. Two.\nThree four", "five six."],
        );
        check(
            20,
            "One two three.\nFour five six.",
            &["One two three.", "Four five six."],
        );
        check(
            20,
            "One two. Three four. Five.",
            &["One two. Three four.", "Five."],
        );
        check(10, "one two three four", &["one two", "three four"]);
        check(
            10,
            "这是一句。这是第二句话。",
            &["这是一句。", "这是第二句话。"],
        );
    }

    #[test]
    fn a_word_without_end_is_cut_between_characters() {
        check(4, "ééééééé", &["éééé", "ééé"]);
        check(4, "🦀🦀🦀🦀🦀", &["🦀🦀🦀🦀", "🦀"]);
    }

    #[test]
    fn code_is_left_whole_where_it_fits() {
        check(
            24,
            "Look:\n```rs\nlet a = 1;\n```\nNice.",
            &["Look:", "```rs\nlet a = 1;\n```", "Nice."],
        );
        check(
            30,
            "A\n\n```\n1\n\n2\n\n3\n\n4\n```\n\nDone now.",
            &["A\n\n```\n1\n\n2\n\n3\n\n4\n```", "Done now."],
        );
    }

    #[test]
    fn code_that_must_be_cut_stays_code_on_both_sides() {
        check(
            24,
            "```rs\nlet a = 1;\nlet b = 2;\nlet c = 3;\n```\nDone.",
            &[
                "```rs\nlet a = 1;\n```",
                "```rs\nlet b = 2;\n```",
                "```rs\nlet c = 3;\n```",
                "Done.",
            ],
        );
    }

    /// Texts of words, lines, paragraphs and code, as a seed draws them.
    fn drawn(seed: u32) -> String {
        let pieces = [
            "word ",
            "a. ",
            "end!\n",
            "\n\n",
            "long-word-without-a-pause",
            "é",
            "🦀 ",
            "\n```Q\n",
            "x = 1;\n",
            "\n```\n",
            "   ",
        ];
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
        let mut draw = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 16
        };
        (0..draw() % 120)
            .map(|_| pieces[draw() as usize % pieces.len()])
            .collect()
    }

    /// What must come out again: all but white space and fences.
    fn substance(text: &str) -> String {
        text.chars()
            .filter(|c| !c.is_whitespace() && !['`', 'Q'].contains(c))
            .collect()
    }

    #[test]
    fn nothing_is_lost_nothing_is_turned_around_and_no_part_is_too_long() {
        for seed in 0..2_000 {
            let text = drawn(seed);
            for longest in [40, 61, 200] {
                let parts = split_text(&text, Some(longest));
                let joined: String = parts.iter().map(|part| substance(part)).collect();
                assert_eq!(joined, substance(&text), "seed {seed}, at most {longest}");
                for part in &parts {
                    assert!(part.chars().count() <= longest, "seed {seed}: `{part}`");
                    let empty = part.trim().is_empty() && parts.len() > 1;
                    assert!(!empty, "seed {seed}, at most {longest}");
                }
            }
        }
    }

    #[test]
    fn even_an_absurd_limit_comes_to_an_end() {
        for seed in 0..200 {
            for longest in 0..12 {
                assert!(split_text(&drawn(seed), Some(longest)).len() < 4_000);
            }
        }
    }
}
