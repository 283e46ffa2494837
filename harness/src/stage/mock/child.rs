//! A mock server as a child of ours: started, waited for, ended.
//!
//! What is said to it is said over its control API, as to any other.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use mock_server::MockOptions;
use rustix::process::Signal;
use tokio::time::timeout;

use super::MockError;
use crate::lenient::parsed;
use crate::stage::StageError;
use crate::stage::process::{Ended, Process, Surroundings};

/// How long it may take to listen.
const START: Duration = Duration::from_secs(10);
/// How long it may take to let its clients go.
const END: Duration = Duration::from_secs(4);

/// How its first line begins; behind it stands its address.
const READY: &str = "mock-server on http://";

/// A server that ends with us.
#[derive(Debug)]
pub(super) struct Child(Process);

impl Child {
    /// Starts `program` and returns as soon as it listens.
    pub(super) async fn start(
        program: &Path,
        options: &MockOptions,
    ) -> Result<(Self, SocketAddr), StageError> {
        let mut args: Vec<OsString> = vec![
            "--listen".into(),
            options.address.to_string().into(),
            "--seed".into(),
            options.seed.to_string().into(),
        ];
        if !options.whatsapp {
            args.push("--no-whatsapp".into());
        }
        // Nowhere near the scenario's folder: it is none of its processes.
        let surroundings = Surroundings {
            folder: Path::new("/"),
            environment: Vec::new(),
        };
        let mut process = Process::start(program, &args, surroundings)?;
        let address = match timeout(START, ready(&mut process)).await {
            Ok(address) => address?,
            Err(_elapsed) => None,
        };
        match address {
            Some(address) => Ok((Self(process), address)),
            None => {
                let said = format!("{}{}", process.stdout(), process.stderr());
                let why = format!("it did not say within {START:?} where it listens: {said}");
                Err(MockError::Gone(why).into())
            }
        }
    }

    /// Ends it, and fails as it did.
    pub(super) async fn end(mut self) -> Result<(), StageError> {
        self.0.signal(Signal::TERM)?;
        let ended = self.0.ended(END).await?;
        match ended {
            Some(Ended::Code(0)) => Ok(()),
            Some(other) => Err(StageError::Panicked(format!(
                "{other}: {}",
                self.0.stderr()
            ))),
            None => Err(StageError::Panicked(format!(
                "it had not ended after {END:?}"
            ))),
        }
    }
}

/// The address it prints, or `None` if it ends before.
async fn ready(process: &mut Process) -> Result<Option<SocketAddr>, StageError> {
    let printing = process.printing();
    loop {
        let said = printing.text();
        let mut lines = said.lines();
        let line = lines.find_map(|line| line.strip_prefix(READY));
        if let Some(address) = line.filter(|_| said.ends_with('\n')) {
            return Ok(parsed(address));
        }
        tokio::select! {
            () = printing.grown() => {}
            ended = process.ended(Duration::MAX) => return ended.map(|_ended| None),
        }
    }
}
