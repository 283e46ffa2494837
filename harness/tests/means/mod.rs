//! What the tests play with: programs and images, built by the set-up script of nextest, or here
//! and now.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use harness::{
    Binaries, BinariesError, Containers, Engine, Form, Ground, Images, Keep, Means, Performance,
    Scenario, Snapshots, chain,
};
use libtest_mimic::Failed;

/// How many scenarios share a processor when `ci/test` plays them.
pub(crate) const CROWDING: NonZeroU32 = NonZeroU32::MIN.saturating_add(1);

pub(crate) fn workspace() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package
        .parent()
        .map_or_else(|| package.to_owned(), Path::to_owned)
}

/// The forms of the stage that are played here: without an engine only that of processes, unless
/// there must be one.
pub(crate) fn forms() -> Vec<Form> {
    if required("REQUIRE_DOCKER") || engine().is_ok() {
        return Form::ALL.to_vec();
    }
    vec![Form::Process]
}

/// Whether this is set in the environment, as CI does.
pub(crate) fn required(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

fn engine() -> Result<Engine, harness::EngineError> {
    let given = environment(["DOCKER_HOST"]).into_iter().next();
    Engine::reach(given.as_ref().map(|(_, address)| address.as_str()))
}

/// What these scenarios are played with; the error of the Kimi CLI's absence is one of its own.
pub(crate) fn performance(
    traces: PathBuf,
    scenarios: &[Scenario],
    form: Form,
) -> Result<Performance, Missing> {
    let found = binaries(scenarios.iter().any(Scenario::needs_pairing));
    let mut binaries = found.map_err(broke)?;
    let ground = ground(form, &binaries)?;
    if scenarios.iter().any(Scenario::needs_kimi) {
        let found = match ground.images() {
            Some(images) if images.has_kimi() => Ok(binaries),
            Some(_without) => Err(BinariesError::Kimi("there is no image with it".to_owned())),
            None => with_kimi(binaries),
        };
        binaries = match found {
            Ok(found) => found,
            Err(BinariesError::Kimi(why)) if !required("CI") => return Err(Missing::Kimi(why)),
            Err(error) => return Err(broke(error)),
        };
    }
    Ok(Performance {
        means: Means {
            binaries,
            environment: environment(["PATH", "LANG"]),
            fixtures: workspace().join("fixtures"),
            ground,
            crowding: CROWDING,
        },
        traces,
        trace_all: true,
        keep: Keep::None,
        snapshots: Snapshots::wanted(
            false,
            std::env::var_os("INSTA_UPDATE").as_deref(),
            std::env::var_os("CI").is_some(),
        ),
        seed: 0,
    })
}

/// Why nothing can be played.
#[derive(Debug)]
pub(crate) enum Missing {
    /// Which is said, and is no failure on a machine of one's own.
    Kimi(String),
    Else(String),
}

impl From<Missing> for Failed {
    fn from(missing: Missing) -> Self {
        match missing {
            Missing::Kimi(why) | Missing::Else(why) => Self::from(why),
        }
    }
}

fn broke(error: impl std::error::Error) -> Missing {
    Missing::Else(chain(&error))
}

fn ground(form: Form, binaries: &Binaries) -> Result<Ground, Missing> {
    if !form.has_containers() {
        return Ok(Ground::Process);
    }
    let engine = engine().map_err(broke)?;
    let images = match Images::given(environment(Images::variables())) {
        Some(images) => images,
        None => binaries
            .images(&workspace(), !cfg!(debug_assertions))
            .map_err(broke)?,
    };
    let containers = Containers::prepare(engine, images).map_err(broke)?;
    Ok(match form {
        Form::Docker => Ground::Docker(containers),
        Form::Hybrid | Form::Process => Ground::Hybrid(containers),
    })
}

fn binaries(pairs: bool) -> Result<Binaries, BinariesError> {
    let names = ["NANOKIMI_BIN", "AGENT_RUNNER_BIN", "NANOKIMI_PAIRING_BIN"];
    let given = environment(names).into_iter().collect::<BTreeMap<_, _>>();
    let path = |name: &str| given.get(name).map(Path::new);
    let found = match path(names[0]) {
        Some(nanokimi) => Binaries::given(nanokimi, path(names[1])),
        None => Binaries::build(&workspace(), !cfg!(debug_assertions)),
    };
    match pairs {
        true => found?.with_pairing(path(names[2]), &workspace()),
        false => found,
    }
}

fn with_kimi(binaries: Binaries) -> Result<Binaries, BinariesError> {
    let given = environment(["KIMI_CLI"]).into_iter().next();
    let given = given.as_ref().map(|(_, path)| Path::new(path));
    binaries.with_kimi(given, &workspace())
}

pub(crate) fn with_mock_server(binaries: Binaries) -> Result<Binaries, Failed> {
    let given = environment(["MOCK_SERVER_BIN"]).into_iter().next();
    let given = given.as_ref().map(|(_, path)| Path::new(path));
    let found = binaries.with_mock_server(given, &workspace());
    found.map_err(|error| Failed::from(chain(&error)))
}

fn environment<const N: usize>(names: [&str; N]) -> Vec<(String, String)> {
    names
        .into_iter()
        .filter_map(|name| {
            let value = std::env::var_os(name)?;
            Some((name.to_owned(), value.to_string_lossy().into_owned()))
        })
        .collect()
}
