//! The fixture of a device that was linked before: nanokimi's store, and what the mock knows
//! of it.
//!
//! Only read here; `harness fixture whatsapp` makes it.

use std::io;
use std::path::Path;

use fs_err as fs;
use mock_server::whatsapp::LinkedAccount;

/// Where it lies below the folder of fixtures.
pub(crate) const PAIRED: &str = "whatsapp/paired";

/// nanokimi's store of the linked device, below its root and below the fixture alike.
pub(crate) const DEVICE_STORE: &str = "store/auth/device.db";

/// The mock's side of it.
pub(crate) const ACCOUNT: &str = "account.json";

/// A fixture that is not there or not one.
#[derive(Debug, thiserror::Error)]
pub enum PairedError {
    #[error("a file of it cannot be read or written; make it anew with `harness fixture whatsapp`")]
    Unreadable(#[source] io::Error),
    #[error("`{ACCOUNT}` is not one of this mock; make it anew with `harness fixture whatsapp`")]
    Account(#[source] serde_json::Error),
}

/// Puts the store where nanokimi looks for it, and returns who it belongs to.
pub(super) fn unpack(fixture: &Path, root: &Path) -> Result<LinkedAccount, PairedError> {
    let to = root.join(DEVICE_STORE);
    if let Some(above) = to.parent() {
        fs::create_dir_all(above).map_err(PairedError::Unreadable)?;
    }
    fs::copy(fixture.join(DEVICE_STORE), to).map_err(PairedError::Unreadable)?;
    let account = fs::read_to_string(fixture.join(ACCOUNT)).map_err(PairedError::Unreadable)?;
    serde_json::from_str(&account).map_err(PairedError::Account)
}
