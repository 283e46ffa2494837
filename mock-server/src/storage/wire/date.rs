//! Instants as HTTP and as the APIs write them.

use jiff::Timestamp;
use jiff::fmt::rfc2822::{DateTimeParser, DateTimePrinter};

/// As in `Last-Modified`: `Mon, 05 Jan 2026 12:00:00 GMT`.
pub(crate) fn http(instant: Timestamp) -> String {
    // Only years before 0 cannot be written.
    let written = DateTimePrinter::new().timestamp_to_rfc9110_string(&instant);
    written.unwrap_or_else(|_ancient| instant.to_string())
}

pub(crate) fn read(text: &str) -> Option<Timestamp> {
    match DateTimeParser::new().parse_timestamp(text) {
        Ok(instant) => Some(instant),
        Err(_no_date) => None,
    }
}

/// As in resources: to the millisecond.
pub(crate) fn api(instant: Timestamp) -> String {
    format!("{instant:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_as_each_api_wants_them() {
        let noon: Timestamp = "2026-01-05T12:00:00.25Z".parse().unwrap();
        assert_eq!(http(noon), "Mon, 05 Jan 2026 12:00:00 GMT");
        assert_eq!(api(noon), "2026-01-05T12:00:00.250Z");
        assert_eq!(
            read(&http(noon)).map(|read| read.as_second()),
            Some(noon.as_second())
        );
        assert_eq!(read("yesterday"), None);
    }
}
