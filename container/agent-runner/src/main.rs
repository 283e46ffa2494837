//! One agent turn: input on stdin, events on stdout, diagnostics on stderr.
//!
//! Exit codes: 0 the turn is complete, 1 it failed (an `error` event says why), 2 wrong usage.
//! The environment is read here and nowhere else.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use agent_runner::{Environment, LEASH, die_with_parent, hold_leash, play};

const USAGE: &str = "usage: agent-runner < input.json
One JSON object on stdin (`{\"prompt\": \"…\"}`), one JSON event per line on stdout.";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [] => one_turn(),
        [word, command] if word == LEASH => hold_leash(command),
        _ => complain(2, USAGE),
    }
}

fn one_turn() -> ExitCode {
    if let Err(gone) = die_with_parent() {
        return complain(1, &gone.to_string());
    }
    let own_binary = match std::env::current_exe() {
        Ok(path) => path,
        Err(error) => return complain(1, &format!("cannot find my own binary: {error}")),
    };
    // Without a provider rustls panics at its first handshake. An error means that one is
    // installed already, which is as good.
    let (Ok(()) | Err(_)) = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(play(
            io::stdin().lock(),
            io::stdout().lock(),
            Environment::new(std::env::vars_os(), own_binary),
        )),
        Err(error) => complain(1, &format!("cannot start the runtime: {error}")),
    }
}

fn complain(code: u8, text: &str) -> ExitCode {
    // Nobody is left to tell when stderr is closed.
    let (Ok(()) | Err(_)) = writeln!(io::stderr().lock(), "agent-runner: {text}");
    ExitCode::from(code)
}
