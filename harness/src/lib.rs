//! Plays scenarios.
