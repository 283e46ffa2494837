//! The words of an HTML page, in lines, without its markup.
//!
//! Not a parser: a broken page loses some formatting, never the turn.

/// Text between the tags; what is not meant to be read (scripts, styles) is left out.
pub(super) fn page_text(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        text.push_str(&rest[..at]);
        rest = after_tag(&rest[at..], &mut text);
    }
    text.push_str(rest);
    tidy(&decode(&text))
}

/// What follows the tag at the start of `html`; the tag's own line break goes to `text`.
fn after_tag<'a>(html: &'a str, text: &mut String) -> &'a str {
    if let Some(comment) = html.strip_prefix("<!--") {
        return after(comment, "-->");
    }
    let name: String = html[1..]
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '/')
        .collect::<String>()
        .to_ascii_lowercase();
    if name.is_empty() && !html.starts_with("<!") {
        // A lonely `<`, as in `a < b`.
        text.push('<');
        return &html[1..];
    }
    let inside = after(html, ">");
    match name.as_str() {
        "script" | "style" | "noscript" | "template" | "svg" => {
            after(skip_to(inside, &format!("</{name}")), ">")
        }
        "a" | "/a" | "b" | "/b" | "i" | "/i" | "em" | "/em" | "strong" | "/strong" | "span"
        | "/span" | "code" | "/code" => inside,
        "td" | "/td" | "th" | "/th" => {
            text.push(' ');
            inside
        }
        _ => {
            text.push('\n');
            inside
        }
    }
}

fn after<'a>(text: &'a str, mark: &str) -> &'a str {
    text.find(mark).map_or("", |at| &text[at + mark.len()..])
}

/// From `mark` on, in any case of letters.
fn skip_to<'a>(text: &'a str, mark: &str) -> &'a str {
    // ASCII only, so that places in the copy are places in the original.
    let at = text.to_ascii_lowercase().find(mark);
    at.map_or("", |at| &text[at..])
}

fn decode(text: &str) -> String {
    let mut decoded = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        decoded.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let entity = rest
            .split_once(';')
            .and_then(|(name, after)| character(name).map(|character| (character, after)));
        match entity {
            Some((character, after)) => {
                decoded.push(character);
                rest = after;
            }
            None => decoded.push('&'),
        }
    }
    decoded.push_str(rest);
    decoded
}

fn character(name: &str) -> Option<char> {
    let number = |digits: &str, radix| match u32::from_str_radix(digits, radix) {
        Ok(number) => char::from_u32(number),
        Err(_not_a_number) => None,
    };
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some(' '),
        "mdash" => Some('—'),
        "ndash" => Some('–'),
        "hellip" => Some('…'),
        _ => {
            let digits = name.strip_prefix('#')?;
            match digits.strip_prefix(['x', 'X']) {
                Some(digits) => number(digits, 16),
                None => number(digits, 10),
            }
        }
    }
}

/// One blank between words, no blank lines.
fn tidy(text: &str) -> String {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = text
        .lines()
        .map(words)
        .filter(|line| !line.is_empty())
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(html: &str, text: &str) {
        assert_eq!(page_text(html), text);
    }

    #[test]
    fn words_are_kept_and_markup_is_not() {
        check(
            "<!DOCTYPE html><html><head><title>T</title><style>p{}</style></head>
             <body><h1>Hello &amp; <b>welcome</b></h1><p>a<br>b</p><!-- <p>no</p> --></body>",
            "T\nHello & welcome\na\nb",
        );
        check("<tr><td>1</td><td>2</td></tr>", "1 2");
    }

    #[test]
    fn scripts_are_no_text_whatever_they_hold() {
        check("a<SCRIPT>if (x<y) { '<p>' }</Script>b", "ab");
        check("a<script>never closed", "a");
    }

    #[test]
    fn a_broken_page_is_read_as_far_as_it_goes() {
        check("1 < 2 and a<b", "1 < 2 and a");
        check("&#8364;&#x20AC;&unknown; &; & x", "€€&unknown; &; & x");
        check("<", "<");
        check("é<", "é<");
        check("", "");
    }
}
