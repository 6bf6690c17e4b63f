//! The command line: one file a verb.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod ask;
pub mod check;
pub mod demo;
pub mod explain;
pub mod keys;
pub mod level;
pub mod pass;
pub mod purge;
pub mod room;
pub mod run;
pub mod simulate;
pub mod snapshot;
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
    /// Show and change the waiting rooms of a running edge
    Room(room::Args),
    /// Take what a running edge holds out of use: by URL, prefix, host or tag, or everything
    Purge(purge::Args),
    // Says itself what it does: a line here would take the place of its longer help.
    Snapshot(snapshot::Args),
    /// Print a signed link that makes a browser one of a group of clients
    Pass(pass::Args),
    /// Print the key by which an origin knows what came through here
    Keys(keys::Args),
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
        Verb::Room(args) => room::run(&args),
        Verb::Purge(args) => purge::run(&args),
        Verb::Snapshot(args) => snapshot::run(args),
        Verb::Pass(args) => pass::run(&args),
        Verb::Keys(args) => keys::run(&args),
    }
}

/// Says what went wrong, in one line, on standard error.
fn fail(what: impl std::fmt::Display) -> ExitCode {
    eprintln!("seawall: {what}");
    ExitCode::FAILURE
}

/// The URL with one more parameter, its last, before the fragment.
fn with_parameter(url: &str, name: &str, value: &str) -> String {
    let (page, fragment) = match url.split_once('#') {
        Some((page, fragment)) => (page, format!("#{fragment}")),
        None => (url, String::new()),
    };
    let (_, after_scheme) = page.split_once("://").unwrap_or(("", page));
    let slash = if after_scheme.contains(['/', '?']) { "" } else { "/" };
    let joint = if page.contains('?') { '&' } else { '?' };
    format!("{page}{slash}{joint}{name}={value}{fragment}")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn what_a_link_carries_is_the_last_parameter_of_its_url() {
        let with_pass = |url| with_parameter(url, "seawall_pass", "x");
        assert_eq!(with_pass("/"), "/?seawall_pass=x");
        assert_eq!(with_pass("https://shop.example"), "https://shop.example/?seawall_pass=x");
        assert_eq!(with_pass("https://shop.example/a?b=1#c"), "https://shop.example/a?b=1&seawall_pass=x#c");
    }

    #[test]
    fn the_help_of_a_snapshot_tells_how_it_is_taken_and_the_list_of_verbs_in_one_line() {
        let mut cli = Cli::command();
        cli.build();
        assert!(cli.render_help().to_string().contains("Take the static copy of the site that stands in for it"));
        let snapshot = cli.find_subcommand_mut("snapshot").unwrap();
        let (short, long) = (snapshot.render_help().to_string(), snapshot.render_long_help().to_string());
        for told in ["goes on where it was", "seawall snapshot refresh /sale"] {
            assert!(long.contains(told) && !short.contains(told), "{long}");
        }
        assert!(short.contains("Exit codes") && long.contains("Exit codes"));
    }

    #[test]
    fn no_verb_has_arguments_that_clash() {
        Cli::command().debug_assert();
    }
}
