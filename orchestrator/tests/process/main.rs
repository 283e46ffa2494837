//! The real binary, from outside: what no scenario can say, because its harness speaks HTTP
//! and opens databases as a good client does.

#![cfg(test)]

mod agents;
mod api;
mod channels;
mod containers;
mod doctor;
mod ends;
mod engine;
mod gate;
mod login;
mod remains;
mod service;
mod stage;
mod start;
mod upgrade;
mod waiting;
mod workspaces;
