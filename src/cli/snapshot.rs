//! `seawall snapshot`: take the static copy of the site, look at it, put it right.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use super::{ask, fail};
use crate::clock::Clock;
use crate::policy::{self, Policy, Server, file};
use crate::snapshot::crawl::{Asker, Crawl, Order, Told, published};
use crate::snapshot::disk::{Disk, Lock};
use crate::snapshot::gate::Gate;
use crate::snapshot::manifest::Manifest;

mod progress;
mod report;

use progress::Progress;

/// Take the static copy of the site that stands in for it; say what it covers
///
/// Without a command, takes one: from the seeds of the policy on (`snapshot.seeds`), by sitemaps and links, without
/// cookies, no faster than its rate, as robots.txt and the pages allow, and only while a running edge is at the
/// level normal and no waiting room has people waiting.
///
/// One that was broken off goes on where it was, if it is run again within a day. Text is kept in codings too, and
/// pictures as WebP and AVIF and in narrower widths. The new one is shown once it is whole, by a running edge
/// within seconds; the one before is kept.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, after_help = EXIT_CODES, after_long_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    take: Take,
}

const EXIT_CODES: &str = "Exit codes: 0 taken, or the report has pages; 1 nothing was taken; 2 wrong usage.";
const EXAMPLES: &str = "Examples:
  seawall snapshot                        take one, by seawall.toml
  seawall snapshot shop.toml --through http://10.0.0.7:8080
                                          ask this server, whatever the policy's origins are
  seawall snapshot report                 what it covers, and what it does not, by reason
  seawall snapshot refresh /sale /        take two pages anew
  seawall snapshot import public/         show what a site generator made
  seawall snapshot rollback               show the one before again

Exit codes: 0 taken, or the report has pages; 1 nothing was taken; 2 wrong usage.";

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Take a few URLs anew, into the snapshot that is shown
    Refresh(Refresh),
    /// Make a snapshot of a directory: what `wget --mirror` or a site generator made
    Import(Import),
    /// Show the snapshot before the current one again
    Rollback(Which),
    /// Say what the snapshot covers, and what it does not, by reason
    Report(Which),
}

/// Of which policy.
#[derive(Debug, clap::Args)]
struct Which {
    /// The policy file
    #[arg(default_value = "seawall.toml", value_name = "POLICY")]
    policy: PathBuf,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Take {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    how: How,
}

/// How the origin is asked.
#[derive(Debug, clap::Args)]
struct How {
    /// Ask this address rather than the policy's origins: http://HOST:PORT or https://HOST:PORT
    #[arg(long, value_name = "URL", value_parser = server)]
    through: Option<Server>,
    /// How long one answer may take, to its last byte
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    patience: Duration,
    /// Take it whatever the level of a running edge is
    #[arg(long)]
    regardless: bool,
    /// The file with a token that may read that edge's status, where it asks for one; or the token itself in
    /// SEAWALL_TOKEN
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Refresh {
    /// The pages: URLs, or paths of the site
    #[arg(required = true, value_name = "URL")]
    urls: Vec<String>,
    /// The policy file
    #[arg(long, default_value = "seawall.toml", value_name = "FILE")]
    policy: PathBuf,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
struct Import {
    /// The directory; if it has nothing but directories named like hosts, as `wget --mirror` makes them, each is
    /// that host's
    dir: PathBuf,
    /// The policy file
    #[arg(long, default_value = "seawall.toml", value_name = "FILE")]
    policy: PathBuf,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `seawall snapshot`.
pub fn run(args: Args) -> ExitCode {
    let outcome = match args.verb {
        None => take(&args.take),
        Some(Verb::Refresh(refresh)) => refresh.run(),
        Some(Verb::Import(import)) => import.run(),
        Some(Verb::Rollback(which)) => roll_back(&which),
        Some(Verb::Report(which)) => show_report(&which),
    };
    outcome.unwrap_or_else(|error| fail(format_args!("{error:#}")))
}

fn rules(path: &Path) -> anyhow::Result<(Policy, policy::Snapshot)> {
    let (policy, _) = file::load(path).map_err(|error| anyhow::anyhow!("{error}"))?;
    match policy.snapshot.clone() {
        Some(rules) => Ok((policy, rules)),
        None => anyhow::bail!("{} has no [snapshot]; add:\n[snapshot]\ndir = \"snapshot\"", path.display()),
    }
}

fn server(text: &str) -> Result<Server, String> {
    let url =
        url::Url::parse(text).map_err(|error| format!("expected http://HOST:PORT or https://HOST:PORT: {error}"))?;
    let tls = match url.scheme() {
        "http" => false,
        "https" => true,
        other => return Err(format!("expected http://HOST:PORT or https://HOST:PORT, not {other}:")),
    };
    let host = url.host_str().ok_or("it names no host")?.trim_matches(['[', ']']).to_owned();
    let port = url.port_or_known_default().ok_or("it names no port")?;
    Ok(Server { tls, host, port })
}

/// A crawl by a policy, with a gate that listens to the edge of that policy.
async fn asker(
    policy: Policy,
    rules: &policy::Snapshot,
    how: &How,
    clock: Clock,
    shown: &Progress,
) -> anyhow::Result<Asker> {
    let gate = if how.regardless {
        Gate::Open
    } else {
        let busy = ask::watch_busy(policy.admin.listen, how.token_file.as_deref()).await?;
        tokio::spawn(shown.watch(busy.clone()));
        Gate::Told(busy)
    };
    Ok(Asker::new(policy, how.through.clone(), rules.rate, how.patience, gate, clock).await)
}

fn order<'a>(policy: &Policy, rules: &'a policy::Snapshot, how: &How) -> Order<'a> {
    let popular = crate::snapshot::popular::read(&policy.state_dir);
    Order { rules, popular, through: how.through.as_ref().map(ToString::to_string) }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

fn take(args: &Take) -> anyhow::Result<ExitCode> {
    let (policy, rules) = rules(&args.which.policy)?;
    let (lock, clock) = (Disk::new(&rules.dir).lock()?, Clock::start());
    let shown = Progress::new(args.which.json);
    let tell = |told: &Told<'_>| shown.tell(told);
    let taken: anyhow::Result<Manifest> = runtime()?.block_on(async {
        let order = order(&policy, &rules, &args.how);
        let asker = asker(policy, &rules, &args.how, clock, &shown).await?;
        let crawl = Crawl::begin(order, asker, clock, &tell)?;
        if crawl.resumed() > 0 {
            shown.say(&format!("going on with one that was broken off, after {} URLs", crawl.resumed()));
        }
        Ok(crawl.take(&lock).await?)
    });
    shown.end();
    print(&taken?, args.which.json);
    Ok(ExitCode::SUCCESS)
}

impl Refresh {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let (policy, rules) = rules(&self.policy)?;
        let (lock, clock): (Lock, _) = (Disk::new(&rules.dir).lock()?, Clock::start());
        let shown = Progress::new(self.json);
        let tell = |told: &Told<'_>| shown.tell(told);
        let refreshed = runtime()?.block_on(async {
            let order = Order { popular: Vec::new(), ..order(&policy, &rules, &self.how) };
            let asker = asker(policy, &rules, &self.how, clock, &shown).await?;
            let crawl = Crawl::begin(order, asker, clock, &tell)?;
            let mut wanted = Vec::new();
            for url in &self.urls {
                let address = crawl.address(url);
                wanted.push(address.ok_or_else(|| {
                    anyhow::anyhow!(
                        "{url} is no page of this site: a path, or a URL of a host that `snapshot.seeds` names"
                    )
                })?);
            }
            Ok::<_, anyhow::Error>(crawl.refresh(wanted, &lock).await?)
        });
        shown.end();
        let (manifest, left_out) = refreshed?;
        let taken = self.urls.len() - left_out.len();
        if self.json {
            println!("{:#}", json!({ "id": manifest.id, "refreshed": taken, "left_out": left_out }));
        } else {
            println!("{taken} of {} refreshed; the snapshot has {} URLs", self.urls.len(), manifest.pages.len());
            left_out.iter().for_each(|left| println!("  {}: {}", left.url, left.why.sentence()));
        }
        Ok(if taken == 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

impl Import {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let (_, rules) = rules(&self.policy)?;
        let disk = Disk::new(&rules.dir);
        let (lock, clock) = (disk.lock()?, Clock::start());
        let manifest = crate::snapshot::import::import(&self.dir, &disk, clock.now().unix_ms)?;
        if manifest.pages.is_empty() {
            anyhow::bail!("{} has no files that could be shown", self.dir.display());
        }
        let (mut gate, shown) = (Gate::Open, Progress::new(self.json));
        let tell = |told: &Told<'_>| shown.tell(told);
        let published = runtime()?.block_on(published(&disk, manifest, &lock, &mut gate, clock, &tell));
        shown.end();
        let manifest = published?;
        print(&manifest, self.json);
        Ok(ExitCode::SUCCESS)
    }
}

fn roll_back(which: &Which) -> anyhow::Result<ExitCode> {
    let disk = Disk::new(&rules(&which.policy)?.1.dir);
    let lock = disk.lock()?;
    print(&disk.roll_back(&lock)?, which.json);
    Ok(ExitCode::SUCCESS)
}

fn show_report(which: &Which) -> anyhow::Result<ExitCode> {
    let disk = Disk::new(&rules(&which.policy)?.1.dir);
    let manifest = disk.shown()?;
    if which.json {
        println!("{:#}", report::json(&manifest));
    } else {
        print!("{}", report::text(&manifest, Clock::start().now().unix_ms));
    }
    Ok(if manifest.pages.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print(manifest: &Manifest, json: bool) {
    if json {
        println!("{:#}", report::summary(manifest));
    } else {
        print!("{}", report::lines(manifest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_to_ask_through_is_a_url() {
        let through = server("http://127.0.0.1:8080").unwrap();
        assert_eq!((through.tls, through.host.as_str(), through.port), (false, "127.0.0.1", 8080));
        let through = server("https://[::1]").unwrap();
        assert_eq!((through.tls, through.host.as_str(), through.port), (true, "::1", 443));
        assert!(server("127.0.0.1:8080").is_err() && server("ftp://x").is_err());
    }
}
