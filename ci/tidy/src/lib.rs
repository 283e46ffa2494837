//! Reads the repository for the rules in `tests/`.
