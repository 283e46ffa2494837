//! `nanokimi config`: the settings in force, and where each came from.

use std::io::Write;

use super::{CommandError, Shown, show};
use crate::config::{Config, SettingLine};

pub fn config(config: &Config, shown: Shown, out: &mut dyn Write) -> Result<(), CommandError> {
    let line = |line: &SettingLine| {
        format!(
            "# {}\n{} = {}  ({})",
            line.doc, line.key, line.value, line.origin
        )
    };
    show(out, shown, config.lines(), line, "")
}
