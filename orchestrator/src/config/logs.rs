//! The settings of the log files.

use super::parsed;
use super::reading::level;
use super::sources::Sources;

/// What is logged, and how much of it is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogSettings {
    pub level: tracing::Level,
    /// Bytes: a file that would grow beyond is put aside.
    pub max_size: u64,
    /// Of each log, the one that is written to included.
    pub max_files: u32,
}

impl LogSettings {
    pub(super) fn read(sources: &mut Sources) -> Option<Self> {
        // Each is read before any is missed, so that all problems are told at once.
        let level = sources.read("log_level", "trace, debug, info, warn or error", level);
        let max_size = sources.read("log_max_size", SIZE, size);
        let max_files = sources.read("log_max_files", "a number from 2 to 100", files);
        Some(Self {
            level: level?,
            max_size: max_size?,
            max_files: max_files?,
        })
    }
}

const SIZE: &str = "a number of bytes, at least 4096";

/// Less would not hold the lines of one message.
fn size(text: &str) -> Option<u64> {
    parsed(text).filter(|bytes| *bytes >= 4096)
}

fn files(text: &str) -> Option<u32> {
    parsed(text).filter(|files| (2..=100).contains(files))
}
