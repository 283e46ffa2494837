//! The process: configuration in, exit code out.

fn main() {}
