//! The second opinion: real Baileys lives against the mock's WhatsApp.
//!
//! The mock and nanokimi stand on the same crates, so what those get wrong they get wrong on both
//! sides. Baileys shares no line with them. What it says is asserted here, and what the mock's
//! phones made of what it sent; not what the mock does to other clients. (The modules are marked
//! as tests so that clippy lets them unwrap.)
#![cfg(feature = "whatsapp")]

#[cfg(test)]
mod client;
#[cfg(test)]
mod ending;
#[cfg(test)]
mod event;
#[cfg(test)]
mod forms;
#[cfg(test)]
mod groups;
#[cfg(test)]
mod installing;
#[cfg(test)]
mod linking;
#[cfg(test)]
mod media;
#[cfg(test)]
mod reconnecting;
#[cfg(test)]
mod sharing;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod talking;
