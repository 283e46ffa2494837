//! The mock server as its clients see it: over HTTP, byte by byte.
//!
//! Nothing here looks inside; what a client cannot see is tested beside its code.

mod answers;
mod control;
mod gates;
mod journal;
mod lanes;
mod misses;
mod program;
mod retries;
mod stage;
mod streams;
