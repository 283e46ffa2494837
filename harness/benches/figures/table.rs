//! The table on stdout: a line for each figure, as soon as it is known.

use std::io::{self, Write as _};

use crate::samples::Samples;

/// A figure beside the least that it could be.
pub(crate) struct Row<'a> {
    pub(crate) figure: &'a str,
    pub(crate) ours: Samples,
    pub(crate) beside: &'a str,
    pub(crate) floor: Samples,
}

pub(crate) fn heading() -> io::Result<()> {
    line([
        "figure", "median", "p90", "beside", "median", "p90", "ratio",
    ])
}

impl Row<'_> {
    pub(crate) fn write(&self) -> io::Result<()> {
        let p90 = |samples: &Samples| match samples.p90() {
            Some(p90) => p90.to_string(),
            None => String::new(),
        };
        let (ours, floor) = (self.ours.median(), self.floor.median());
        line([
            self.figure,
            &ours.to_string(),
            &p90(&self.ours),
            self.beside,
            &floor.to_string(),
            &p90(&self.floor),
            &format!("{:.2}", ours.over(&floor)),
        ])
    }
}

fn line([figure, ours, p90, beside, floor, floor_p90, ratio]: [&str; 7]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{figure:<46} {ours:>9} {p90:>9}   {beside:<40} {floor:>9} {floor_p90:>9} {ratio:>6}"
    )?;
    out.flush()
}
