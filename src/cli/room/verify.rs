//! `seawall room verify`: whether drawings went as was promised before them.
//!
//! Before a drawing its room publishes SHA-256 of the seed; after it, the seed. Whoever kept the
//! first can check that the second was not chosen afterwards, and work out where each ticket came.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use data_encoding::HEXLOWER;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::simulation::verdict::count;
use crate::waiting_room::lottery::Draw;
use crate::waiting_room::{EVERYONE, Reference};

/// A larger file is no list of drawings.
const FILE_MAX: u64 = 64 << 20;

/// Checks drawings, and says where tickets came in them. Exit code 1 if something is not as it was
/// committed to, or a ticket is in none.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What `seawall room draws` printed
    file: PathBuf,
    /// Tickets, by the reference on their page
    references: Vec<Reference>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `GET /api/v1/rooms/NAME/draws` says.
#[derive(Debug, Deserialize)]
struct Draws {
    room: String,
    draws: Vec<Published>,
}

/// A drawing: what was said before it, and what after it.
#[derive(Debug, Deserialize)]
struct Published {
    lane: u8,
    /// Which of the lane's drawings, from 0.
    nth: u32,
    commitment: String,
    /// None: it is still to come.
    drawn: Option<Drawn>,
}

#[derive(Debug, Deserialize)]
struct Drawn {
    first: u64,
    count: u64,
    seed: String,
}

/// What became of a drawing's promise.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    Kept(Draw),
    Broken,
    /// Its seed is not known yet.
    Open,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let draws = read(&args.file)?;
    let verdicts: Vec<_> = draws.draws.iter().map(|draw| (draw, draw.verdict())).collect();
    let tickets: Vec<_> = args.references.iter().map(|r| (*r, rank(&verdicts, *r))).collect();
    if args.json {
        println!("{:#}", as_json(&draws.room, &verdicts, &tickets));
    } else {
        print!("{}", as_text(&draws.room, &verdicts, &tickets));
    }
    let good = verdicts.iter().all(|(_, verdict)| *verdict != Verdict::Broken)
        && tickets.iter().all(|(_, rank)| rank.is_some());
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(path: &Path) -> anyhow::Result<Draws> {
    let mut text = String::new();
    let file = File::open(path).with_context(|| path.display().to_string())?;
    file.take(FILE_MAX + 1).read_to_string(&mut text).with_context(|| path.display().to_string())?;
    if text.len() as u64 > FILE_MAX {
        bail!("{}: larger than any list of drawings", path.display());
    }
    let draws: Draws = serde_json::from_str(&text)
        .with_context(|| format!("{}: this is not what `seawall room draws` prints", path.display()))?;
    match drawn_twice(&draws.draws) {
        Some(number) => bail!("{}: number {number} was drawn twice", path.display()),
        None => Ok(draws),
    }
}

/// Whoever could draw again could choose.
fn drawn_twice(draws: &[Published]) -> Option<u64> {
    let drawn = draws.iter().filter_map(|d| Some((d.lane, d.drawn.as_ref()?)));
    let mut spans: Vec<_> = drawn.map(|(lane, d)| (lane, d.first, d.first.saturating_add(d.count))).collect();
    spans.sort_unstable();
    spans.windows(2).find_map(|pair| match pair {
        [(lane, _, end), (next_lane, first, _)] if lane == next_lane && end > first => Some(*first),
        _ => None,
    })
}

impl Published {
    fn verdict(&self) -> Verdict {
        let Some(drawn) = &self.drawn else { return Verdict::Open };
        let seed = HEXLOWER.decode(drawn.seed.as_bytes()).ok().and_then(|seed| <[u8; 32]>::try_from(seed).ok());
        let draw = seed.map(|seed| Draw::new(drawn.first, drawn.count, seed));
        match draw.filter(|draw| HEXLOWER.encode(&draw.commitment()) == self.commitment) {
            Some(draw) => Verdict::Kept(draw),
            None => Verdict::Broken,
        }
    }
}

/// A ticket's place among those drawn with it, from 1, and how many these are.
fn rank(verdicts: &[(&Published, Verdict)], reference: Reference) -> Option<(u64, u64)> {
    verdicts.iter().find_map(|(published, verdict)| match verdict {
        Verdict::Kept(draw) if published.lane == reference.lane && draw.holds(reference.number) => {
            Some((draw.rank(reference.number), draw.count))
        }
        _ => None,
    })
}

type Tickets = [(Reference, Option<(u64, u64)>)];

fn as_text(room: &str, verdicts: &[(&Published, Verdict)], tickets: &Tickets) -> String {
    let mut out = format!("room {room}: {} drawings\n", verdicts.len());
    for (published, verdict) in verdicts {
        let said = match verdict {
            Verdict::Kept(_) => "the seed is the one committed to",
            Verdict::Broken => "NOT AS PROMISED: the seed is not the one committed to",
            Verdict::Open => "still to come",
        };
        let numbers = published.drawn.as_ref().map_or(String::new(), |drawn| {
            let last = drawn.first.saturating_add(drawn.count).saturating_sub(1);
            format!(", numbers {} to {}", count(drawn.first), count(last))
        });
        out.push_str(&format!("  {} {}{numbers}: {said}\n", lane(published.lane), published.nth + 1));
    }
    for (reference, rank) in tickets {
        out.push_str(&match rank {
            Some((rank, of)) => format!("{reference}: drawn as {} of {}\n", count(*rank), count(*of)),
            None => format!("{reference}: in none of these drawings that holds\n"),
        });
    }
    out
}

fn as_json(room: &str, verdicts: &[(&Published, Verdict)], tickets: &Tickets) -> Value {
    let draw = |(draw, verdict): &(&Published, Verdict)| {
        let verdict = match verdict {
            Verdict::Kept(_) => "kept",
            Verdict::Broken => "broken",
            Verdict::Open => "open",
        };
        json!({ "lane": draw.lane, "nth": draw.nth, "verdict": verdict })
    };
    let ticket = |(reference, rank): &(Reference, Option<(u64, u64)>)| json!({ "reference": reference.to_string(), "rank": rank.map(|r| r.0), "of": rank.map(|r| r.1) });
    json!({
        "room": room,
        "draws": verdicts.iter().map(draw).collect::<Vec<_>>(),
        "tickets": tickets.iter().map(ticket).collect::<Vec<_>>(),
    })
}

fn lane(lane: u8) -> String {
    match lane {
        EVERYONE => "for everyone,".to_owned(),
        lane => format!("of lane {lane},"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(first: u64, count: u64, seed: [u8; 32]) -> Published {
        let draw = Draw::new(first, count, seed);
        Published {
            lane: EVERYONE,
            nth: 0,
            commitment: HEXLOWER.encode(&draw.commitment()),
            drawn: Some(Drawn { first, count, seed: HEXLOWER.encode(&seed) }),
        }
    }

    fn ticket(number: u64) -> Reference {
        Reference { lane: EVERYONE, number }
    }

    #[test]
    fn a_promise_that_was_kept_gives_everyone_a_rank() {
        let kept = published(1, 100, [7; 32]);
        let verdicts = [(&kept, kept.verdict())];
        let mut ranks: Vec<_> = (1..=100).filter_map(|number| rank(&verdicts, ticket(number))).collect();
        ranks.sort_unstable();
        assert_eq!(ranks, (1..=100).map(|rank| (rank, 100)).collect::<Vec<_>>());
        assert_eq!(rank(&verdicts, ticket(101)), None);
        assert_eq!(rank(&verdicts, Reference { lane: EVERYONE + 2, number: 1 }), None);
    }

    #[test]
    fn another_seed_or_none_is_no_promise_kept() {
        let mut other = published(1, 100, [7; 32]);
        other.drawn = Some(Drawn { first: 1, count: 100, seed: HEXLOWER.encode(&[8; 32]) });
        assert_eq!(other.verdict(), Verdict::Broken);
        assert_eq!(rank(&[(&other, other.verdict())], ticket(1)), None);
        other.drawn = Some(Drawn { first: 1, count: 100, seed: "07".to_owned() });
        assert_eq!(other.verdict(), Verdict::Broken);
        other.drawn = None;
        assert_eq!(other.verdict(), Verdict::Open);
    }

    #[test]
    fn nobody_is_drawn_twice() {
        let draws = [published(1, 100, [7; 32]), published(101, 50, [8; 32])];
        assert_eq!(drawn_twice(&draws), None);
        let again = [published(1, 100, [7; 32]), published(100, 50, [8; 32])];
        assert_eq!(drawn_twice(&again), Some(100));
    }
}
