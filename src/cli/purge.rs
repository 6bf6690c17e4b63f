//! `seawall purge`: takes what a running edge holds out of use.

use std::process::ExitCode;

use hyper::Method;

use super::ask::Signed;
use super::fail;
use super::room::confirm::confirm;
use super::status::{list, text};
use crate::admin::SetPurge;

/// Purges what a running edge holds, at once and for good; a page of the snapshot until a newer one is taken, and not
/// by --soft. --url, --prefix, --host and --tag may be given more than once.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true).args(["url", "prefix", "host", "tag", "everything"])))]
pub struct Args {
    /// One URL, in all its variants: shop.example/shoes?page=2
    #[arg(long, value_name = "URL")]
    url: Vec<String>,
    /// A path and all below it, whole segments: shop.example/blog
    #[arg(long, value_name = "URL")]
    prefix: Vec<String>,
    /// All of a host
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,
    /// What the origin marked with it (Surrogate-Key, Cache-Tag, Cache-Groups)
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// All that is held; asks first
    #[arg(long)]
    everything: bool,
    /// Stale from now on rather than gone: it still answers while a new copy is fetched, or where the
    /// origin fails, as the policy allows
    #[arg(long)]
    soft: bool,
    /// Do it without asking
    #[arg(long)]
    yes: bool,
    /// Only say what would be purged
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    #[command(flatten)]
    signed: Signed,
}

/// Runs `seawall purge`.
pub fn run(args: &Args) -> ExitCode {
    match purge(args) {
        Ok(code) => code,
        Err(error) => fail(format_args!("{error:#}")),
    }
}

fn purge(args: &Args) -> anyhow::Result<ExitCode> {
    let asks = args.everything && !args.soft && !args.dry_run;
    if asks && !confirm("Purge everything? Each page is asked of the origin anew.", args.yes)? {
        eprintln!("nothing was purged");
        return Ok(ExitCode::FAILURE);
    }
    let set = SetPurge {
        url: args.url.clone(),
        prefix: args.prefix.clone(),
        host: args.host.clone(),
        tag: args.tag.clone(),
        everything: args.everything,
        soft: args.soft,
        who: args.signed.who.clone(),
        why: args.signed.why.clone(),
        dry_run: args.dry_run,
    };
    let answer = args.signed.target.ask(Method::POST, "/api/v1/purge", Some(serde_json::to_value(&set)?))?;
    if args.signed.json {
        println!("{answer:#}");
    } else {
        let done = match (args.dry_run, args.soft) {
            (true, _) => "would be purged",
            (false, true) => "stale from now on",
            (false, false) => "purged",
        };
        for target in list(&answer, "purged") {
            match (text(target, "kind"), text(target, "target")) {
                (kind, target) if kind == target => println!("{done}: {target}"),
                (kind, target) => println!("{done}: {kind} {target}"),
            }
        }
    }
    if text(&answer, "kept_over_restart") == "false" {
        eprintln!("seawall: in force, but it could not be written down: after a restart the snapshot may show it");
    }
    Ok(ExitCode::SUCCESS)
}
