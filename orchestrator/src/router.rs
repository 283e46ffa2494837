//! Is a message meant for the assistant?

use regex::RegexBuilder;

use crate::store::TriggerRule;

/// Whether `text` calls the assistant under the group's rule.
///
/// A call stands at the start, whatever its case, and ends where the word ends: `@Kai, hi` is
/// one, `@Kaiser` is not. Scripts that put no space between words need none here either.
#[must_use]
pub(crate) fn is_meant(rule: &TriggerRule, assistant_name: &str, text: &str) -> bool {
    match rule {
        TriggerRule::Always => true,
        TriggerRule::AssistantName => begins_with(text, &format!("@{assistant_name}")),
        TriggerRule::Word(word) => begins_with(text, word),
    }
}

fn begins_with(text: &str, call: &str) -> bool {
    let pattern = format!(r"^\s*{}", regex::escape(call.trim()));
    let found = RegexBuilder::new(&pattern)
        .case_insensitive(true)
        .build()
        .map(|pattern| pattern.find(text).map(|found| found.end()));
    // An escaped literal always compiles; one too long for a pattern calls nobody.
    let Ok(Some(end)) = found else {
        return false;
    };
    let (before, after) = text.split_at(end);
    match (before.chars().next_back(), after.chars().next()) {
        (Some(last), Some(next)) => !(is_spaced_word(last) && is_spaced_word(next)),
        (None | Some(_), None | Some(_)) => true,
    }
}

/// A character of a word, in a script that separates words.
fn is_spaced_word(c: char) -> bool {
    let unspaced = matches!(c,
        '\u{0E00}'..='\u{0EFF}'     // Thai, Lao
        | '\u{3040}'..='\u{30FF}'   // Hiragana, Katakana
        | '\u{3400}'..='\u{9FFF}'   // Han
        | '\u{F900}'..='\u{FAFF}'
        | '\u{20000}'..='\u{3FFFF}');
    (c.is_alphanumeric() || c == '_') && !unspaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, text: &str, meant: bool) {
        assert_eq!(
            is_meant(&TriggerRule::AssistantName, name, text),
            meant,
            "@{name} in `{text}`"
        );
    }

    #[test]
    fn a_call_stands_at_the_start_and_ends_with_the_word() {
        check("Kai", "@Kai hello", true);
        check("Kai", "  @kai, hello", true);
        check("Kai", "@KAI", true);
        check("Kai", "hello @Kai", false);
        check("Kai", "@Kaiser hello", false);
        check("Kai", "Kai hello", false);
    }

    #[test]
    fn names_beyond_ascii_and_names_that_end_in_signs_work() {
        check("Zoë", "@zoË hi", true);
        check("Zoë", "@Zoëlle hi", false);
        check("Andy", "@Andyé hi", false);
        check("助手", "@助手 你好", true);
        check("助手", "@助手你好", true);
        check("C3-PO!", "@C3-PO! hi", true);
        check("C3-PO!", "@C3-PO!hi", true);
        check("A_y", "@Aby hi", false);
    }

    #[test]
    fn a_group_can_have_a_word_of_its_own_or_none() {
        let word = TriggerRule::Word("hey bot".into());
        assert!(is_meant(&word, "Kai", "Hey bot, what now?"));
        assert!(!is_meant(&word, "Kai", "@Kai what now?"));
        assert!(is_meant(&TriggerRule::Always, "Kai", "what now?"));
    }
}
