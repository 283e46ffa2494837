//! The beginning and the end of an output that may be endless.

use std::collections::VecDeque;

/// Keeps the first and the last `SIDE` bytes of what is pushed, and counts the rest.
#[derive(Debug, Default)]
pub(crate) struct Excerpt {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    left_out: usize,
}

/// Bytes at either end. Errors stand at the end of a log, their cause often at its beginning.
const SIDE: usize = 16 * 1024;

impl Excerpt {
    pub(crate) fn of(text: &str) -> String {
        let mut excerpt = Self::default();
        excerpt.push(text.as_bytes());
        excerpt.into_text()
    }

    pub(super) fn push(&mut self, piece: &[u8]) {
        let (to_head, rest) = piece.split_at(piece.len().min(SIDE - self.head.len()));
        self.head.extend_from_slice(to_head);
        self.tail.extend(rest);
        let surplus = self.tail.len().saturating_sub(SIDE);
        self.tail.drain(..surplus);
        self.left_out += surplus;
    }

    pub(super) fn into_text(self) -> String {
        let mut tail = Vec::from(self.tail);
        if self.left_out == 0 {
            let mut whole = self.head;
            whole.append(&mut tail);
            return String::from_utf8_lossy(&whole).into_owned();
        }
        let head = without_cut_end(&self.head);
        let cut = tail.iter().take_while(|byte| **byte & 0xC0 == 0x80).count();
        format!(
            "{}\n[… {} bytes left out …]\n{}",
            String::from_utf8_lossy(head),
            self.left_out + cut + (self.head.len() - head.len()),
            String::from_utf8_lossy(&tail[cut..]),
        )
    }
}

/// `bytes` without the beginning of a character at their end.
fn without_cut_end(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        Ok(_) | Err(_) => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_output_is_kept_as_it_is() {
        assert_eq!(Excerpt::of("a€"), "a€");
        let just_fits = "x".repeat(2 * SIDE);
        assert_eq!(Excerpt::of(&just_fits), just_fits);
    }

    #[test]
    fn a_long_output_keeps_its_ends_and_whole_characters() {
        let long = format!("start{}end", "€".repeat(20_000));
        let text = Excerpt::of(&long);
        assert!(
            text.starts_with("start€") && text.ends_with("€end"),
            "{text}"
        );
        assert!(!text.contains('\u{fffd}'));
        let kept: usize = text.matches('€').count() * 3 + "startend".len();
        let left_out = long.len() - kept;
        assert!(text.contains(&format!("[… {left_out} bytes left out …]")));
    }
}
