//! The `seawall` program. All of it is in the library; see `seawall --help`.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    seawall::cli::run()
}
