//! What nanokimi's memory comes to while it serves a crowd. Only nanokimis that are our children
//! are looked at, and of several the largest.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// In kilobytes of 1,024 bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// When a quarter of the time was over.
    pub(crate) quarter: u32,
    pub(crate) most: u32,
}

impl Memory {
    /// Looks at it while something is played; `None` if no nanokimi was seen.
    pub(crate) fn watched<T>(play: impl FnOnce() -> T) -> (T, Option<Self>) {
        let over = AtomicBool::new(false);
        let (tell, looks) = mpsc::channel();
        let played = thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    // Between two scenarios there is no nanokimi to look at.
                    let (Ok(()) | Err(_)) = tell.send(resident());
                    thread::park_timeout(LOOK);
                }
            });
            let played = play();
            over.store(true, Ordering::Relaxed);
            played
        });
        drop(tell);
        let looks: Vec<u32> = looks.into_iter().flatten().collect();
        let quarter = looks.get(looks.len() / 4).copied();
        let most = looks.iter().max().copied();
        let memory = quarter.zip(most);
        (played, memory.map(|(quarter, most)| Self { quarter, most }))
    }
}

/// Memory in use of our child nanokimi.
fn resident() -> Option<u32> {
    let ours = std::process::id().to_string();
    let Ok(entries) = fs_err::read_dir("/proc") else {
        return None;
    };
    let statuses = entries.map(|entry| {
        // Processes come and go while we look.
        let status = entry.and_then(|entry| fs_err::read_to_string(entry.path().join("status")));
        status.unwrap_or_else(|_gone| String::new())
    });
    let nanokimis = statuses.filter(|status| {
        field(status, "PPid:") == Some(&ours) && field(status, "Name:") == Some("nanokimi")
    });
    let kilobytes = nanokimis.filter_map(|status| match field(&status, "VmRSS:")?.parse() {
        Ok(kilobytes) => Some(kilobytes),
        Err(_not_a_number) => None,
    });
    kilobytes.max()
}

/// The first word behind a name in `/proc/<pid>/status`.
fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next())
}
