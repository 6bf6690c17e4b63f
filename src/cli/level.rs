//! `seawall level`: an operator's word on the level of a running edge.

use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use hyper::Method;

use super::ask::{Signed, warn_if_forgotten};
use super::fail;
use super::status::{list, override_line, text};
use crate::admin::{Action, SetLevel};
use crate::policy::Level;

/// Pins, floors or releases the level. It outlives reload and restart until it expires or is
/// released.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Hold exactly this level, better or worse than what the origin's state asks for
    Pin(Set),
    /// Never better than this level; worse if the origin's state asks for it
    Floor(Set),
    /// Take back pins and floors
    Release(Release),
}

#[derive(Debug, clap::Args)]
struct Set {
    #[arg(value_parser = level)]
    level: Level,
    /// For how long ("30m", "2h"); until released if left out
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    lasting: Option<Duration>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct Release {
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct Common {
    /// The origin; all of them if left out
    #[arg(long)]
    origin: Option<String>,
    #[command(flatten)]
    signed: Signed,
}

fn level(name: &str) -> Result<Level, String> {
    let found = Level::ALL.into_iter().find(|l| l.name() == name);
    found.ok_or_else(|| format!("there are: {}", Level::ALL.map(Level::name).join(", ")))
}

/// Runs `seawall level`.
pub fn run(args: &Args) -> ExitCode {
    let (action, level, lasting, common) = match &args.verb {
        Verb::Pin(set) => (Action::Pin, Some(set.level), set.lasting, &set.common),
        Verb::Floor(set) => (Action::Floor, Some(set.level), set.lasting, &set.common),
        Verb::Release(release) => (Action::Release, None, None, &release.common),
    };
    let set = SetLevel {
        action,
        level,
        origin: common.origin.clone(),
        for_seconds: lasting.map(|d| d.as_secs().max(1)),
        who: common.signed.who.clone(),
        why: common.signed.why.clone(),
    };
    let answer = serde_json::to_value(&set)
        .map_err(anyhow::Error::from)
        .and_then(|body| common.signed.target.ask(Method::POST, "/api/v1/level", Some(body)));
    match answer {
        Ok(answer) if common.signed.json => println!("{answer:#}"),
        Ok(answer) => {
            for origin in list(&answer, "origins") {
                println!("{}: {}", text(origin, "name"), text(origin, "level"));
                list(origin, "overrides").for_each(|set| println!("  {}", override_line(set)));
            }
            warn_if_forgotten(&answer);
        }
        Err(error) => return fail(format_args!("{error:#}")),
    }
    ExitCode::SUCCESS
}
