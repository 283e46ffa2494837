//! What the process says to whoever started it.

/// The exit codes of `nanokimi`; 0 is ended as told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It failed while it ran, a command was refused, or `doctor` found something broken.
    Fault = 1,
    /// The arguments or the settings are wrong; trying again will not help.
    Usage = 2,
    /// The folder cannot be used: taken by another process, or not readable as ours.
    Folder = 3,
    /// WhatsApp is required and no device is linked.
    NotLinked = 4,
    /// WhatsApp has logged the linked device out; it must be linked again.
    LoggedOut = 5,
    /// Nobody scanned the QR code or entered the pairing code in time.
    PairingTimedOut = 6,
    /// WhatsApp refuses to pair for now; trying again at once makes it worse.
    RateLimited = 7,
    /// The account wants a passkey, which cannot be given here.
    PasskeyDemanded = 8,
    /// A device is linked already.
    AlreadyLinked = 9,
    /// Agents run in containers, and the container engine does not answer.
    NoEngine = 10,
}

/// What each code says, as `nanokimi --help` shows it.
pub const EXIT_CODES: &str = "\
Exit codes:
   0  ended as told
   1  failed while it ran, or was refused; of doctor: something is broken
   2  the arguments or the settings are wrong
   3  the folder is taken by another process, or cannot be read as ours
   4  WhatsApp is required, and no device is linked
   5  WhatsApp has logged the device out
   6  of auth: nobody scanned or typed in time
   7  of auth: WhatsApp refuses to pair for now
   8  of auth: the account demands a passkey
   9  of auth: a device is linked already
  10  the container engine does not answer";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_told() {
        let told: Vec<i32> = EXIT_CODES
            .lines()
            .skip(1)
            .map(|line| line.trim().split_once("  ").unwrap().0.parse().unwrap())
            .collect();
        assert_eq!(told, (0..=Exit::NoEngine as i32).collect::<Vec<_>>());
    }
}
