//! Makes the fixture of a linked device: nanokimi is linked with the mock by QR code, as a
//! person would, and what both sides then keep is written down.
//!
//! Only nanokimi knows what its store looks like; here it is copied, never made.

use std::path::{Path, PathBuf};

use fs_err as fs;
use mock_server::Unexpected;
use mock_server::whatsapp::LinkedAccount;
use serde::{Deserialize, Serialize};

use crate::chain::chain;
use crate::failure::Trouble;
use crate::judge;
use crate::play::{Play, Snapshots};
use crate::scenario::{Scenario, parse};
use crate::stage::{ACCOUNT, Closed, DEVICE_STORE, Means, PAIRED, Stage, StageError};

/// How a device is linked, told as a story.
const LINKED: &str = r#"
story: A device is linked, for other stories to begin with.
requires: [pairing]
whatsapp: { linked: false }
timeout: 2m
steps:
  - run: { args: [auth], background: true }
  - expect: { files.store/qr-data.txt: { regex: ",", capture: qr }, within: 20s }
  - phone: { scan_qr: { code: "${qr}" } }
  - ended: { within: 90s }
"#;

/// What the store was made with, beside the store.
const MANIFEST: &str = "manifest.json";

/// The crates that say what the store looks like.
const CRATES: [&str; 3] = ["wacore", "whatsapp-rust", "whatsapp-rust-sqlite-storage"];

/// What a fixture was made with; it is of no use to others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Name and version of the crates that write the store.
    pub crates: Vec<(String, String)>,
    /// The statements that make the store's tables, in the order of their names.
    pub schema: Vec<String>,
}

/// The fixture could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum FixtureError {
    #[error("the story that links a device cannot be read")]
    Story(#[source] mock_server::yaml::Mistakes),
    #[error("linking failed: {0}")]
    Linking(String),
    #[error("the mock knows of {0} linked devices, not of one")]
    Accounts(usize),
    #[error("a file of the fixture cannot be read or written")]
    File(#[from] std::io::Error),
    #[error("the store of the linked device cannot be read")]
    Store(#[from] rusqlite::Error),
    #[error("a part of the fixture is not in its form")]
    Form(#[from] serde_json::Error),
    #[error("`Cargo.lock` names no version of `{0}`")]
    Unlocked(&'static str),
}

/// Links a device anew and puts it below `fixtures`; returns where.
///
/// # Errors
/// nanokimi could not be linked, or a file not be written.
pub fn make_paired(means: &Means, lock: &Path) -> Result<PathBuf, FixtureError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let crates = locked(lock)?;
    runtime.block_on(async {
        let story = Path::new("fixture.yaml");
        let scenarios = parse(story, LINKED).map_err(FixtureError::Story)?;
        let mut made = None;
        for scenario in &scenarios {
            made = Some(link(scenario, means, &crates).await?);
        }
        made.ok_or(FixtureError::Accounts(0))
    })
}

async fn link(
    scenario: &Scenario,
    means: &Means,
    crates: &[(String, String)],
) -> Result<PathBuf, FixtureError> {
    let broke = |error: StageError| FixtureError::Linking(chain(&error));
    let stage = Stage::set(scenario, means, 0).await.map_err(broke)?;
    let mut play = Play::new(scenario, stage, Snapshots::Compare);
    let troubles = play.perform(scenario.timeout()).await;
    if let Some(trouble) = troubles.first() {
        return Err(FixtureError::Linking(in_words(trouble)));
    }
    let accounts = play.stage.mock().linked().await;
    let mut accounts = accounts.map_err(|error| broke(error.into()))?;
    let found = accounts.len();
    let account = accounts.pop().filter(|_| found == 1);
    let account = account.ok_or(FixtureError::Accounts(found))?;
    let closed = play.stage.close().await.map_err(broke)?;
    let unexpected = play.stage.mock().unexpected().await;
    let unexpected = unexpected.map_err(|error| broke(error.into()))?;
    if let Some(amiss) = amiss(&closed, &unexpected) {
        return Err(FixtureError::Linking(amiss));
    }
    let store = play.stage.root().join(DEVICE_STORE);
    let folder = means.fixtures.join(PAIRED);
    write(&folder, &store, &account, crates)?;
    play.stage.strike(false).await.map_err(broke)?;
    Ok(folder)
}

/// What went wrong although the device is linked: nothing is made of such a link.
fn amiss(closed: &Closed, unexpected: &[Unexpected]) -> Option<String> {
    let surprise = unexpected
        .first()
        .map(|first| judge::unexpected(first).headline);
    let leak = || {
        let leak = closed.leaks.first()?;
        Some(format!("a process outlived nanokimi: {}", leak.command))
    };
    surprise.or_else(leak)
}

fn in_words(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Failed(failure) => format!("{}\n{}", failure.headline, failure.notes.join("\n")),
        Trouble::Broke(error) => chain(error),
    }
}

fn write(
    folder: &Path,
    store: &Path,
    account: &LinkedAccount,
    crates: &[(String, String)],
) -> Result<(), FixtureError> {
    let kept = folder.join(DEVICE_STORE);
    if let Some(above) = kept.parent() {
        fs::create_dir_all(above)?;
    }
    // The old one stays until the new one is whole.
    let made = kept.with_extension("new");
    if made.exists() {
        fs::remove_file(&made)?;
    }
    // One file without a log beside it, and without what was deleted.
    let source = rusqlite::Connection::open(store)?;
    source.execute("VACUUM INTO ?1", [made.display().to_string()])?;
    forget_when(&made)?;
    fs::rename(&made, &kept)?;
    let manifest = Manifest {
        crates: crates.to_vec(),
        schema: schema(&kept)?,
    };
    let line = |text: String| text + "\n";
    let account = serde_json::to_string_pretty(account)?;
    fs::write(folder.join(ACCOUNT), line(account))?;
    let manifest = serde_json::to_string_pretty(&manifest)?;
    fs::write(folder.join(MANIFEST), line(manifest))?;
    Ok(())
}

/// The library exchanges a signed key every week, by the clock on the wall: a fixture that knows
/// how old it is behaves otherwise when it is older. At 0 the week begins anew with each use.
fn forget_when(store: &Path) -> Result<(), FixtureError> {
    let store = rusqlite::Connection::open(store)?;
    store.execute("UPDATE device SET last_signed_pre_key_rotation_ms = 0", [])?;
    Ok(())
}

/// What the fixture below `fixtures` was made with.
///
/// # Errors
/// It is not there, or not in its form.
pub fn paired_manifest(fixtures: &Path) -> Result<Manifest, FixtureError> {
    let text = fs::read_to_string(fixtures.join(PAIRED).join(MANIFEST))?;
    Ok(serde_json::from_str(&text)?)
}

/// What a fixture would be made with now: the crates of `lock`, and the tables of the store
/// below `root`.
///
/// # Errors
/// The store or the lock cannot be read.
pub fn manifest_of(root: &Path, lock: &Path) -> Result<Manifest, FixtureError> {
    Ok(Manifest {
        crates: locked(lock)?,
        schema: schema(&root.join(DEVICE_STORE))?,
    })
}

fn schema(store: &Path) -> Result<Vec<String>, FixtureError> {
    let store = rusqlite::Connection::open(store)?;
    let query = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name, sql";
    let mut statement = store.prepare(query)?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn locked(lock: &Path) -> Result<Vec<(String, String)>, FixtureError> {
    let text = fs::read_to_string(lock)?;
    let version = |name: &'static str| {
        let mut lines = text.lines();
        let wanted = format!("name = \"{name}\"");
        lines.find(|line| *line == wanted)?;
        lines
            .next()?
            .strip_prefix("version = \"")?
            .strip_suffix('"')
    };
    let named = CRATES.map(|name| {
        let version = version(name).ok_or(FixtureError::Unlocked(name))?;
        Ok((name.to_owned(), version.to_owned()))
    });
    named.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fixture_does_not_know_how_old_it_is() {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let store = package.join("../fixtures").join(PAIRED).join(DEVICE_STORE);
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let store = rusqlite::Connection::open_with_flags(store, flags).unwrap();
        let query = "SELECT last_signed_pre_key_rotation_ms FROM device";
        let rotated: i64 = store.query_row(query, [], |row| row.get(0)).unwrap();
        assert_eq!(rotated, 0, "it would exchange keys once it is a week old");
    }
}
