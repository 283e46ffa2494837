//! nextest kills a test that takes too long, and then nobody tells its story: it must wait longer
//! than the harness does, whatever a scenario asks for.

use std::path::Path;
use std::time::Duration;

use harness::{Form, Listed, Scenario};
use libtest_mimic::Failed;
use regex::Regex;
use serde::Deserialize;

use crate::means::CROWDING;

/// After this no further row of a matrix is begun, so that the failures of the first ones are told.
pub(crate) fn rows(form: Form) -> Duration {
    match form {
        Form::Process => Duration::from_secs(40),
        Form::Hybrid | Form::Docker => Duration::from_secs(160),
    }
}

/// How long nextest waits for the tests.
pub(crate) struct Patience {
    usual: Duration,
    /// … and for those whose name fits.
    others: Vec<(Regex, Duration)>,
}

impl Patience {
    /// Reads the settings of nextest.
    pub(crate) fn read(workspace: &Path) -> Result<Self, Failed> {
        let text = std::fs::read_to_string(workspace.join(".config/nextest.toml"))?;
        let profile = toml::from_str::<File>(&text)?.profile.default;
        let mut others = Vec::new();
        for other in profile.overrides {
            // Some go by the program, not by the name of the test.
            let named = other.filter.split_once("test(/");
            let named = named.and_then(|(_, rest)| rest.split_once("/)"));
            if let (Some((name, _)), Some(patience)) = (named, other.slow_timeout) {
                others.push((Regex::new(name)?, patience.whole()?));
            }
        }
        Ok(Self {
            usual: profile.slow_timeout.whole()?,
            others,
        })
    }

    /// # Errors
    /// The test may be killed before its story is told.
    pub(crate) fn suffices(&self, test: &str, longest: Duration) -> Result<(), Failed> {
        let other = self.others.iter().find(|(name, _)| name.is_match(test));
        let patience = other.map_or(self.usual, |(_, patience)| *patience);
        if longest < patience {
            return Ok(());
        }
        let message = format!(
            "{test} may take {longest:?}, but nextest kills it after {patience:?}: see \
             .config/nextest.toml"
        );
        Err(message.into())
    }
}

/// The longest all rows of a file may take.
pub(crate) fn longest(rows: &[Scenario], form: Form) -> Duration {
    let longest = rows.iter().map(|row| row.longest(form, CROWDING)).max();
    let before = match rows.len() {
        0 | 1 => Duration::ZERO,
        _more => self::rows(form),
    };
    before + longest.unwrap_or(Duration::ZERO)
}

/// Looks at every file that is listed.
pub(crate) fn check(patience: &Patience, listed: &[Listed]) -> Result<(), Failed> {
    for Listed { name, path } in listed {
        // One that cannot be read says so in its own test.
        if let Ok(rows) = harness::load(path) {
            let name = name.replace('/', "::");
            patience.suffices(&name, longest(&rows, Form::Process))?;
            for form in [Form::Hybrid, Form::Docker] {
                patience.suffices(&format!("{form}::{name}"), longest(&rows, form))?;
            }
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct File {
    profile: Profiles,
}

#[derive(Deserialize)]
struct Profiles {
    default: Profile,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Profile {
    slow_timeout: SlowTimeout,
    overrides: Vec<Override>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Override {
    filter: String,
    slow_timeout: Option<SlowTimeout>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct SlowTimeout {
    period: String,
    terminate_after: u32,
}

impl SlowTimeout {
    fn whole(&self) -> Result<Duration, Failed> {
        let period = self.period.strip_suffix('s');
        let period = period.ok_or("a period is written in seconds, as in `20s`")?;
        Ok(Duration::from_secs(period.parse()?) * self.terminate_after)
    }
}
