//! Ids of calls, which not every client sends back as they came.
//!
//! Seen: `Write:0` becomes `Write_0`, the second of two `call_1` becomes `call_1__2`, and a
//! service that takes short ids only gets the beginning.

/// No client was seen to cut an id that is shorter than what OpenAI takes.
const SHORTEST_CUT: usize = 40;

/// The id in the letters that every service takes.
pub(crate) fn plain(id: &str) -> String {
    let legal = |letter: char| {
        if letter.is_ascii_alphanumeric() {
            letter
        } else {
            '_'
        }
    };
    id.chars().map(legal).collect()
}

/// Whether a client may have made the second of the first.
pub(crate) fn may_become(sent: &str, heard: &str) -> bool {
    let (sent, heard) = (plain(sent), plain(heard));
    if sent == heard {
        return true;
    }
    let is_cut = heard.len() >= SHORTEST_CUT && sent.starts_with(&heard);
    is_cut || is_numbered(&sent, &heard)
}

fn is_numbered(sent: &str, heard: &str) -> bool {
    let number = heard
        .strip_prefix(sent)
        .and_then(|end| end.strip_prefix("__"));
    number.is_some_and(|number| {
        !number.is_empty() && number.bytes().all(|letter| letter.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sent: &str, heard: &str, same: bool) {
        assert_eq!(may_become(sent, heard), same, "{sent} as {heard}");
    }

    #[test]
    fn an_id_is_known_after_it_was_rewritten() {
        check("Write:0", "Write:0", true);
        check("Write:0", "Write_0", true);
        check("functions.x:0", "functions_x_0", true);
        check("call_1", "call_1__2", true);
        check(&"a".repeat(64), &"a".repeat(40), true);
    }

    #[test]
    fn another_id_is_not_the_same() {
        check("Write:0", "Write_1", false);
        check("Write:1", "Write_10", false);
        check("call_1", "call_1__", false);
        check("call_1", "call_1__b", false);
        check("abc", "ab", false);
    }
}
