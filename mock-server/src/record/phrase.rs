//! Choosing the few words of a text that tell it from other texts.
//!
//! Words, not hashes: who reads the script sees what the turn is about, and a prompt that
//! grows by a line still finds its turn.

use std::cmp::Reverse;

use crate::journal::MASK;
use crate::llm::TextPattern;

/// A sentence that is taken whole, and a text that may be matched from end to end.
const SHORT: usize = 32;
/// Nothing longer stands in a match.
const LONGEST: usize = 90;
/// How many words to try, in this order: three tell a person what it is about.
const RUNS: [usize; 7] = [3, 2, 4, 5, 1, 7, 10];
/// A sentence that is longer is cut.
const SENTENCE: usize = 24;
/// A word that is longer is cut too: not all scripts put spaces between words.
const WORD: usize = 24;
/// Into pieces of so many characters.
const PIECE: usize = 4;

/// The pattern of `text` that is found in the fewest of `others`; of several the one that
/// a person would rather write. None if `text` holds nothing to look for.
///
/// `finds(pattern, other)` says whether it is found there.
pub(crate) fn telling<T>(
    text: &str,
    others: &[T],
    finds: impl Fn(&TextPattern, &T) -> bool,
) -> Option<TextPattern> {
    let found_in = |pattern: &TextPattern| {
        let found = others.iter().filter(|other| finds(pattern, other));
        found.count()
    };
    // A sentence is not found where one of its words is missing, so only the most telling
    // one needs to be looked at closely.
    let sentence = sentences(text)
        .into_iter()
        .filter_map(|sentence| Some((found_in(&pattern(&sentence)?), sentence)))
        .min_by_key(|(found, _)| *found);
    let (least, phrases) = match sentence {
        Some((least, sentence)) => (least, phrases(&sentence)),
        None => (0, Vec::new()),
    };
    let mut best: Option<(usize, TextPattern)> = None;
    for phrase in phrases.iter().filter_map(|phrase| pattern(phrase)) {
        let found = found_in(&phrase);
        if best.as_ref().is_none_or(|(before, _)| found < *before) {
            best = Some((found, phrase));
        }
        if found <= least {
            break;
        }
    }
    let exact = match &best {
        Some((0, _)) => None,
        Some((found, _)) => exactly(text).filter(|exact| found_in(exact) < *found),
        None => exactly(text),
    };
    exact.or_else(|| best.map(|(_, phrase)| phrase))
}

/// The parts of a text between which nobody reads on: lines, sentences, and what stands
/// between the tags of a markup. Long ones are cut.
fn sentences(text: &str) -> Vec<String> {
    let bare = without_tags(text);
    let lines = bare.lines().chain(text.lines());
    let parts = lines
        .flat_map(|line| line.split(MASK))
        .flat_map(|line| line.split(['<', '>']))
        .flat_map(|line| line.split_inclusive(". "))
        .flat_map(|line| line.split_inclusive(['!', '?', ';', '。']));
    let mut sentences: Vec<String> = Vec::new();
    for part in parts {
        let words: Vec<&str> = part.split(' ').collect();
        let cut = words.chunks(SENTENCE).map(|words| words.join(" "));
        sentences.extend(cut.map(|words| trimmed(&words).to_owned()));
    }
    sentences.retain(|sentence| !sentence.is_empty());
    sentences
}

/// The text with a line break in place of each tag.
fn without_tags(text: &str) -> String {
    let mut bare = String::new();
    let mut rest = text;
    while let Some(open) = rest.find('<') {
        let (before, tag) = rest.split_at(open);
        bare.push_str(before);
        let Some(close) = tag.find('>') else {
            rest = tag;
            break;
        };
        bare.push('\n');
        rest = &tag[close + 1..];
    }
    bare + rest
}

/// What could stand for a sentence, the best first.
fn phrases(sentence: &str) -> Vec<String> {
    let mut phrases = Vec::new();
    if sentence.chars().count() <= SHORT {
        phrases.push(sentence.to_owned());
    }
    let words: Vec<String> = sentence.split(' ').flat_map(cut).collect();
    for run in RUNS {
        let mut runs: Vec<&[String]> = words.windows(run).collect();
        runs.sort_by_key(|run| Reverse(weight(run)));
        phrases.extend(
            runs.into_iter()
                .map(|run| trimmed(&run.concat()).to_owned()),
        );
    }
    phrases.push(sentence.to_owned());
    phrases.retain(|phrase| (1..=LONGEST).contains(&phrase.chars().count()));
    phrases
}

/// A word with the space that follows it, in pieces if it is long.
fn cut(word: &str) -> Vec<String> {
    let letters: Vec<char> = word.chars().chain([' ']).collect();
    let length = if letters.len() > WORD { PIECE } else { WORD };
    let pieces = letters.chunks(length);
    pieces.map(|piece| piece.iter().collect()).collect()
}

/// Long words tell more than short ones, and a phrase begins and ends with one that tells
/// something; numbers are times and counts, which change.
fn weight(run: &[String]) -> usize {
    let telling = |word: &String| {
        let letters = word.trim().chars();
        let is_number = word.contains(|letter: char| letter.is_ascii_digit());
        if is_number {
            0
        } else {
            letters.count().saturating_sub(3)
        }
    };
    let edges = [run.first(), run.last()].into_iter().flatten();
    let bare_edges = edges.filter(|word| telling(word) == 0).count();
    let weight: usize = run.iter().map(telling).sum();
    weight.saturating_sub(2 * bare_edges)
}

fn trimmed(phrase: &str) -> &str {
    phrase.trim_matches(|letter: char| {
        !letter.is_alphanumeric() && !['@', '#', '/'].contains(&letter)
    })
}

fn pattern(phrase: &str) -> Option<TextPattern> {
    // Two slashes would make it a regular expression.
    let phrase = phrase.trim_matches('/');
    match TextPattern::parse(phrase) {
        Ok(pattern) => Some(pattern),
        Err(_nothing_to_look_for) => None,
    }
}

/// The text from end to end, if it is short.
fn exactly(text: &str) -> Option<TextPattern> {
    let is_short = text.chars().count() <= SHORT && !text.contains('\n');
    if !is_short || text.is_empty() || text.contains(MASK) {
        return None;
    }
    match TextPattern::parse(&format!("/^{}$/", regex::escape(text))) {
        Ok(pattern) => Some(pattern),
        Err(_too_large) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::Heard;

    #[track_caller]
    fn check(text: &str, others: &[&str], expected: &str) {
        let finds = |pattern: &TextPattern, other: &&str| pattern.is_in(&Heard::new(*other));
        let pattern = telling(text, others, finds).unwrap();
        assert_eq!(pattern.source(), expected);
        assert!(pattern.is_in(&Heard::new(text)));
    }

    #[test]
    fn a_few_words_stand_for_a_text() {
        check("report the outage", &[], "report the outage");
        check(
            "Please write the report about yesterday's outage to a file, at 17:30",
            &[],
            "report about yesterday's",
        );
        check("My cat is Miso.", &["My cat is Tom."], "My cat is Miso");
    }

    #[test]
    fn the_words_are_those_that_others_lack() {
        check(
            "Please write the report about yesterday's outage to a file",
            &["Please write the report about yesterday's success to a file"],
            "about yesterday's outage",
        );
        check(
            "You are Kai.\nAnswer in French.",
            &["You are Kai.\nAnswer in German."],
            "Answer in French",
        );
    }

    #[test]
    fn a_text_that_is_part_of_another_is_matched_from_end_to_end() {
        check("hi", &["hi there"], "/^hi$/");
        check("is it (a)?", &["what is it (a)? yes"], r"/^is it \(a\)\?$/");
    }

    #[test]
    fn markup_and_secrets_are_not_looked_for() {
        check(
            "<messages>\n<message sender=\"Bob\" time=\"09:00\">@Kai my cat is Miso</message>\n</messages>",
            &[],
            "@Kai my cat is Miso",
        );
        check("the key [secret] opens it", &[], "the key");
        check(
            "<message sender=\"Bob\">hi</message>",
            &["<message sender=\"Ada\">hi</message>"],
            "message sender=\"Bob",
        );
    }

    #[test]
    fn a_text_without_spaces_is_cut() {
        check(
            "我的猫叫米索它今年三岁了喜欢睡觉和吃鱼还喜欢在太阳下面晒太阳和玩毛线球",
            &[],
            "我的猫叫米索它今年三岁了",
        );
    }

    #[test]
    fn there_is_nothing_to_look_for_in_nothing() {
        let finds = |_: &TextPattern, _: &&str| true;
        assert!(telling("", &["x"], finds).is_none());
        assert!(telling("[secret]", &["x"], finds).is_none());
    }
}
