//! Two hundred tests that do nothing: what nextest itself costs, for `benches/figures`.
//!
//! Started by that benchmark only; neither `cargo test` nor `cargo bench` runs it by itself.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

const TESTS: usize = 200;

fn main() -> ExitCode {
    let tests = (0..TESTS).map(|number| Trial::test(format!("nothing::{number:03}"), || Ok(())));
    libtest_mimic::run(&Arguments::from_args(), tests.collect()).exit_code()
}
