//! Long texts cut down to their ends, and a mark that changes with what is left out.

/// A text of more lines is cut, to so many at its beginning and at its end.
const LINES: usize = 12;
const HEAD: usize = 4;
const TAIL: usize = 3;
/// The same for one line, in characters.
const LETTERS: usize = 160;
const FIRST: usize = 80;
const LAST: usize = 40;

/// The lines of a text, as many as a person wants to read.
pub(super) fn lines(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    if lines.len() <= LINES {
        return lines.into_iter().map(line).collect();
    }
    let (head, rest) = lines.split_at(HEAD);
    let (middle, tail) = rest.split_at(rest.len() - TAIL);
    let mark = format!(
        "… {} lines elided ({})",
        middle.len(),
        mark(&middle.join("\n"))
    );
    let head = head.iter().copied().map(line);
    head.chain([mark])
        .chain(tail.iter().copied().map(line))
        .collect()
}

/// One line, without its middle if it is long.
pub(super) fn line(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    if letters.len() <= LETTERS {
        return text.to_owned();
    }
    let (first, rest) = letters.split_at(FIRST);
    let (middle, last) = rest.split_at(rest.len() - LAST);
    let text = |letters: &[char]| letters.iter().collect::<String>();
    let (left_out, mark) = (middle.len(), mark(&text(middle)));
    format!(
        "{} … {left_out} characters elided ({mark}) … {}",
        text(first),
        text(last)
    )
}

/// FNV-1a in 32 bits: nobody attacks a snapshot.
fn mark(text: &str) -> String {
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    format!("#{hash:08x}")
}
