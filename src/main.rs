//! The program: parses arguments, calls the command, returns its exit code.

fn main() {}
