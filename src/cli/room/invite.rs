//! `seawall room invite`: signed links that lead into a lane of a room.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::cli::with_parameter;
use crate::clock::Clock;
use crate::policy::{Lane, Policy, WaitingRoom, file};
use crate::store;
use crate::waiting_room::invitation::{Invitation, LaneTag, PARAMETER};

/// Links at most in one go.
const COUNT_MAX: u32 = 1_000_000;
/// As long as a browser would keep a pass.
const LASTING_MAX: Duration = Duration::from_secs(400 * 86_400);

/// Prints links, a line each, that lead whoever opens them into a lane. Whoever has a link has the
/// invitation: send it as you would a password.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The policy file
    policy: PathBuf,
    /// The room: [waiting_room.NAME]
    room: String,
    /// The lane: waiting_room.NAME.lanes.LANE
    lane: String,
    /// How many links, each of its own
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(COUNT_MAX)))]
    count: u32,
    /// For how long ("12h", "3d"), at most 400 days; until the room closes if left out
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    lasting: Option<Duration>,
    /// The page that the links lead to: one of the room's
    #[arg(long, default_value = "/", value_name = "URL")]
    url: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (policy, _) = file::load(&args.policy).map_err(|error| anyhow::anyhow!("{error}"))?;
    let (room, lane) = lane(args, &policy)?;
    let expires_unix_s = expiry(args, room, Clock::start().now().unix_ms / 1000)?;
    let keys = store::load_or_create(&lane.invitations)?;
    let tag = LaneTag::of(&room.name, &lane.name);
    let links: Vec<String> = (0..args.count)
        .map(|_| {
            let id = store::random_seed().context("an invitation needs an id")?;
            let text = Invitation { expires_unix_s, id }.encode(&keys, tag);
            Ok(with_parameter(&args.url, PARAMETER, &text))
        })
        .collect::<anyhow::Result<_>>()?;
    if args.json {
        let all = serde_json::json!({
            "room": room.name, "lane": lane.name, "uses": lane.uses,
            "expires_unix_ms": expires_unix_s * 1000, "links": links,
        });
        println!("{all:#}");
    } else {
        use std::io::Write as _;
        let mut out = std::io::stdout().lock();
        links.iter().try_for_each(|link| writeln!(out, "{link}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn lane<'p>(args: &Args, policy: &'p Policy) -> anyhow::Result<(&'p WaitingRoom, &'p Lane)> {
    let names = |names: Vec<&str>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let Some(room) = policy.waiting_rooms.iter().find(|room| room.name == args.room) else {
        let known = names(policy.waiting_rooms.iter().map(|room| room.name.as_str()).collect());
        bail!("there is no [waiting_room.{}] in {}; there is: {known}", args.room, args.policy.display());
    };
    let Some(lane) = room.lanes.iter().find(|lane| lane.name == args.lane) else {
        let known = names(room.lanes.iter().map(|lane| lane.name.as_str()).collect());
        bail!("room {} has no lane {}; it has: {known}", room.name, args.lane);
    };
    Ok((room, lane))
}

/// Seconds since 1970 UTC.
fn expiry(args: &Args, room: &WaitingRoom, now_unix_s: u64) -> anyhow::Result<u64> {
    match (args.lasting, room.closes_unix_ms) {
        (Some(lasting), _) if lasting.as_secs() == 0 || lasting > LASTING_MAX => {
            bail!("--for {}: expected from 1s to 400d", humantime::format_duration(lasting))
        }
        (Some(lasting), _) => Ok(now_unix_s + lasting.as_secs()),
        (None, Some(closes)) if closes / 1000 > now_unix_s => Ok(closes.div_ceil(1000)),
        (None, Some(_)) => bail!("room {} has closed already; --for 3d would make one nevertheless", room.name),
        (None, None) => bail!("for how long? room {} has no `closes`, so add --for 3d", room.name),
    }
}
