//! Reads the arguments, runs one command, turns the error into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    hostel::cli::run()
}
