//! Ten million strangers against one rate limit, each with a key of their own, as from an attacker
//! who makes up addresses. What must hold: memory stays bounded, and a thousand clients who were
//! there before are limited as if nobody else came. Exit code 1 when an outcome fails.
//!
//! The limit itself in virtual time: no sockets, the same in every run, seconds rather than minutes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Parser;
use seawall::clock::Mono;
use seawall::pipeline::view::{BodyKind, Scheme, Version, View};
use seawall::policy::{self, RateLimitId};
use seawall::rate_limit::{Asked, Limit, Request, decide};

/// As in the program: what an allocator keeps counts.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const GROWTH_MAX_MIB: u64 = 64;
/// Half of them ask half as often as they may, the others twice as often.
const HONEST: u32 = 1000;

#[derive(Parser, Debug)]
#[command(about = "Random rate-limit keys: memory, and who is limited")]
struct Args {
    /// Strangers, each seen once
    #[arg(long, default_value_t = 10_000_000)]
    strangers: u64,
    /// Virtual seconds over which they come
    #[arg(long, default_value_t = 100)]
    seconds: u32,
    /// As in a policy; with a burst of the same count
    #[arg(long, default_value = "10/s")]
    quota: String,
    /// As in a policy
    #[arg(long, default_value_t = 1_000_000)]
    max_keys: usize,
}

/// What became of one kind of honest client.
#[derive(Debug, Default)]
struct Served {
    asked: u64,
    allowed: u64,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let rule = rule(&args)?;
    let (count, period) = (rule.quota.count.get(), rule.quota.period);
    let before = memory("VmRSS")?;
    let limit = Limit::new(&rule, 42);
    let [polite, eager] = storm(&args, &limit, period / count);
    let growth = memory("VmHWM")?.saturating_sub(before) / 1024;

    let elapsed = Duration::from_secs(args.seconds.into());
    let quota = elapsed.as_secs_f64() / period.as_secs_f64() * f64::from(count) + f64::from(rule.burst.get());
    let each = eager.allowed as f64 / f64::from(HONEST / 2);
    let outcomes = [
        (format!("memory grew by {growth} MiB (at most {GROWTH_MAX_MIB})"), growth <= GROWTH_MAX_MIB),
        (
            format!("asking half as often as allowed: {} of {} refused", polite.asked - polite.allowed, polite.asked),
            polite.allowed == polite.asked,
        ),
        (
            // The last one may not have been due yet.
            format!("asking twice as often: {each:.1} each of at most {quota:.1}"),
            (0.98 * (quota - 1.0)..=quota).contains(&each),
        ),
    ];
    for (outcome, held) in &outcomes {
        println!("{}  {outcome}", if *held { "ok  " } else { "FAIL" });
    }
    Ok(if outcomes.iter().all(|(_, held)| *held) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The limit as a policy file gives it.
fn rule(args: &Args) -> anyhow::Result<policy::RateLimit> {
    let text = format!(
        "[edge]\nlisten = '127.0.0.1:0'\n[origin.shop]\nservers = ['127.0.0.1:9000']\n\
         [origin.shop.concurrency]\nmode = 'fixed'\nlimit = 4\n\
         [rate_limit.per_client]\nkey = 'client_ip'\nquota = '{}'\nmax_keys = {}\n\
         [[route]]\nrate_limit = 'per_client'\n",
        args.quota, args.max_keys
    );
    let loaded = policy::file::parse(&text, Path::new("."));
    let Some(policy) = loaded.policy else { bail!("no such limit: {:?}", loaded.diagnostics) };
    policy.rate_limits.into_iter().next().context("the policy has no limit")
}

/// Strangers come evenly; the honest each at their own pace, `interval` being the quota's.
fn storm(args: &Args, limit: &Limit, interval: Duration) -> [Served; 2] {
    let end = u64::from(args.seconds) * 1_000_000_000;
    let paces = [interval * 2, interval / 2].map(|pace| u64::try_from(pace.as_nanos()).unwrap_or(u64::MAX));
    let mut served = [Served::default(), Served::default()];
    let mut next: Vec<(u64, usize, IpAddr)> = (0..HONEST)
        .map(|n| {
            let kind = (n % 2) as usize;
            let pace = paces.get(kind).copied().unwrap_or(u64::MAX);
            // Spread over their pace, so that they don't come in step.
            (pace / u64::from(HONEST) * u64::from(n), kind, IpAddr::V4(Ipv4Addr::from_bits(0x0A00_0000 | n)))
        })
        .collect();
    let mut dice = 1;
    // A step is far shorter than any pace: the order within it changes nothing.
    let step = 1_000_000;
    let mut come = 0u64;
    for now in (0..end).step_by(step) {
        for (due, kind, client) in &mut next {
            while *due <= now {
                let allowed = ask(limit, *client, *due);
                if let (Some(served), Some(pace)) = (served.get_mut(*kind), paces.get(*kind)) {
                    served.asked += 1;
                    served.allowed += u64::from(allowed);
                    *due += pace;
                }
            }
        }
        let until = u128::from(args.strangers) * u128::from(now + step as u64) / u128::from(end);
        while u128::from(come) < until {
            let stranger = Ipv6Addr::from_bits(u128::from(random(&mut dice)) << 64 | u128::from(random(&mut dice)));
            ask(limit, stranger.into(), now);
            come += 1;
        }
    }
    served
}

/// Whether one request of this client is allowed.
fn ask(limit: &Limit, client: IpAddr, now: u64) -> bool {
    let view = View {
        method: "GET",
        version: Version::Http11,
        scheme: Scheme::Http,
        host: "shop.example",
        path: "/",
        raw_path: "/",
        query: None,
        fields: &[],
        client,
        trusted: false,
        body: BodyKind::None,
    };
    let request = Request { view: &view, session: None };
    let mut asked: Asked<'_> = limit.ask(RateLimitId(0), &request, NonZeroU32::MIN, |_| false).into_iter().collect();
    decide(&mut asked, Mono::from_nanos(now));
    asked.iter().all(|ask| !ask.refuses())
}

/// Random numbers that are the same in every run (splitmix64).
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut x = *state;
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// A figure of this process, KiB: `VmRSS` now, `VmHWM` at most so far.
fn memory(figure: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("this needs Linux")?;
    let line = status.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.split_whitespace().next()).with_context(|| format!("no {figure}"))?;
    Ok(kib.parse()?)
}
