//! The storage mock as its clients see it: the JSON API and the XML API by hand, the whole suite
//! of a client that speaks to many stores, and Google's own for Rust. (The modules are marked as
//! tests so that clippy lets them unwrap.)

#[cfg(test)]
mod batches;
#[cfg(test)]
mod buckets;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod conditions;
#[cfg(test)]
mod control;
#[cfg(test)]
mod downloads;
#[cfg(test)]
mod google_rust;
#[cfg(test)]
mod https;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod mishaps;
#[cfg(test)]
mod nonsense;
#[cfg(test)]
mod object_store;
#[cfg(test)]
mod resumable;
#[cfg(test)]
mod retry_tests;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod uploads;
#[cfg(test)]
mod xml;
