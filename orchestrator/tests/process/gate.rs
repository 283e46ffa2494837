//! A gate before the engine: another socket that leads to it, and can be shut, as an engine that
//! is stopped is, and opened again.

use std::io;
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
    connections: Vec<UnixStream>,
}

impl Gate {
    pub(crate) fn open(at: &Path) -> Self {
        let address = crate::engine::address();
        let engine = address.strip_prefix("unix://");
        let engine = engine.expect("an engine with a socket").to_owned();
        let listener = UnixListener::bind(at).unwrap();
        let passing: Arc<Mutex<Passing>> = Arc::default();
        let kept = passing.clone();
        let keeper = std::thread::spawn(move || {
            for caller in listener.incoming() {
                let mut kept = kept.lock().unwrap();
                if kept.is_shut {
                    return;
                }
                let (caller, engine) = (caller.unwrap(), UnixStream::connect(&engine).unwrap());
                for (from, to) in [(&caller, &engine), (&engine, &caller)] {
                    pass(from.try_clone().unwrap(), to.try_clone().unwrap());
                }
                kept.connections.extend([caller, engine]);
            }
        });
        Self {
            at: at.to_owned(),
            passing,
            keeper: Some(keeper),
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

/// Passes bytes on until they end, and the end too.
fn pass(mut from: UnixStream, mut to: UnixStream) {
    std::thread::spawn(move || {
        let (Ok(_) | Err(_)) = io::copy(&mut from, &mut to);
        let (Ok(()) | Err(_)) = to.shutdown(Shutdown::Write);
    });
}
