//! One agent turn: input on stdin, events on stdout, diagnostics on stderr.
//!
//! Exit codes: 0 the turn is complete, 1 it failed (an `error` event says why), 2 wrong usage.
//! The environment is read here and nowhere else.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use agent_runner::{
    AGENT_LEASH, Environment, LEASH, MCP, die_with_parent, hold_agent_leash, hold_leash, play,
    serve_tools,
};
use tokio::runtime::Runtime;

const USAGE: &str = "usage: agent-runner < input.json
One JSON object on stdin (`{\"prompt\": \"…\"}`), one JSON event per line on stdout.
       agent-runner mcp
The tools that reach the orchestrator, as a server of the Model Context Protocol on stdio.
       agent-runner --version";

const VERSION: &str = concat!("agent-runner ", env!("CARGO_PKG_VERSION"));

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [] => one_turn(),
        [word] if word == MCP => tools_alone(),
        [word, command] if word == LEASH => hold_leash(command),
        [word, command] if word == AGENT_LEASH => hold_agent_leash(command),
        [word] if word == "--version" => answer(VERSION),
        _ => complain(2, USAGE),
    }
}

fn one_turn() -> ExitCode {
    if let Err(gone) = die_with_parent() {
        return complain(1, &gone.to_string());
    }
    // Without a provider rustls panics at its first handshake. An error means that one is
    // installed already, which is as good.
    let (Ok(()) | Err(_)) = rustls::crypto::ring::default_provider().install_default();
    match (environment(), runtime()) {
        (Ok(environment), Ok(runtime)) => {
            runtime.block_on(play(io::stdin().lock(), io::stdout().lock(), environment))
        }
        (Err(code), _) | (_, Err(code)) => code,
    }
}

fn tools_alone() -> ExitCode {
    let (environment, runtime) = match (environment(), runtime()) {
        (Ok(environment), Ok(runtime)) => (environment, runtime),
        (Err(code), _) | (_, Err(code)) => return code,
    };
    let served = runtime.block_on(serve_tools(environment));
    // An agent that has gone leaves a read of stdin behind, which nobody needs to wait for.
    runtime.shutdown_background();
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(1, &error.to_string()),
    }
}

fn environment() -> Result<Environment, ExitCode> {
    match std::env::current_exe() {
        Ok(own_binary) => Ok(Environment::new(std::env::vars_os(), own_binary)),
        Err(error) => Err(complain(1, &format!("cannot find my own binary: {error}"))),
    }
}

fn runtime() -> Result<Runtime, ExitCode> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| complain(1, &format!("cannot start the runtime: {error}")))
}

fn answer(text: &str) -> ExitCode {
    match writeln!(io::stdout().lock(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(1, &format!("cannot write to stdout: {error}")),
    }
}

fn complain(code: u8, text: &str) -> ExitCode {
    // Nobody is left to tell when stderr is closed.
    let (Ok(()) | Err(_)) = writeln!(io::stderr().lock(), "agent-runner: {text}");
    ExitCode::from(code)
}
