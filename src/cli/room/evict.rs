//! `seawall room evict`: out with them.

use std::process::ExitCode;

use super::confirm::confirm;
use super::{room_name, show};
use crate::admin::rooms::{Evict, RoomAction, SetRoom};
use crate::cli::ask::Signed;
use crate::cli::status::number;
use crate::waiting_room::Reference;

/// Ends sessions or takes places away. Whoever it was may come again, at the end of the line.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("whom").required(true).args(["sessions", "queue", "reference"])))]
pub(super) struct Args {
    /// The room
    #[arg(value_parser = room_name)]
    room: String,
    /// Everyone inside
    #[arg(long)]
    sessions: bool,
    /// Everyone in line
    #[arg(long)]
    queue: bool,
    /// The one with this reference, in line or inside
    #[arg(long, value_name = "REFERENCE")]
    reference: Option<Reference>,
    /// Do it without asking
    #[arg(long)]
    yes: bool,
    /// Only say how many it would be
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    #[command(flatten)]
    signed: Signed,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let whom = match (args.sessions, args.queue) {
        (true, _) => Evict::Sessions,
        (_, true) => Evict::Queue,
        _ => Evict::Ticket,
    };
    let set = SetRoom {
        evict: Some(whom),
        reference: args.reference.map(|reference| reference.to_string()),
        ..args.signed.change(RoomAction::Evict, None)
    };
    let foreseen = args.signed.ask(&args.room, &SetRoom { dry_run: true, ..set.clone() })?;
    let count = number(&foreseen, "evicted");
    let who = match whom {
        Evict::Sessions => format!("{} inside", show::visitors(count)),
        Evict::Queue => format!("{} in line", show::visitors(count)),
        Evict::Ticket => args.reference.map(|reference| reference.to_string()).unwrap_or_default(),
    };
    if args.dry_run {
        match args.signed.json {
            true => println!("{foreseen:#}"),
            false => println!("{who} would have to go"),
        }
        return Ok(ExitCode::SUCCESS);
    }
    if !confirm(&format!("Send {who} out of room {}?", args.room), args.yes)? {
        eprintln!("nobody was sent out");
        return Ok(ExitCode::FAILURE);
    }
    let answer = args.signed.ask(&args.room, &set)?;
    match args.signed.json {
        true => println!("{answer:#}"),
        false => println!("sent out: {}", show::visitors(number(&answer, "evicted"))),
    }
    Ok(ExitCode::SUCCESS)
}
