//! The first opinion: the real whatsapp-rust, built as for production, lives against the mock's
//! WhatsApp.
//!
//! It is linked already, so it comes by the short handshake, in which no certificate is
//! verified; how it is linked is nanokimi's to show. What it says is asserted here, and what the
//! mock's phones made of what it sent. (The modules are marked as tests so that clippy lets
//! them unwrap.)
#![cfg(feature = "whatsapp")]

#[cfg(test)]
mod backlog;
#[cfg(test)]
mod client;
#[cfg(test)]
mod connection;
#[cfg(test)]
mod device;
#[cfg(test)]
mod groups;
#[cfg(test)]
mod https;
#[cfg(test)]
mod media;
#[cfg(test)]
mod retries;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod talking;
