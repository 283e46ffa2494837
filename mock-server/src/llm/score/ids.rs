//! Names for what the model says: made from the seed, the turn and how often it was said,
//! so that two runs of a scenario get the same ones whatever arrives first.

use crate::scatter::scatter;

/// What OpenAI allows in the id of a call.
const LONGEST_CALL_ID: usize = 64;
const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Twenty letters and digits, as ids of responses have them.
pub(crate) fn letters(seed: u64, parts: &[&str]) -> String {
    let mut state = parts
        .iter()
        .fold(seed ^ 0xcbf2_9ce4_8422_2325, |state, part| {
            digest(state, part)
        });
    let letter = |_| {
        state = scatter(state);
        // Which of 62; the remainder is far below the size of the table.
        char::from(LETTERS[(state % 62) as usize])
    };
    (0..20).map(letter).collect()
}

/// Endless numbers between -1 and 1 that belong to a word.
pub(crate) fn numbers(word: &str) -> impl Iterator<Item = f64> {
    let mut state = digest(0xcbf2_9ce4_8422_2325, word);
    std::iter::repeat_with(move || {
        state = scatter(state);
        // As many bits as single precision holds.
        let bits = u32::try_from(state >> 40).unwrap_or(u32::MAX);
        f64::from(bits) / f64::from(1_u32 << 23) - 1.0
    })
}

/// The id of the call at `place` of a turn, e.g. `call_upload_1`; if the turn was said
/// twice `before`, `call_upload_3_1`.
pub(crate) fn call(turn: &str, before: u32, place: usize) -> String {
    let legal = |letter: char| {
        let kept = letter.is_ascii_alphanumeric() || letter == '-';
        if kept { letter } else { '_' }
    };
    let end = match before {
        0 => format!("_{}", place + 1),
        again => format!("_{}_{}", again + 1, place + 1),
    };
    let room = LONGEST_CALL_ID - "call_".len() - end.len();
    let turn: String = turn.chars().map(legal).take(room).collect();
    format!("call_{turn}{end}")
}

/// A share of one whole, for the place of something within an answer.
pub(crate) fn share(letters: &str, place: usize) -> f64 {
    let state = scatter(digest(place as u64, letters));
    // 32 bits are exact in such a number.
    f64::from((state >> 32) as u32) / f64::from(u32::MAX)
}

/// FNV-1a, with an end mark so that `ab`,`c` and `a`,`bc` differ.
fn digest(state: u64, part: &str) -> u64 {
    let bytes = part.bytes().chain([0xff]);
    bytes.fold(state, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_occasion_has_the_same_letters_and_another_has_others() {
        let first = letters(1, &["upload", "0"]);
        assert_eq!(first, letters(1, &["upload", "0"]));
        assert_eq!(first.len(), 20);
        for other in [
            letters(2, &["upload", "0"]),
            letters(1, &["upload", "1"]),
            letters(1, &["upload0", ""]),
        ] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn a_call_is_named_after_its_turn() {
        assert_eq!(call("upload", 0, 0), "call_upload_1");
        assert_eq!(call("save it!", 2, 1), "call_save_it__3_2");
        assert_eq!(call(&"x".repeat(99), 0, 0).len(), LONGEST_CALL_ID);
    }
}
