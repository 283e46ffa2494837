//! The real binary, from outside: what no scenario can say, because its harness speaks HTTP
//! and opens databases as a good client does.

#![cfg(test)]

mod agents;
mod api;
mod broken;
mod channels;
mod containers;
mod doctor;
mod ends;
mod engine;
mod gate;
mod images;
mod launchd;
mod login;
mod logs;
mod mounts;
mod operators;
mod remains;
mod scripted_engine;
mod service;
mod stage;
mod start;
mod upgrade;
mod waiting;
mod workspaces;
