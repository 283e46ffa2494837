//! The door: the one way out of a box that has no network.
//!
//! The orchestrator listens at a socket in a folder that is mounted into the box. The agent's
//! runner listens in the box, at a loopback address for each host that may be reached, and
//! brings every connection to the door: it writes [`Call`] as a line, and is answered with
//! [`Answer`] as a line; after an `ok` the bytes of both are passed on by [`relay`], encrypted
//! as they are. The runner holds one more connection for as long as it lives, its lifeline.
//!
//! Here stand the words, and how bytes are passed on. Who may go where is decided at the
//! orchestrator's side.

mod host;
mod relay;
mod words;

pub use host::{DoorHost, DoorTarget, InvalidDoorHost, allot};
pub use relay::relay;
pub use words::{Answer, Call, LONGEST_LINE, read_line};

/// Where the door's folder is mounted in a box.
pub const DOOR_FOLDER: &str = "/run/nanokimi";

/// The name of the socket in that folder.
pub const DOOR_SOCKET: &str = "door.sock";

/// The variable that names the socket to the runner; without it there is no door.
pub const DOOR: &str = "NANOKIMI_DOOR";

/// The variable that lists, between commas, each [`DoorHost`] behind it.
pub const DOOR_HOSTS: &str = "NANOKIMI_DOOR_HOSTS";
