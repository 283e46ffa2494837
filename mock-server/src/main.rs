//! The mock server alone.

fn main() {}
