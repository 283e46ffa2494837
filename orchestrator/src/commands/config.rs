//! `nanokimi config`: the settings in force, and where each came from.

use std::io::Write;

use super::{CommandError, Shown, show};
use crate::config::{Config, SettingLine};

pub fn config(config: &Config, shown: Shown, out: &mut dyn Write) -> Result<(), CommandError> {
    let width = config.lines().iter().map(|line| line.key.len()).max();
    let width = width.unwrap_or_default();
    let line =
        |line: &SettingLine| format!("{:width$}  {}  ({})", line.key, line.value, line.origin);
    show(out, shown, config.lines(), line, "")
}
