//! A gate before the engine: another socket that leads to it, and can be shut, as an engine that
//! is stopped is, and opened again; or it lets nobody end a container, as an engine does whose
//! driver is stuck; and what is pulled comes when a test says so, from no registry.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

pub(crate) struct Gate {
    at: PathBuf,
    passing: Arc<Mutex<Passing>>,
    keeper: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Passing {
    is_shut: bool,
    /// Nothing is stopped, killed or removed.
    ends_nothing: bool,
    /// What was asked meanwhile, e.g. `DELETE /v1.47/containers/x`.
    refused: Vec<String>,
    /// Those who wait for an image.
    pulling: Vec<UnixStream>,
    connections: Vec<UnixStream>,
}

impl Gate {
    pub(crate) fn open(at: &Path) -> Self {
        let address = crate::engine::address();
        let engine = address.strip_prefix("unix://");
        let engine = engine.expect("an engine with a socket").to_owned();
        let listener = UnixListener::bind(at).unwrap();
        let passing: Arc<Mutex<Passing>> = Arc::default();
        let asked = passing.clone();
        let keeper = std::thread::spawn(move || {
            for caller in listener.incoming() {
                let mut kept = asked.lock().unwrap();
                if kept.is_shut {
                    return;
                }
                let caller = caller.unwrap();
                kept.connections.push(caller.try_clone().unwrap());
                drop(kept);
                let (engine, passing) = (engine.clone(), asked.clone());
                std::thread::spawn(move || lead(caller, &engine, &passing));
            }
        });
        Self {
            at: at.to_owned(),
            passing,
            keeper: Some(keeper),
        }
    }

    /// Has nothing stopped, killed or removed any more, or again.
    pub(crate) fn end_nothing(&self, so: bool) {
        self.passing.lock().unwrap().ends_nothing = so;
    }

    /// How often something like this was refused.
    pub(crate) fn refusals(&self, what: &str) -> usize {
        let passing = self.passing.lock().unwrap();
        let asked = passing.refused.iter();
        asked.filter(|line| line.contains(what)).count()
    }

    /// How many wait for an image.
    pub(crate) fn pulls(&self) -> usize {
        self.passing.lock().unwrap().pulling.len()
    }

    /// Tells all who wait for an image that it has come.
    pub(crate) fn let_images_come(&self) {
        for mut caller in self.passing.lock().unwrap().pulling.drain(..) {
            answer(&mut caller, "200 OK", r#"{"status":"Pull complete"}"#);
        }
    }

    /// Cuts everybody off; nobody is there any more.
    pub(crate) fn shut(&mut self) {
        let Some(keeper) = self.keeper.take() else {
            return;
        };
        let mut passing = self.passing.lock().unwrap();
        passing.is_shut = true;
        for connection in passing.connections.drain(..) {
            // It may have ended by itself.
            let (Ok(()) | Err(_)) = connection.shutdown(Shutdown::Both);
        }
        drop(passing);
        // Wakes the keeper, who sees that it is over.
        UnixStream::connect(&self.at).unwrap();
        keeper.join().unwrap();
        fs_err::remove_file(&self.at).unwrap();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shut();
    }
}

/// Leads a caller to the engine. A client of ours asks one thing per connection, so that its first
/// line is all there is to look at.
fn lead(mut caller: UnixStream, engine: &str, passing: &Mutex<Passing>) {
    let mut asked = vec![0; 4096];
    // A caller that was cut off, or asks nothing, is led nowhere.
    let Ok(length @ 1..) = caller.read(&mut asked) else {
        return;
    };
    asked.truncate(length);
    let line = String::from_utf8_lossy(&asked);
    let line = line.lines().next().unwrap_or_default();
    let is_end = line.starts_with("DELETE ") || line.contains("/stop?") || line.contains("/kill?");
    let mut kept = passing.lock().unwrap();
    if kept.ends_nothing && is_end {
        kept.refused.push(line.to_owned());
        drop(kept);
        let why = r#"{"message":"the driver is stuck"}"#;
        answer(&mut caller, "500 Internal Server Error", why);
        return;
    }
    if line.contains("/images/create?") {
        kept.pulling.push(caller);
        return;
    }
    if kept.is_shut {
        return;
    }
    let mut engine = UnixStream::connect(engine).unwrap();
    kept.connections.push(engine.try_clone().unwrap());
    drop(kept);
    engine.write_all(&asked).unwrap();
    for (from, to) in [(&caller, &engine), (&engine, &caller)] {
        pass(from.try_clone().unwrap(), to.try_clone().unwrap());
    }
}

fn answer(caller: &mut UnixStream, status: &str, body: &str) {
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    // It may have gone meanwhile.
    let (Ok(()) | Err(_)) = caller.write_all(answer.as_bytes());
}

/// Passes bytes on until they end, and the end too.
fn pass(mut from: UnixStream, mut to: UnixStream) {
    std::thread::spawn(move || {
        let (Ok(_) | Err(_)) = io::copy(&mut from, &mut to);
        let (Ok(()) | Err(_)) = to.shutdown(Shutdown::Write);
    });
}
