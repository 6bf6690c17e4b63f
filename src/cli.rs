//! The command line: one file a verb.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod ask;
pub mod check;
pub mod demo;
pub mod explain;
pub mod level;
pub mod pass;
pub mod run;
pub mod simulate;
pub mod status;

/// Keeps an origin standing when everyone comes at once.
#[derive(Debug, Parser)]
#[command(name = "seawall", version, about, long_about = None, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 well, 1 the thing asked about is bad, 2 wrong usage.")]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve by a policy
    Run(run::Args),
    /// Say what is wrong with a policy, without serving
    Check(check::Args),
    /// Say what would become of a request: its route, and each stage at each level
    Explain(explain::Args),
    /// Show a flash crowd with and without Seawall, on a shop of its own
    Demo(demo::Args),
    /// Show what a policy would do on the day, with a crowd and an origin in virtual time
    Simulate(simulate::Args),
    /// Show what a running edge does
    Status(status::Args),
    /// Pin, floor or release the level of a running edge
    Level(level::Args),
    /// Print a signed link that makes a browser one of a group of clients
    Pass(pass::Args),
}

/// Runs the command line.
pub fn run() -> ExitCode {
    match Cli::parse().verb {
        Verb::Run(args) => run::run(&args),
        Verb::Check(args) => check::run(args),
        Verb::Explain(args) => explain::run(&args),
        Verb::Demo(args) => run::demo(args),
        Verb::Simulate(args) => simulate::run(&args),
        Verb::Status(args) => status::run(&args),
        Verb::Level(args) => level::run(&args),
        Verb::Pass(args) => pass::run(&args),
    }
}

/// Says what went wrong, in one line, on standard error.
fn fail(what: impl std::fmt::Display) -> ExitCode {
    eprintln!("seawall: {what}");
    ExitCode::FAILURE
}
