//! `seawall room message`: a sentence to those who wait.

use std::process::ExitCode;
use std::time::Duration;

use super::room_name;
use crate::admin::rooms::{RoomAction, SetRoom};
use crate::cli::ask::Signed;

/// Shows a message on the room's page and in its JSON, to all who wait, with their next poll.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The room
    #[arg(value_parser = room_name)]
    room: String,
    /// What to say
    #[arg(required_unless_present = "clear", conflicts_with = "clear")]
    text: Option<String>,
    /// In which language ("de", "pt-BR"); in all that have no message of their own if left out
    #[arg(long, value_name = "LANGUAGE")]
    lang: Option<String>,
    /// Take it back: in this language, or in all
    #[arg(long)]
    clear: bool,
    /// For how long ("30m", "2h"); until taken back if left out. Goes for all languages
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    lasting: Option<Duration>,
    #[command(flatten)]
    signed: Signed,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let set = SetRoom {
        text: args.text.clone(),
        language: args.lang.clone(),
        ..args.signed.change(RoomAction::Message, args.lasting)
    };
    args.signed.send(&args.room, &set)?;
    Ok(ExitCode::SUCCESS)
}
