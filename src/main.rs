//! The program: parses arguments, calls the command, returns its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(locum::cli::run(std::env::args_os()))
}
