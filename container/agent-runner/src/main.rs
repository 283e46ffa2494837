//! One agent turn: input on stdin, events on stdout.

fn main() {}
