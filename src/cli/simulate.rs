//! `seawall simulate`: what a policy would do on the day.

use std::io::{IsTerminal, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::fail;
use crate::clock::{Clock, Mono};
use crate::policy::{Limit, Policy, file};
use crate::simulation::crowd::{Arrivals, Patience};
use crate::simulation::day::{self, Crowd, Plan};
use crate::simulation::journey::{Journey, Step};
use crate::simulation::origin::{Change, Shape};
use crate::simulation::{contest, verdict};
use crate::snapshot::Snapshot;

mod page;
mod table;

/// Lets a crowd meet a policy in virtual time, and says what becomes of both.
#[derive(Debug, clap::Args)]
#[command(after_help = "The real core decides: routes, levels, limits, rooms, caches, admission. The network, the \
crowd and the origin are models. One seed, one day: the same command prints the same table.")]
pub struct Args {
    /// The policy file
    #[arg(default_value = "seawall.toml")]
    policy: PathBuf,
    /// How many come
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=50_000_000), value_name = "N")]
    visitors: u32,
    /// Within which time; of a room that opens: those who come after the opening
    #[arg(long, default_value = "10m", value_parser = time, value_name = "TIME")]
    over: Duration,
    /// How they arrive
    #[arg(long, value_enum, default_value_t = Arrivals::Flash)]
    shape: Arrivals,
    /// When the day begins, such as 2026-11-27T09:00:00+01:00; by default with the first gathering for an opening
    #[arg(long, value_parser = moment, value_name = "MOMENT")]
    from: Option<u64>,
    /// The share that comes before the opening of its line
    #[arg(long, default_value = "60%", value_parser = percent, value_name = "SHARE")]
    gathered: f64,
    /// Of the visitors, so many have invitations for a lane: fans=20000
    #[arg(long, value_parser = invited, value_delimiter = ',', value_name = "LANE=N,…")]
    invited: Vec<(String, u32)>,
    /// Pages of a visit: "[METHOD] /PATH [SHARE%]", * is an item's number; by default what the routes suggest
    #[arg(long, value_delimiter = ',', value_name = "STEP,…")]
    journey: Vec<Step>,
    /// Between two pages, on average
    #[arg(long, default_value = "8s", value_parser = time, value_name = "TIME")]
    think: Duration,
    /// How long half of them stay in a queue
    #[arg(long, default_value = "20m", value_parser = time, value_name = "TIME")]
    patience: Duration,
    /// How much longer than they arrive is looked at
    #[arg(long, default_value = "2h", value_parser = time, value_name = "TIME")]
    after: Duration,
    /// Requests a second of the greedy client (shape greedy); by default twice the origin's capacity
    #[arg(long, value_name = "RATE")]
    greedy: Option<f64>,
    #[command(flatten)]
    origin: OriginArgs,
    /// Chance
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Write a page with plots, readable without a network
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Compare what finds an origin's limit, on scenarios of their own
    #[arg(long, hide = true)]
    limiters: bool,
}

/// The model of an origin.
#[derive(Debug, clap::Args)]
struct OriginArgs {
    /// Requests it works on at once; by default the policy's fixed limit, or 16
    #[arg(long = "origin-workers", value_parser = clap::value_parser!(u32).range(1..=100_000), value_name = "N")]
    workers: Option<u32>,
    /// How long each takes
    #[arg(long = "origin-service", default_value = "80ms", value_parser = time, value_name = "TIME")]
    service: Duration,
    /// How much slower it gets for each further N in flight: 0 is not at all
    #[arg(long, default_value_t = 0.5, value_parser = amount, value_name = "FACTOR")]
    collapse: f64,
    /// How unlike the times are: the deviation of their logarithm
    #[arg(long, default_value_t = 0.3, value_parser = amount, value_name = "SIGMA")]
    sigma: f64,
    /// It is dead from this moment on …
    #[arg(long, value_parser = time, value_name = "TIME", requires = "dead_for")]
    dead_from: Option<Duration>,
    /// … for so long
    #[arg(long, value_parser = time, value_name = "TIME", requires = "dead_from")]
    dead_for: Option<Duration>,
    /// It has half its workers from this moment on …
    #[arg(long, value_parser = time, value_name = "TIME", requires = "halved_for")]
    halved_from: Option<Duration>,
    /// … for so long
    #[arg(long, value_parser = time, value_name = "TIME", requires = "halved_from")]
    halved_for: Option<Duration>,
    /// Nothing moves for so long …
    #[arg(long, value_parser = time, value_name = "TIME", requires = "pause_every")]
    pause_for: Option<Duration>,
    /// … each time that this has passed
    #[arg(long, value_parser = time, value_name = "TIME", requires = "pause_for")]
    pause_every: Option<Duration>,
    /// The first request takes so many times as long, the thousandth as long as any
    #[arg(long, value_parser = amount, value_name = "FACTOR")]
    cold: Option<f64>,
    /// Requests of this route wait so long for something else: checkout=5s
    #[arg(long, value_parser = slow, value_name = "ROUTE=TIME")]
    slow: Vec<(String, Duration)>,
}

fn time(text: &str) -> Result<Duration, String> {
    let bad = |why: String| format!("{why}; write a time as \"250ms\", \"10s\", \"5m\" or \"1h\"");
    let time = humantime::parse_duration(text).map_err(|e| bad(e.to_string()))?;
    // Beyond it, milliseconds of the day don't fit where a visitor keeps them.
    let most = Duration::from_secs(7 * 86_400);
    if time.is_zero() || time > most { Err(bad("more than nothing, at most a week".to_owned())) } else { Ok(time) }
}

fn amount(text: &str) -> Result<f64, String> {
    let amount = text.parse().ok().filter(|n: &f64| (0.0..=100.0).contains(n));
    amount.ok_or_else(|| "write a number from 0 to 100, such as 0.5".to_owned())
}

fn moment(text: &str) -> Result<u64, String> {
    file::moment(text).ok_or_else(|| "write a moment with its offset, such as 2026-11-27T09:00:00+01:00".to_owned())
}

fn percent(text: &str) -> Result<f64, String> {
    let share = text.strip_suffix('%').and_then(|n| n.parse().ok()).filter(|n: &f64| (0.0..=100.0).contains(n));
    share.map(|n| n / 100.0).ok_or_else(|| "write a share such as 60%".to_owned())
}

fn invited(text: &str) -> Result<(String, u32), String> {
    let (lane, visitors) = text.split_once('=').ok_or("write it as LANE=N, such as fans=20000")?;
    let visitors = visitors.parse().map_err(|_| format!("`{visitors}` is no number of visitors"))?;
    Ok((lane.to_owned(), visitors))
}

fn slow(text: &str) -> Result<(String, Duration), String> {
    let (route, wait) = text.split_once('=').ok_or("write it as ROUTE=TIME, such as checkout=5s")?;
    Ok((route.to_owned(), time(wait)?))
}

/// Runs `seawall simulate`.
pub fn run(args: &Args) -> ExitCode {
    if args.limiters {
        return say(&contest::table(args.seed));
    }
    let policy = match file::load(&args.policy) {
        Ok((policy, _)) => policy,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let origin = match shape(&args.origin, &policy) {
        Ok(origin) => origin,
        Err(why) => {
            eprintln!("seawall: {why}");
            return ExitCode::from(2);
        }
    };
    let plan = match plan(args, policy, origin) {
        Ok(plan) => plan,
        Err(why) => {
            eprintln!("seawall: --invited: {why}");
            return ExitCode::from(2);
        }
    };
    let opening = table::opening(args, &plan);
    let mut progress = Progress::begin();
    let report = day::run(plan, |passed, come| progress.tell(passed, come));
    drop(progress);
    if let Some(path) = &args.html
        && let Err(error) = std::fs::write(path, page::page(&opening, &report))
    {
        return fail(format_args!("{} can't be written: {error}", path.display()));
    }
    if args.json {
        return say(&format!("{:#}\n", table::json(&report)));
    }
    let verdicts = verdict::verdicts(&report);
    let verdicts: String = verdicts.iter().map(|says| format!("- {says}\n")).collect();
    say(&format!("{opening}\n\n{}\n{verdicts}", table::table(&report)))
}

/// On standard output. Who reads it may have gone: that is no failure.
fn say(text: &str) -> ExitCode {
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn plan(args: &Args, policy: Policy, origin: Shape) -> Result<Plan, day::CrowdError> {
    let mut journey = Journey::of(&policy);
    if !args.journey.is_empty() {
        journey.steps.clone_from(&args.journey);
    }
    let snapshot = policy.snapshot.as_ref().and_then(|rules| Snapshot::load(&rules.dir).ok());
    let crowd = Crowd {
        visitors: args.visitors,
        arrivals: args.shape,
        over: args.over,
        gathered: args.gathered,
        invited: args.invited.clone(),
        from_unix_ms: args.from,
    };
    let (begins_unix_ms, waves) = crowd.waves(&policy, day::BEGINS_UNIX_MS)?;
    Ok(Plan {
        greedy: args.greedy.unwrap_or(2.0 * origin.capacity(Duration::ZERO)).clamp(0.0, 1e6),
        policy,
        snapshot,
        origin,
        begins_unix_ms,
        waves,
        arrivals: args.shape,
        after: args.after,
        patience: Patience { median: args.patience },
        think: args.think,
        journey,
        seed: args.seed,
    })
}

fn shape(args: &OriginArgs, policy: &Policy) -> Result<Shape, String> {
    let limit = policy.origins.first().map(|origin| &origin.concurrency.limit);
    let workers = match (args.workers, limit) {
        (Some(workers), _) => workers as usize,
        (None, Some(Limit::Fixed(limit))) => limit.get(),
        _ => 16,
    };
    let mut shape = Shape::fixed(workers, args.service).collapsing(args.collapse).lognormal(args.sigma);
    if let Some((from, lasts)) = args.dead_from.zip(args.dead_for) {
        shape = shape.then(from, Change::Dies).then(from + lasts, Change::Returns);
    }
    if let Some((from, lasts)) = args.halved_from.zip(args.halved_for) {
        shape = shape.then(from, Change::Workers((workers / 2).max(1))).then(from + lasts, Change::Workers(workers));
    }
    if let Some((lasts, every)) = args.pause_for.zip(args.pause_every) {
        shape = shape.pausing(every, lasts);
    }
    if let Some(factor) = args.cold {
        shape = shape.cold(factor, 1000);
    }
    for (name, wait) in &args.slow {
        let Some(route) = policy.routes.iter().position(|route| route.name == *name) else {
            let names: Vec<_> = policy.routes.iter().map(|route| route.name.as_str()).collect();
            return Err(format!("--slow: there is no route `{name}`; the policy has {}", names.join(", ")));
        };
        shape = shape.slow(route, *wait);
    }
    Ok(shape)
}

/// A line on standard error that says how far it is, where a person looks and wonders.
struct Progress {
    clock: Clock,
    last: Mono,
    shown: bool,
}

impl Progress {
    fn begin() -> Self {
        let clock = Clock::start();
        Self { clock, last: clock.mono(), shown: false }
    }

    fn tell(&mut self, passed: Duration, come: u32) {
        let now = self.clock.mono();
        if now.since(self.last) >= Duration::from_millis(500) && std::io::stderr().is_terminal() {
            (self.last, self.shown) = (now, true);
            let (passed, come) = (verdict::duration(passed), verdict::count(come.into()));
            eprint!("\r\x1b[K{passed} of the day, {come} have come");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_none_say_what_to_write() {
        assert!(time("5").unwrap_err().contains("\"250ms\""));
        assert!(time("0s").unwrap_err().contains("more than nothing"));
        assert!(amount("-1").unwrap_err().contains("0.5"));
        assert!(slow("checkout").unwrap_err().contains("checkout=5s"));
        assert!(moment("2026-11-27T09:00:00").unwrap_err().contains("offset"));
        assert!(percent("0.6").unwrap_err().contains("60%"));
        assert!(invited("fans").unwrap_err().contains("fans=20000"));
        assert_eq!((percent("60%").unwrap(), invited("fans=7").unwrap().1), (0.6, 7));
        assert_eq!(slow("pay=5s").unwrap(), ("pay".to_owned(), Duration::from_secs(5)));
    }
}
