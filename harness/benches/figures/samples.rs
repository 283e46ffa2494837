//! What was measured, often or once. Knows nothing of what it means.

use std::fmt;
use std::io;
use std::time::Duration;

/// What one quantity was, each time it was measured.
pub(crate) struct Samples {
    unit: Unit,
    /// In ascending order.
    values: Vec<f64>,
}

#[derive(Clone, Copy)]
enum Unit {
    Milliseconds,
    Megabytes,
}

/// A value with its unit, in three digits or so.
pub(crate) struct Quantity {
    value: f64,
    unit: Unit,
}

impl Samples {
    pub(crate) fn times(times: Vec<Duration>) -> Self {
        let millis = times.into_iter().map(|time| time.as_secs_f64() * 1e3);
        Self::new(Unit::Milliseconds, millis.collect())
    }

    /// `kilobytes` as the kernel counts them, in 1,024 bytes.
    pub(crate) fn memory(kilobytes: u32) -> Self {
        Self::new(Unit::Megabytes, vec![f64::from(kilobytes) / 1024.0])
    }

    /// Measures two things alternately, so that a busy moment of the machine hits both.
    pub(crate) fn in_turn(
        times: usize,
        mut ours: impl FnMut() -> io::Result<Duration>,
        mut floor: impl FnMut() -> io::Result<Duration>,
    ) -> io::Result<(Self, Self)> {
        // Once for the caches.
        ours()?;
        floor()?;
        let pairs = (0..times).map(|_| Ok((ours()?, floor()?)));
        let (ours, floor) = pairs.collect::<io::Result<(Vec<_>, Vec<_>)>>()?;
        Ok((Self::times(ours), Self::times(floor)))
    }

    fn new(unit: Unit, mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self { unit, values }
    }

    pub(crate) fn median(&self) -> Quantity {
        self.percentile(50)
    }

    /// None of what was measured once.
    pub(crate) fn p90(&self) -> Option<Quantity> {
        (self.values.len() > 1).then(|| self.percentile(90))
    }

    fn percentile(&self, percent: usize) -> Quantity {
        let place = self.values.len() * percent / 100;
        let value = self.values.get(place).copied();
        Quantity {
            value: value.unwrap_or(f64::NAN),
            unit: self.unit,
        }
    }
}

impl Quantity {
    /// How many times the other one it is.
    pub(crate) fn over(&self, other: &Self) -> f64 {
        self.value / other.value
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.unit {
            Unit::Milliseconds if self.value >= 1e3 => format!("{:.2} s", self.value / 1e3),
            Unit::Milliseconds => format!("{:.1} ms", self.value),
            Unit::Megabytes => format!("{:.1} MB", self.value),
        };
        out.pad(&text)
    }
}
