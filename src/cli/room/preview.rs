//! `seawall room preview`: the pages of a waiting room, as files to look at.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};

use crate::cli::fail;
use crate::policy::{WaitingRoom, file};
use crate::waiting_room::Place;
use crate::waiting_room::page::{Language, Page, Shown, State};
use crate::waiting_room::reference::Reference;

/// Writes the pages of a waiting room, with sample numbers, as files to look at.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The policy file
    #[arg(default_value = "seawall.toml")]
    policy: PathBuf,
    /// The room; all of them if left out
    room: Option<String>,
    /// A state (before, queued, paused, sold_out, full, closed, admitted), as often as needed; all
    /// of them if left out
    #[arg(long = "state", value_parser = state, value_name = "STATE")]
    states: Vec<State>,
    /// A language (en, de, ar and so on), as often as needed, or "all"
    #[arg(long = "lang", value_name = "TAG", default_value = "en")]
    languages: Vec<String>,
    /// Where the pages go
    #[arg(long, value_name = "DIR", default_value = "room-preview")]
    out: PathBuf,
}

/// Runs `seawall room preview`.
pub fn run(args: &Args) -> ExitCode {
    let policy = match file::load(&args.policy) {
        Ok((policy, _)) => policy,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    match preview(args, &policy.waiting_rooms) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => fail(format!("{why:#}")),
    }
}

fn preview(args: &Args, rooms: &[WaitingRoom]) -> anyhow::Result<()> {
    let languages = languages(&args.languages)?;
    let wanted = |room: &&WaitingRoom| args.room.as_ref().is_none_or(|name| *name == room.name);
    let known: Vec<_> = rooms.iter().map(|room| room.name.as_str()).collect();
    let rooms: Vec<&WaitingRoom> = rooms.iter().filter(wanted).collect();
    if rooms.is_empty() {
        let policy = args.policy.display();
        match (&args.room, known.as_slice()) {
            (_, []) => bail!("{policy} has no waiting room; add a [waiting_room.NAME]"),
            (Some(name), known) => {
                bail!("there is no [waiting_room.{name}] in {policy}; there is: {}", known.join(", "))
            }
            (None, _) => {}
        }
    }
    let mut index = String::from("<!doctype html><meta charset=\"utf-8\"><title>Waiting rooms</title>\n");
    for room in rooms {
        let directory = args.out.join(&room.name);
        fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
        let page = page(room)?;
        for (situation, shown) in situations().filter(|(_, s)| args.states.is_empty() || args.states.contains(&s.state))
        {
            for language in &languages {
                let shown = Shown { language: *language, ..shown };
                let name = format!("{situation}.{}.html", language.tag());
                write(&page, &shown, &directory.join(&name))?;
                index.push_str(&format!("<p><a href=\"{0}/{name}\">{0}: {name}</a></p>\n", room.name));
            }
        }
    }
    let path = args.out.join("index.html");
    fs::write(&path, index).with_context(|| path.display().to_string())?;
    writeln!(io::stdout(), "{}", path.display()).context("standard output")
}

fn page(room: &WaitingRoom) -> anyhow::Result<Page> {
    let Some(path) = &room.page else { return Ok(Page::new(&room.name, None)?) };
    let source = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Page::new(&room.name, Some(&source)).with_context(|| path.display().to_string())
}

fn write(page: &Page, shown: &Shown<'_>, path: &Path) -> anyhow::Result<()> {
    let (mut plain, mut packed) = (Vec::new(), Vec::new());
    page.html(shown, &mut plain);
    let sizes = match page.gzip(shown, &mut packed) {
        true => format!("{} bytes, {} compressed", plain.len(), packed.len()),
        false => format!("{} bytes", plain.len()),
    };
    fs::write(path, plain).with_context(|| path.display().to_string())?;
    writeln!(io::stdout(), "{}: {sizes}", path.display()).context("standard output")
}

fn state(name: &str) -> Result<State, String> {
    let names = || State::ALL.map(State::name).join(", ");
    State::ALL.into_iter().find(|state| state.name() == name).ok_or_else(|| format!("there are {}", names()))
}

fn languages(tags: &[String]) -> anyhow::Result<Vec<Language>> {
    if tags.iter().any(|tag| tag == "all") {
        return Ok(Language::ALL.to_vec());
    }
    let known = || Language::ALL.map(Language::tag).join(", ");
    let language =
        |tag: &String| Language::tagged(tag).ok_or_else(|| anyhow!("no language {tag}; there are {}", known()));
    tags.iter().map(language).collect()
}

/// What a visitor may find, with sample numbers: the states, and how they differ by what is known.
fn situations() -> impl Iterator<Item = (&'static str, Shown<'static>)> {
    let minute = Duration::from_secs(60);
    let place = Place { position: Some(1284), wait: Some((12 * minute, 19 * minute)), poll_after: minute / 5 };
    let reference = Some(Reference { lane: 0, number: 118_999 });
    let bare = |state| Shown {
        state,
        place: None,
        poll_after: place.poll_after,
        reload: true,
        opens_in: None,
        stock: None,
        reference: None,
        message: None,
        language: Language::DEFAULT,
        query: None,
    };
    let before = Shown { opens_in: Some(1564 * minute), ..bare(State::Before) };
    let queued = Shown { place: Some(place), stock: Some(412), reference, ..bare(State::Queued) };
    [
        ("before", before),
        ("before-draw", Shown { opens_in: Some(9 * minute), reference, ..before }),
        ("queued", queued),
        ("queued-new", Shown { poll_after: Duration::from_secs(1), ..bare(State::Queued) }),
        ("queued-drawing", Shown { reference, ..bare(State::Queued) }),
        ("queued-unknown", Shown { place: Some(Place { wait: None, ..place }), stock: None, ..queued }),
        ("paused", Shown { place: Some(Place { wait: None, ..place }), reference, ..bare(State::Paused) }),
        ("sold_out", Shown { reference, stock: Some(0), ..bare(State::SoldOut) }),
        ("full", bare(State::Full)),
        ("closed", bare(State::Closed)),
        ("admitted", bare(State::Admitted)),
        ("admitted-resend", Shown { reload: false, ..bare(State::Admitted) }),
    ]
    .into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_shown() {
        for state in State::ALL {
            assert!(situations().any(|(name, shown)| shown.state == state && name == state.name()), "{state:?}");
        }
    }

    #[test]
    fn languages_are_named_by_tag() {
        assert_eq!(languages(&["all".to_owned()]).unwrap().len(), Language::ALL.len());
        assert_eq!(languages(&["de".to_owned(), "zh-TW".to_owned()]).unwrap().len(), 2);
        assert!(languages(&["xx".to_owned()]).unwrap_err().to_string().contains("no language xx; there are en, de"));
    }
}
