//! The mock server as its clients see it: over HTTP, byte by byte.
//!
//! Nothing here looks inside; what a client cannot see is tested beside its code. (The
//! modules are marked as tests so that clippy lets them unwrap.)

#[cfg(test)]
mod anthropic;
#[cfg(test)]
mod answers;
#[cfg(test)]
mod bindings;
#[cfg(test)]
mod control;
#[cfg(test)]
mod conversations;
#[cfg(test)]
mod crowds;
#[cfg(test)]
mod embeddings;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod gates;
#[cfg(test)]
mod journal;
#[cfg(test)]
mod lanes;
#[cfg(test)]
mod leniency;
#[cfg(test)]
mod misses;
#[cfg(test)]
mod program;
#[cfg(test)]
mod responses;
#[cfg(test)]
mod retries;
#[cfg(test)]
mod openrouter;
#[cfg(test)]
mod moonshot;
#[cfg(test)]
mod kimi;
#[cfg(test)]
mod oauth;
#[cfg(test)]
mod admission;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod topics;
#[cfg(feature = "whatsapp")]
#[cfg(test)]
mod whatsapp;
