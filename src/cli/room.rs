//! `seawall room`: an operator's word on the waiting rooms of a running edge, and what goes with
//! them: invitations, drawings, pages.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Subcommand;
use hyper::Method;
use serde_json::Value;

use super::ask::{Signed, Target, warn_if_forgotten};
use super::fail;
use super::status::list;
use crate::admin::rooms::{RoomAction, SetRoom};

pub(super) mod confirm;
mod evict;
mod find;
mod invite;
mod message;
pub mod preview;
mod set;
pub(super) mod show;
mod verify;

/// Shows and changes the waiting rooms. A change outlives reload and restart until it expires or is
/// taken back.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the rooms, or one of them
    Status(Status),
    /// Set admit, capacity or stock for a time; shows what the tail would wait before it does
    Set(set::Args),
    /// Let nobody new in; those inside stay, those in line keep their places, and clocks stop
    Pause(Plain),
    /// Take back a pause
    Resume(Plain),
    /// Let nobody new in, and say that it is over
    Close(Plain),
    /// Take back a close, the operator's or the origin's
    Open(Plain),
    /// Tell those who wait something
    Message(message::Args),
    /// Send out those inside, those in line, or one of them
    Evict(evict::Args),
    /// Look up a visitor's place by the reference on their page
    Find(find::Args),
    /// Print signed links that lead into a lane of a room
    Invite(invite::Args),
    /// Print what makes a lottery's drawings checkable: commitments, and seeds once drawn
    Draws(Status1),
    /// Check drawings, as `seawall room draws` printed them, without an edge
    Verify(verify::Args),
    /// Show a room's page in each state
    Preview(preview::Args),
}

/// One room, or all.
#[derive(Debug, clap::Args)]
struct Status {
    /// The room; all of them if left out
    #[arg(value_parser = room_name)]
    room: Option<String>,
    #[command(flatten)]
    target: Target,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One room.
#[derive(Debug, clap::Args)]
struct Status1 {
    /// The room
    #[arg(value_parser = room_name)]
    room: String,
    #[command(flatten)]
    target: Target,
}

/// A change without values.
#[derive(Debug, clap::Args)]
struct Plain {
    /// The room
    #[arg(value_parser = room_name)]
    room: String,
    /// For how long ("30m", "2h"); until taken back if left out
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    lasting: Option<Duration>,
    #[command(flatten)]
    signed: Signed,
}

/// Runs `seawall room`.
pub fn run(args: &Args) -> ExitCode {
    let done = match &args.verb {
        Verb::Status(args) => status(args),
        Verb::Set(args) => set::run(args),
        Verb::Pause(args) => plain(RoomAction::Pause, args),
        Verb::Resume(args) => plain(RoomAction::Resume, args),
        Verb::Close(args) => plain(RoomAction::Close, args),
        Verb::Open(args) => plain(RoomAction::Open, args),
        Verb::Message(args) => message::run(args),
        Verb::Evict(args) => evict::run(args),
        Verb::Find(args) => find::run(args),
        Verb::Invite(args) => invite::run(args),
        Verb::Draws(args) => draws(args),
        Verb::Verify(args) => verify::run(args),
        Verb::Preview(args) => return preview::run(args),
    };
    match done {
        Ok(code) => code,
        Err(error) => fail(format_args!("{error:#}")),
    }
}

fn status(args: &Status) -> anyhow::Result<ExitCode> {
    let shown = match &args.room {
        Some(room) => args.target.ask(Method::GET, &path(room), None)?,
        None => args.target.ask(Method::GET, "/api/v1/rooms", None)?,
    };
    match (args.json, &args.room) {
        (true, _) => println!("{shown:#}"),
        (false, Some(_)) => print!("{}", show::room(&shown)),
        (false, None) if list(&shown, "rooms").next().is_none() => println!("the policy has no waiting room"),
        (false, None) => list(&shown, "rooms").for_each(|room| print!("{}", show::room(room))),
    }
    Ok(ExitCode::SUCCESS)
}

fn draws(args: &Status1) -> anyhow::Result<ExitCode> {
    let path = format!("{}/draws", path(&args.room));
    println!("{:#}", args.target.ask(Method::GET, &path, None)?);
    Ok(ExitCode::SUCCESS)
}

fn plain(action: RoomAction, args: &Plain) -> anyhow::Result<ExitCode> {
    let set = args.signed.change(action, args.lasting);
    args.signed.send(&args.room, &set).map(|()| ExitCode::SUCCESS)
}

impl Signed {
    /// A change that says nothing yet but what is to be done, and who wants it.
    fn change(&self, action: RoomAction, lasting: Option<Duration>) -> SetRoom {
        SetRoom {
            for_seconds: lasting.map(|d| d.as_secs().max(1)),
            who: self.who.clone(),
            why: self.why.clone(),
            ..SetRoom::new(action)
        }
    }

    fn ask(&self, room: &str, set: &SetRoom) -> anyhow::Result<Value> {
        let body = serde_json::to_value(set).context("the change as JSON")?;
        self.target.ask(Method::POST, &path(room), Some(body))
    }

    /// Changes the room, and shows it as it is then.
    fn send(&self, room: &str, set: &SetRoom) -> anyhow::Result<()> {
        let answer = self.ask(room, set)?;
        if self.json {
            println!("{answer:#}");
        } else if let Some(room) = answer.get("room") {
            print!("{}", show::room(room));
        }
        warn_if_forgotten(&answer);
        Ok(())
    }
}

fn path(room: &str) -> String {
    format!("/api/v1/rooms/{room}")
}

/// What a policy may call a room: nothing that would mean something else in a URL.
fn room_name(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if fits { Ok(text.to_owned()) } else { Err("a room's name has letters, digits, `-` and `_`".to_owned()) }
}
