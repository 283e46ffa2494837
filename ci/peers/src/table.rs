//! The result: one Markdown table for each case, in the order in which it was measured.

use std::io::{self, Write};
use std::time::Duration;

use crate::case::Case;
use crate::load::Latencies;

/// What was measured of one server in one case.
pub(crate) struct Figures {
    pub(crate) cold: Duration,
    pub(crate) latencies: Latencies,
    pub(crate) cpu: Duration,
    /// In megabytes, after the first answer and after the last.
    pub(crate) memory: (u64, u64),
}

/// One line.
pub(crate) struct Row {
    name: &'static str,
    requests: usize,
    per_second: f64,
    p50: f64,
    p99: f64,
    micros: f64,
    cold: f64,
    memory: (u64, u64),
}

/// Written as it is measured, since a run takes minutes.
pub(crate) struct Table<W> {
    out: W,
    /// Requests per second and CPU of the floor, once it was measured.
    floor: Option<(f64, f64)>,
}

impl Row {
    pub(crate) fn of(name: &'static str, figures: &Figures) -> Self {
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        let latencies = &figures.latencies;
        let requests = latencies.each.len();
        let count = f64::from(u32::try_from(requests.max(1)).unwrap_or(u32::MAX));
        Self {
            name,
            requests,
            per_second: count / latencies.took.as_secs_f64(),
            p50: millis(latencies.percentile(50)),
            p99: millis(latencies.percentile(99)),
            micros: figures.cpu.as_secs_f64() * 1e6 / count,
            cold: millis(figures.cold),
            memory: figures.memory,
        }
    }
}

impl<W: Write> Table<W> {
    pub(crate) fn begun(mut out: W, is_pinned: bool) -> io::Result<Self> {
        let pinned = match is_pinned {
            true => "The server has one core to itself",
            false => "Servers and clients share the cores",
        };
        writeln!(
            out,
            "{pinned}; 16 connections, kept alive. × compares with the floor, a bare axum \
             handler that neither looks for a turn nor keeps what it is asked. RSS is in MB \
             after the first answer / after the last."
        )?;
        Ok(Self { out, floor: None })
    }

    pub(crate) fn case(&mut self, case: &Case) -> io::Result<()> {
        self.floor = None;
        writeln!(self.out, "\n**{}**\n", case.name())?;
        writeln!(
            self.out,
            "| | requests/s | × | p50 ms | p99 ms | CPU µs | × | cold start ms | RSS | requests |"
        )?;
        writeln!(self.out, "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")?;
        self.out.flush()
    }

    pub(crate) fn row(&mut self, row: &Row) -> io::Result<()> {
        let (per_second, micros) = *self.floor.get_or_insert((row.per_second, row.micros));
        writeln!(
            self.out,
            "| {} | {:.0} | {:.2} | {:.2} | {:.2} | {:.1} | {:.1} | {:.0} | {} / {} | {} |",
            row.name,
            row.per_second,
            row.per_second / per_second,
            row.p50,
            row.p99,
            row.micros,
            row.micros / micros,
            row.cold,
            row.memory.0,
            row.memory.1,
            row.requests,
        )?;
        self.out.flush()
    }

    /// In the place of figures, why there are none.
    pub(crate) fn left_out(&mut self, name: &str, fault: &io::Error) -> io::Result<()> {
        let why = fault.to_string().replace(['\n', '\r', '|'], " ");
        writeln!(self.out, "| {name} | not measured: {why} | | | | | | | | |")?;
        self.out.flush()
    }
}
