//! `tenun-server`: the server and the operator's commands, all on one data directory.

mod commands;

fn main() -> std::process::ExitCode {
    commands::run()
}
