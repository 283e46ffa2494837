//! Every scenario, as a test.

fn main() {}
