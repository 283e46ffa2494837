//! Recording a service and holding the recording against the mock, over real sockets.
//!
//! The service is a scripted mock, or a few bytes on a socket where it must misbehave. (The
//! modules are marked as tests so that clippy lets them unwrap.)

#[cfg(test)]
mod behind_words;
#[cfg(test)]
mod canned;
#[cfg(test)]
mod dialects;
#[cfg(test)]
mod drift;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod going_on;
#[cfg(test)]
mod passing;
#[cfg(test)]
mod program;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod stage;
