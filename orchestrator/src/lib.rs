//! Chat in, one agent run per group, reply out.
