//! Licence expressions (SPDX, and the `/` of old manifests): can one be met?

/// Whether the expression can be met with licences that are taken; `A WITH B` counts as one.
pub(crate) fn met(expression: &str, taken: &dyn Fn(&str) -> bool) -> bool {
    let words = words(expression);
    let mut words = Words {
        words: &words,
        taken,
    };
    words.either() == Some(true) && words.words.is_empty()
}

fn words(expression: &str) -> Vec<String> {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    spaced.split_whitespace().map(str::to_owned).collect()
}

/// What is left to read. Each part returns nothing where the expression makes no sense.
struct Words<'a> {
    words: &'a [String],
    taken: &'a dyn Fn(&str) -> bool,
}

impl Words<'_> {
    fn either(&mut self) -> Option<bool> {
        let mut met = self.all()?;
        while self.take("OR") {
            met |= self.all()?;
        }
        Some(met)
    }

    fn all(&mut self) -> Option<bool> {
        let mut met = self.one()?;
        while self.take("AND") {
            met &= self.one()?;
        }
        Some(met)
    }

    fn one(&mut self) -> Option<bool> {
        if self.take("(") {
            let met = self.either();
            return met.filter(|_| self.take(")"));
        }
        let (licence, rest) = self.words.split_first()?;
        self.words = rest;
        if !self.take("WITH") {
            return Some((self.taken)(licence));
        }
        let (exception, rest) = self.words.split_first()?;
        self.words = rest;
        Some((self.taken)(&format!("{licence} WITH {exception}")))
    }

    fn take(&mut self, word: &str) -> bool {
        match self.words.split_first() {
            Some((first, rest)) if first == word => {
                self.words = rest;
                true
            }
            Some(_) | None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAKEN: &[&str] = &[
        "MIT",
        "Apache-2.0",
        "Apache-2.0 WITH LLVM-exception",
        "Unicode-3.0",
    ];

    fn allowed(expression: &str) -> bool {
        met(expression, &|licence| TAKEN.contains(&licence))
    }

    #[test]
    fn one_allowed_side_is_enough_of_or_and_both_are_needed_of_and() {
        for (expression, expected) in [
            ("MIT", true),
            ("GPL-3.0-only", false),
            ("MIT OR GPL-3.0-only", true),
            ("GPL-3.0-only OR LGPL-3.0-only", false),
            ("MIT/Apache-2.0", true),
            ("Apache-2.0 / GPL-2.0", true),
            ("MIT AND GPL-3.0-only", false),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
            ("(MIT OR Apache-2.0) AND CDLA-Permissive-2.0", false),
            ("MIT OR GPL-2.0 AND GPL-3.0", true),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("MIT WITH Classpath-exception-2.0", false),
        ] {
            assert_eq!(allowed(expression), expected, "{expression}");
        }
    }

    #[test]
    fn an_expression_that_makes_no_sense_allows_nothing() {
        for expression in [
            "", "MIT MIT", "MIT OR", "(MIT", "MIT)", "AND MIT", "MIT WITH",
        ] {
            assert!(!allowed(expression), "{expression}");
        }
    }
}
