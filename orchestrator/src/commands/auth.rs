//! `nanokimi auth`: links WhatsApp. Shows the code on the terminal, and keeps it and how far
//! things are in two files for whoever drives this from outside: `store/qr-data.txt`, there
//! while there is a code to scan, and `store/auth-status.txt`, one line: `waiting`,
//! `pairing_code:<code>`, `authenticated`, `already_authenticated` or `failed:<reason>`.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use clap::Args;
use jiff::Timestamp;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use tokio::signal::unix::{SignalKind, signal};

use crate::channel::whatsapp::{Method, PairingError, Progress, allows, auth_folder, pair};
use crate::config::Config;
use crate::exit::Exit;
use crate::instance::{self, InstanceError};

/// How to link.
#[derive(Args, Clone, Debug)]
pub struct AuthOptions {
    /// Link by a code to type into the phone, instead of a QR code to scan.
    #[arg(long, requires = "phone")]
    pairing_code: bool,
    /// The phone's number, country code first.
    #[arg(long, value_name = "NUMBER", value_parser = number, requires = "pairing_code")]
    phone: Option<String>,
    /// Forget the linked device first; its keys are kept as store/auth.bak.<time>.
    #[arg(long)]
    reset: bool,
}

/// Why nothing was linked.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    #[error(transparent)]
    Instance(#[from] InstanceError),
    #[error(transparent)]
    Pairing(#[from] PairingError),
    #[error("what is shown cannot be shown or kept")]
    Output(#[from] io::Error),
}

impl AuthError {
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Instance(_) => Exit::Folder,
            Self::Output(_) => Exit::Fault,
            Self::Pairing(error) => match error {
                PairingError::AlreadyLinked => Exit::AlreadyLinked,
                PairingError::LoggedOut(_) => Exit::LoggedOut,
                PairingError::TimedOut => Exit::PairingTimedOut,
                PairingError::RateLimited(_) => Exit::RateLimited,
                PairingError::Passkey => Exit::PasskeyDemanded,
                PairingError::Unverified(_) => Exit::Usage,
                PairingError::Client(_) | PairingError::Io(_) => Exit::Folder,
                PairingError::Outdated
                | PairingError::Refused(_)
                | PairingError::Lost(_)
                | PairingError::Interrupted
                | PairingError::InterruptedLate
                | PairingError::Unsettled => Exit::Fault,
            },
        }
    }
}

/// A failure in one word, for `auth-status.txt`.
fn word(error: &PairingError) -> &'static str {
    match error {
        PairingError::AlreadyLinked => "already_authenticated",
        PairingError::LoggedOut(_) => "failed:logged_out",
        PairingError::TimedOut => "failed:qr_timeout",
        PairingError::RateLimited(_) => "failed:rate_limited",
        PairingError::Passkey => "failed:passkey",
        PairingError::Outdated => "failed:outdated",
        PairingError::Refused(_) => "failed:refused",
        PairingError::Lost(_) => "failed:connection",
        PairingError::Unsettled => "failed:unsettled",
        PairingError::Interrupted | PairingError::InterruptedLate => "failed:interrupted",
        PairingError::Unverified(_) | PairingError::Client(_) | PairingError::Io(_) => {
            "failed:unknown"
        }
    }
}

/// Links WhatsApp to the installation in `root`.
pub async fn auth(
    root: &Path,
    config: &Config,
    options: AuthOptions,
    out: &mut dyn Write,
) -> Result<(), AuthError> {
    fs_err::create_dir_all(root.join("store"))?;
    let _instance = instance::lock(root)?;
    if let Some(warning) = crate::WARNING {
        writeln!(out, "{warning}")?;
    }
    let files = Files::of(root);
    files.clear()?;
    if !allows(&config.whatsapp) {
        return Err(PairingError::Unverified(config.whatsapp.url.clone()).into());
    }
    if options.reset
        && let Some(kept) = set_aside(root)?
    {
        writeln!(out, "The linked device was moved to {}.", kept.display())?;
    }
    files.note("waiting")?;
    let method = match options.phone {
        Some(phone) => Method::TypeCode { phone },
        None => Method::Scan,
    };
    let (mut shown, mut agreed) = (Ok(()), false);
    let mut told = stop_signal()?;
    let pairing = pair(root, config, method, |progress| {
        agreed |= progress == Progress::Agreed;
        if shown.is_ok() {
            shown = show(out, &files, &progress);
        }
    });
    let paired = tokio::select! {
        paired = Box::pin(pairing) => Some(paired),
        () = &mut told => None,
    };
    let paired = match (paired, agreed) {
        (Some(paired), _) => paired,
        (None, true) => Err(PairingError::InterruptedLate),
        (None, false) => Err(PairingError::Interrupted),
    };
    remove(&files.qr)?;
    match &paired {
        Ok(()) => {
            files.note("authenticated")?;
            writeln!(out, "WhatsApp is linked. Start it with `nanokimi run`.")?;
        }
        Err(error) => files.note(word(error))?,
    }
    shown?;
    Ok(paired?)
}

/// Ctrl-C, or being told to end: the code must not stay behind.
fn stop_signal() -> io::Result<Pin<Box<dyn Future<Output = ()>>>> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    Ok(Box::pin(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    }))
}

fn show(out: &mut dyn Write, files: &Files, progress: &Progress) -> io::Result<()> {
    match progress {
        Progress::Qr { data, lasts } => {
            write_private(&files.qr, data)?;
            writeln!(out, "\n{}", drawn(data)?)?;
            writeln!(
                out,
                "On the phone: WhatsApp, Linked devices, Link a device; then scan this.\nIt is good for {} s; then comes another.",
                lasts.as_secs()
            )?;
        }
        Progress::Code { code, lasts } => {
            files.note(&format!("pairing_code:{code}"))?;
            writeln!(
                out,
                "\n    {code}\n\nOn the phone: WhatsApp, Linked devices, Link a device, Link with phone number instead;\nthen type this in. It is good for {} s.",
                lasts.as_secs()
            )?;
        }
        Progress::Agreed => {
            remove(&files.qr)?;
            writeln!(out, "The phone agrees; logging in …")?;
        }
    }
    out.flush()
}

/// Two rows of the code in each line of text, light on a dark terminal.
fn drawn(data: &str) -> io::Result<String> {
    let code = QrCode::new(data).map_err(io::Error::other)?;
    Ok(code
        .render::<Dense1x2>()
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .build())
}

/// What tells others how far we are.
#[derive(Debug)]
struct Files {
    qr: PathBuf,
    status: PathBuf,
}

impl Files {
    fn of(root: &Path) -> Self {
        Self {
            qr: root.join("store/qr-data.txt"),
            status: root.join("store/auth-status.txt"),
        }
    }

    fn clear(&self) -> io::Result<()> {
        remove(&self.qr)?;
        remove(&self.status)
    }

    fn note(&self, status: &str) -> io::Result<()> {
        write_private(&self.status, status)
    }
}

fn remove(file: &Path) -> io::Result<()> {
    match fs_err::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Whole or not at all, and for nobody else: whoever has the code has the account.
fn write_private(file: &Path, text: &str) -> io::Result<()> {
    let new = file.with_extension("new");
    remove(&new)?;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(&new)?.write_all(text.as_bytes())?;
    fs_err::rename(new, file)
}

/// Moves the linked device away; none if there is none.
fn set_aside(root: &Path) -> io::Result<Option<PathBuf>> {
    let auth = auth_folder(root);
    if !auth.try_exists()? {
        return Ok(None);
    }
    let now = Timestamp::now().strftime("%Y-%m-%dT%H-%M-%S%.3fZ");
    let kept = root.join(format!("store/auth.bak.{now}"));
    fs_err::rename(auth, &kept)?;
    Ok(Some(kept))
}

/// A phone number as people write it, without what is no digit.
fn number(text: &str) -> Result<String, String> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let written = text
        .chars()
        .all(|c| c.is_ascii_digit() || "+ -()".contains(c));
    if written && (7..=15).contains(&digits.len()) && !digits.starts_with('0') {
        Ok(digits)
    } else {
        Err("expected a number with its country code, such as +49 151 00000001".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_number_is_digits_with_the_country_code_first() {
        assert_eq!(number("+49 151-0000 0001").as_deref(), Ok("4915100000001"));
        for bad in [
            "",
            "0151 00000001",
            "123",
            "49151x0000001",
            "+1234567890123456",
        ] {
            assert!(number(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn codes_are_for_the_owner_alone() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("qr-data.txt");
        fs_err::write(&file, "old").unwrap();
        write_private(&file, "new").unwrap();
        assert_eq!(fs_err::read_to_string(&file).unwrap(), "new");
        let mode = fs_err::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_reset_keeps_the_old_device() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(set_aside(root.path()).unwrap(), None);
        fs_err::create_dir_all(root.path().join("store/auth")).unwrap();
        fs_err::write(root.path().join("store/auth/device.db"), "keys").unwrap();

        let kept = set_aside(root.path()).unwrap().unwrap();

        let name = kept.file_name().unwrap().to_string_lossy().into_owned();
        assert!(name.starts_with("auth.bak.20"), "{name}");
        assert!(kept.join("device.db").is_file());
        assert!(!root.path().join("store/auth").exists());
    }

    #[test]
    fn a_code_is_drawn_small_enough_for_a_terminal() {
        // As long as WhatsApp's are.
        let drawing = drawn(&"x".repeat(240)).unwrap();
        assert!(drawing.lines().count() <= 40, "{}", drawing.lines().count());
    }
}
