//! How our types stand in columns: instants as UTC text with milliseconds, enums as words.

use std::fmt::Display;
use std::str::FromStr;

use jiff::Timestamp;
use rusqlite::Row;
use rusqlite::types::Type;

/// `2026-01-05T09:00:00.000Z`: sorts as text in the order of time.
pub(super) fn instant(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// Reads a text column through the type's own parser.
pub(super) fn parsed<T>(row: &Row<'_>, column: &str) -> rusqlite::Result<T>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text: String = row.get(column)?;
    text.parse().map_err(|error| not_ours(row, column, error))
}

/// Reads a text column that may be null.
pub(super) fn parsed_or_null<T>(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<T>>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    match row.get::<_, Option<String>>(column)? {
        Some(text) => text
            .parse()
            .map(Some)
            .map_err(|error| not_ours(row, column, error)),
        None => Ok(None),
    }
}

fn not_ours(
    row: &Row<'_>,
    column: &str,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    let index = row.as_ref().column_index(column).unwrap_or(0);
    let named = NotOurs {
        column: column.to_owned(),
        reason: Box::new(error),
    };
    rusqlite::Error::FromSqlConversionFailure(index, Type::Text, Box::new(named))
}

/// A column that does not hold what we write there. The reason is no source, since the library's
/// error says it together with this.
#[derive(Debug, thiserror::Error)]
#[error("`{column}` cannot be read: {reason}")]
struct NotOurs {
    column: String,
    reason: Box<dyn std::error::Error + Send + Sync>,
}

/// A word in a column that none of our enums has.
#[derive(Debug, thiserror::Error)]
#[error("`{word}` is not a known {what}")]
pub(crate) struct UnknownWord {
    what: &'static str,
    word: String,
}

impl UnknownWord {
    pub(super) fn new(what: &'static str, word: impl Display) -> Self {
        Self {
            what,
            word: word.to_string(),
        }
    }
}

/// Gives an enum of words its text form in both directions.
macro_rules! words {
    ($type:ty, $what:literal, { $($variant:ident => $word:literal),* $(,)? }) => {
        impl $type {
            /// The word that stands in the store.
            #[must_use]
            pub(crate) fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }

        impl std::str::FromStr for $type {
            type Err = crate::store::rows::UnknownWord;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                match word {
                    $($word => Ok(Self::$variant),)*
                    other => Err(crate::store::rows::UnknownWord::new($what, other)),
                }
            }
        }
    };
}
pub(super) use words;
