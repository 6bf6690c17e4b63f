//! `seawall keys`: what an origin needs to know that a request came through here.

use std::path::PathBuf;
use std::process::ExitCode;

use data_encoding::HEXLOWER;

use super::fail;
use crate::policy::file;
use crate::store;

/// Prints the key of the Seawall-Proof field, as 64 hexadecimal digits: give it to the origin, which
/// then refuses what did not come through Seawall. Whoever has it can pose as Seawall.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The policy file
    #[arg(default_value = "seawall.toml")]
    policy: PathBuf,
}

/// Runs `seawall keys`.
pub fn run(args: &Args) -> ExitCode {
    let policy = match file::load(&args.policy) {
        Ok((policy, _)) => policy,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    match store::load_or_create(&policy.keys_file) {
        Ok(keys) => {
            println!("{}", HEXLOWER.encode(keys.proof()));
            ExitCode::SUCCESS
        }
        Err(error) => fail(error),
    }
}
