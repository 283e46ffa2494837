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
