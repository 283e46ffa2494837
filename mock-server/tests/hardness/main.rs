//! The mock under what no client should do: bodies that are broken in any way, and a thousand
//! readers that take their time.
//!
//! What a sound request gets is tested in `over_http`. (The modules are marked as tests so that
//! clippy lets them unwrap.)

#[cfg(test)]
mod bodies;
#[cfg(test)]
mod broken;
#[cfg(test)]
mod chance;
#[cfg(test)]
mod connection;
#[cfg(test)]
mod slow_readers;
