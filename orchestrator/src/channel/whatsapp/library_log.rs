//! What the client library writes into its log goes into ours, one step quieter: whether its
//! trouble is ours is decided in `connection.rs`.
//!
//! Only errors and warnings: further down it names people and texts.

use log::{Level, LevelFilter, Log, Metadata, Record};

struct Bridge;

impl Log for Bridge {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        let of = record.target();
        match record.level() {
            Level::Error => tracing::warn!(of, "{}", record.args()),
            Level::Warn => tracing::info!(of, "{}", record.args()),
            Level::Info | Level::Debug | Level::Trace => {}
        }
    }

    fn flush(&self) {}
}

/// Connects the two; a second time changes nothing.
pub(super) fn connect() {
    // Refused if somebody connected before us.
    if log::set_logger(&Bridge).is_ok() {
        log::set_max_level(LevelFilter::Warn);
    }
}
