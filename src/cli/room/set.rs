//! `seawall room set`: another pace, capacity or stock, for a time.

use std::num::NonZeroU32;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;

use super::confirm::confirm;
use super::{room_name, show};
use crate::admin::rooms::{RoomAction, SetRoom, Wanted};
use crate::cli::ask::Signed;
use crate::policy::Admit;

/// Sets values over the policy's until they expire. Shows what it would come to and asks, unless
/// told `--yes`.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("values").required(true).multiple(true).args(["admit", "capacity", "stock"])))]
pub(super) struct Args {
    /// The room
    #[arg(value_parser = room_name)]
    room: String,
    /// New visitors at most: "240/min", auto, none (as places come free), or policy (as the file says)
    #[arg(long, value_name = "QUOTA")]
    admit: Option<Wanted<Admit>>,
    /// Visitors inside at once, or policy
    #[arg(long, value_name = "N")]
    capacity: Option<Wanted<NonZeroU32>>,
    /// How many are left, whatever the origin says; or policy
    #[arg(long, value_name = "N")]
    stock: Option<Wanted<u64>>,
    /// For how long ("30m", "2h"); needed, but for what goes back to the policy
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    lasting: Option<Duration>,
    /// Do it without asking
    #[arg(long)]
    yes: bool,
    /// Only show what it would come to
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    #[command(flatten)]
    signed: Signed,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let set = SetRoom {
        admit: args.admit,
        capacity: args.capacity,
        stock: args.stock,
        ..args.signed.change(RoomAction::Set, args.lasting)
    };
    if !args.dry_run && !is_back_to_policy(&set) {
        if args.lasting.is_none() {
            bail!("for how long? add --for 30m; what has no end is better written into the policy");
        }
        if args.signed.why.is_empty() {
            bail!("why? add --why \"…\": whoever comes next reads it in the status and the log");
        }
    }
    let foreseen = args.signed.ask(&args.room, &SetRoom { dry_run: true, ..set.clone() })?;
    if args.dry_run && args.signed.json {
        println!("{foreseen:#}");
        return Ok(ExitCode::SUCCESS);
    }
    let forecast = foreseen.get("forecast").map(show::forecast).unwrap_or_default();
    if args.dry_run {
        print!("{forecast}");
        return Ok(ExitCode::SUCCESS);
    }
    eprint!("{forecast}");
    if !confirm(&format!("Set it in room {}?", args.room), args.yes)? {
        eprintln!("nothing was changed");
        return Ok(ExitCode::FAILURE);
    }
    args.signed.send(&args.room, &set)?;
    Ok(ExitCode::SUCCESS)
}

fn is_back_to_policy(set: &SetRoom) -> bool {
    let back = [
        set.admit.is_none_or(|w| w.0.is_none()),
        set.capacity.is_none_or(|w| w.0.is_none()),
        set.stock.is_none_or(|w| w.0.is_none()),
    ];
    back == [true; 3]
}
