//! `seawall pass`: a signed link that makes a browser one of a group of clients.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};

use super::{fail, with_parameter};
use crate::clients::PARAMETER;
use crate::clients::pass::{Pass, Tag};
use crate::clock::Clock;
use crate::policy::{Policy, file};
use crate::store;

/// Browsers keep no cookie longer (RFC 6265bis §5.5).
const LASTING_MAX: Duration = Duration::from_secs(400 * 86_400);

/// Prints a link that makes whoever opens it one of a group, until it expires. Whoever has the link
/// has the pass: send it as you would a password.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The group: [clients.NAME] in the policy, with `passes`
    clients: String,
    /// The policy file
    #[arg(default_value = "seawall.toml")]
    policy: PathBuf,
    /// For how long ("12h", "3d"); at most 400 days
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    lasting: Duration,
    /// The page that the link leads to
    #[arg(long, default_value = "/", value_name = "URL")]
    url: String,
}

/// Runs `seawall pass`.
pub fn run(args: &Args) -> ExitCode {
    let policy = match file::load(&args.policy) {
        Ok((policy, _)) => policy,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    match link(args, &policy) {
        Ok(link) => {
            println!("{link}");
            ExitCode::SUCCESS
        }
        Err(error) => fail(format_args!("{error:#}")),
    }
}

fn link(args: &Args, policy: &Policy) -> anyhow::Result<String> {
    let name = &args.clients;
    let Some(group) = policy.clients.iter().find(|group| group.name == *name) else {
        let known: Vec<_> = policy.clients.iter().map(|group| group.name.as_str()).collect();
        let known = if known.is_empty() { "none; add one, with passes".to_owned() } else { known.join(", ") };
        bail!("there is no [clients.{name}] in {}; there is: {known}", args.policy.display());
    };
    let Some(path) = &group.passes else {
        bail!("[clients.{name}] has no passes; add to it: passes = \"{name}.keys\", and reload the edge");
    };
    if args.lasting.as_secs() == 0 || args.lasting > LASTING_MAX {
        bail!("--for {:?}: expected from 1s to 400d", args.lasting);
    }
    let keys = store::load_or_create(path)?;
    let id = store::random_seed().context("a pass needs an id")?;
    let expires_unix_s = Clock::start().now().unix_ms / 1000 + args.lasting.as_secs();
    Ok(with_parameter(&args.url, PARAMETER, &Pass { expires_unix_s, id }.encode(&keys, Tag::of(name))))
}
