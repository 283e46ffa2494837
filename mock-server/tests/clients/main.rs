//! Guests from outside: the official clients of the model's dialects and of the storage, played
//! against the mock.
//!
//! None of them shares a line with us. Each asserts on what it has parsed; what the model was
//! sent is asserted on the journal here, and is the same whoever the guest is. (The modules are
//! marked as tests so that clippy lets them unwrap.)

#[cfg(test)]
mod cases;
#[cfg(test)]
mod guest;
#[cfg(test)]
mod installing;
#[cfg(test)]
mod kimi_cli;
#[cfg(test)]
mod official;
#[cfg(test)]
mod openai_rust;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod storage;
