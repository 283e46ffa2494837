//! What scenarios are played with: programs and images, given or built.

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::num::NonZeroU32;
use std::path::PathBuf;

use harness::{Binaries, BinariesError, Containers, Engine, Form, Ground, Images, Means, Scenario};

use super::{CommandError, workspace};

/// The programs and images under test, as far as they are given.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) nanokimi: Option<PathBuf>,
    pub(crate) agent_runner: Option<PathBuf>,
    pub(crate) pairing: Option<PathBuf>,
    pub(crate) kimi: Option<PathBuf>,
    pub(crate) images: Option<Images>,
    /// Where the engine answers, as `DOCKER_HOST` says it.
    pub(crate) engine: Option<String>,
    /// Whether a scenario that cannot be played here is a failure.
    pub(crate) all: bool,
    pub(crate) release: bool,
    pub(crate) environment: Vec<(String, String)>,
}

/// Finds or builds all that these scenarios take. Those that cannot be played for want of the
/// Kimi CLI are taken out, and that is said.
pub(super) fn prepare(
    form: Form,
    programs: &Programs,
    scenarios: &mut VecDeque<Scenario>,
    crowding: NonZeroU32,
) -> Result<Means, CommandError> {
    let binaries = match &programs.nanokimi {
        Some(nanokimi) => Binaries::given(nanokimi, programs.agent_runner.as_deref())?,
        None => Binaries::build(&workspace(), programs.release)?,
    };
    let mut binaries = match scenarios.iter().any(Scenario::needs_pairing) {
        true => binaries.with_pairing(programs.pairing.as_deref(), &workspace())?,
        false => binaries,
    };
    let ground = ground(form, programs, &binaries)?;
    if scenarios.iter().any(Scenario::needs_kimi) {
        match with_kimi(binaries.clone(), programs, &ground) {
            Ok(found) => binaries = found,
            Err(BinariesError::Kimi(why)) if !programs.all => without_kimi(&why, scenarios)?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Means {
        binaries,
        environment: programs.environment.clone(),
        fixtures: workspace().join("fixtures"),
        ground,
        crowding,
    })
}

/// Reaches the engine and has the images built, where there are to be containers.
fn ground(form: Form, programs: &Programs, binaries: &Binaries) -> Result<Ground, CommandError> {
    if !form.has_containers() {
        return Ok(Ground::Process);
    }
    let engine = Engine::reach(programs.engine.as_deref())?;
    let images = match &programs.images {
        Some(images) => images.clone(),
        None => binaries.images(&workspace(), programs.release)?,
    };
    let containers = Containers::prepare(engine, images)?;
    Ok(match form {
        Form::Docker => Ground::Docker(containers),
        Form::Hybrid | Form::Process => Ground::Hybrid(containers),
    })
}

/// As a program, or in an image.
fn with_kimi(
    binaries: Binaries,
    programs: &Programs,
    ground: &Ground,
) -> Result<Binaries, BinariesError> {
    match ground.images() {
        Some(images) if images.has_kimi() => Ok(binaries),
        Some(_without) => Err(BinariesError::Kimi("there is no image with it".to_owned())),
        None => binaries.with_kimi(programs.kimi.as_deref(), &workspace()),
    }
}

fn without_kimi(why: &str, scenarios: &mut VecDeque<Scenario>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for scenario in scenarios.iter().filter(|scenario| scenario.needs_kimi()) {
        writeln!(out, "skip {}: the Kimi CLI is missing", scenario.name())?;
    }
    writeln!(out, "  {why}")?;
    scenarios.retain(|scenario| !scenario.needs_kimi());
    Ok(())
}
