//! What goes over the wire, byte for byte, and how it ends: with a reset, with an end, or
//! not at all.
//!
//! Everything is read from a plain socket, because clients are kind to what is broken. The
//! answer of a turn without a fault is the measure: a broken one is a known part of it.

#[cfg(test)]
mod blanks;
#[cfg(test)]
mod breaks;
#[cfg(test)]
mod clock;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod protocols;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod shapes;
#[cfg(test)]
mod short;
#[cfg(test)]
mod wire;
