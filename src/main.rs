//! The one binary.

fn main() -> std::process::ExitCode {
    standfast::cli::run()
}
