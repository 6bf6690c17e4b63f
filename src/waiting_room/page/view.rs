//! One answer as the layout, the operator's template and the JSON see it.

use std::io::Write as _;
use std::time::Duration;

use super::escape::put_markup;
use super::numbers::{Wait, put, put_grouped, put_wait, seconds_up};
use super::query::{put_link, refreshes};
use super::words::{Said, Words};
use super::{Page, Place, Shown, State};

/// Without scripts the page is fetched anew: no more often than this, once its visitor has a place.
const REFRESH_MIN: Duration = Duration::from_secs(10);

/// What is said of one visitor, in their language.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub page: &'a Page,
    pub shown: &'a Shown<'a>,
    pub words: &'static Words,
    pub said: Said,
}

/// What the layout leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hole {
    Title,
    Refresh,
    State,
    Heading,
    Text,
    Notice,
    Position,
    Wait,
    Stock,
    Reference,
    Days,
    Hours,
    Minutes,
    Seconds,
    Link,
    Noscript,
    /// Whether the page may go to its own URL.
    Reload,
    /// The JSON.
    Now,
    Hide(Part),
}

/// What is hidden where there is nothing to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Notice,
    Position,
    Wait,
    Stock,
    Reference,
    Opens,
    Days,
    Keep,
}

impl<'a> View<'a> {
    pub fn new(page: &'a Page, shown: &'a Shown<'a>) -> Self {
        let words = shown.language.words();
        Self { page, shown, words, said: said(shown, words) }
    }

    /// The visitor's place, where there is one to tell.
    pub fn place(&self) -> Option<Place> {
        self.shown.place.filter(|_| matches!(self.shown.state, State::Queued | State::Paused))
    }

    pub fn position(&self) -> Option<u64> {
        self.place().and_then(|place| place.position)
    }

    /// The estimate, where one is told: not known yet is one, too.
    pub fn wait(&self) -> Option<Option<Wait>> {
        let place = self.place().filter(|place| place.position.is_some() && self.shown.state == State::Queued)?;
        Some(place.wait.map(Wait::of))
    }

    pub fn opens_in_seconds(&self) -> Option<u64> {
        self.shown.opens_in.filter(|_| self.shown.state == State::Before).map(seconds_up)
    }

    pub fn notice(&self) -> Option<&'a str> {
        self.shown.message.map(|message| message.text(self.shown.language)).filter(|text| !text.is_empty())
    }

    /// The link's words: come in, go back, or ask again.
    pub fn link(&self) -> &'static str {
        match (self.shown.state, self.shown.reload) {
            (State::Admitted, true) => self.words.go,
            (State::Admitted, false) => self.words.back,
            _ => self.words.check,
        }
    }

    pub fn tells(&self, part: Part) -> bool {
        match part {
            Part::Notice => self.notice().is_some(),
            Part::Position => self.position().is_some(),
            Part::Wait => self.wait().is_some(),
            Part::Stock => self.shown.stock.is_some() && self.shown.state != State::SoldOut,
            Part::Reference => self.shown.reference.is_some(),
            Part::Opens => self.opens_in_seconds().is_some(),
            Part::Days => self.opens_in_seconds().is_some_and(|seconds| seconds >= 86_400),
            Part::Keep => {
                let kept = matches!(self.shown.state, State::Before | State::Queued | State::Paused);
                kept && self.shown.reference.is_some()
            }
        }
    }

    /// Seconds after which a page without scripts is fetched anew; none: it is not.
    pub fn refresh_seconds(&self) -> Option<u64> {
        let wanted = self.shown.state != State::Admitted && refreshes(self.shown.query);
        let has_number = self.shown.reference.is_some() || self.shown.state != State::Queued;
        let after = self.shown.poll_after.max(if has_number { REFRESH_MIN } else { Duration::ZERO });
        wanted.then(|| seconds_up(after))
    }

    pub fn put(&self, hole: Hole, out: &mut Vec<u8>) {
        let seconds = self.opens_in_seconds().unwrap_or_default();
        match hole {
            Hole::Title => self.put_title(out),
            Hole::Refresh => self.put_refresh(out),
            Hole::State => out.extend_from_slice(self.shown.state.name().as_bytes()),
            Hole::Heading => out.extend_from_slice(self.said.0.as_bytes()),
            Hole::Text => out.extend_from_slice(self.said.1.as_bytes()),
            Hole::Notice => put_markup(self.notice().unwrap_or_default(), out),
            Hole::Position => self.put_number(self.position(), out),
            Hole::Wait => self.put_wait(out),
            Hole::Stock => self.put_number(self.shown.stock, out),
            Hole::Reference => self.put_reference(out),
            Hole::Days => put(seconds / 86_400, out),
            Hole::Hours => put_two_digits(seconds / 3600 % 24, out),
            Hole::Minutes => put_two_digits(seconds / 60 % 60, out),
            Hole::Seconds => put_two_digits(seconds % 60, out),
            Hole::Link => out.extend_from_slice(self.link().as_bytes()),
            Hole::Noscript => self.put_noscript(out),
            Hole::Reload => out.extend_from_slice(if self.shown.reload { b"true" } else { b"false" }),
            Hole::Now => self.page.json(self.shown, out),
            Hole::Hide(part) if self.tells(part) => {}
            Hole::Hide(_) => out.extend_from_slice(b" hidden"),
        }
    }

    /// The tab shows the position.
    pub fn put_title(&self, out: &mut Vec<u8>) {
        if let Some(position) = self.position() {
            out.push(b'(');
            put_grouped(position, self.words.numbers, out);
            out.extend_from_slice(b") ");
        }
        out.extend_from_slice(self.said.0.as_bytes());
    }

    pub fn put_number(&self, number: Option<u64>, out: &mut Vec<u8>) {
        if let Some(number) = number {
            put_grouped(number, self.words.numbers, out);
        }
    }

    pub fn put_wait(&self, out: &mut Vec<u8>) {
        match self.wait() {
            Some(Some(wait)) => put_wait(wait, self.words, out),
            Some(None) => out.extend_from_slice(self.words.not_known.as_bytes()),
            None => {}
        }
    }

    fn put_reference(&self, out: &mut Vec<u8>) {
        if let Some(reference) = self.shown.reference {
            // Writing to memory fails never.
            let _ = write!(out, "{reference}");
        }
    }

    pub fn put_refresh(&self, out: &mut Vec<u8>) {
        if let Some(seconds) = self.refresh_seconds() {
            out.extend_from_slice(b"<noscript><meta http-equiv=\"refresh\" content=\"");
            put(seconds, out);
            out.extend_from_slice(b"\"></noscript>\n");
        }
    }

    /// Whoever reads without scripts can stop the refreshing (WCAG 2.2.1, 2.2.2), and start it again.
    pub fn put_noscript(&self, out: &mut Vec<u8>) {
        if self.shown.state == State::Admitted {
            return;
        }
        let refreshing = self.refresh_seconds().is_some();
        let (note, link) =
            if refreshing { (self.words.refreshes, self.words.stop) } else { (self.words.stopped, self.words.resume) };
        out.extend_from_slice(b"<noscript><p class=\"still\">");
        out.extend_from_slice(note.as_bytes());
        out.extend_from_slice(b" <a class=\"quiet\" href=\"");
        put_link(self.shown.query, !refreshing, out);
        out.extend_from_slice(b"\">");
        out.extend_from_slice(link.as_bytes());
        out.extend_from_slice(b"</a></p></noscript>\n");
    }
}

/// What to say, from the state and what is known.
fn said(shown: &Shown<'_>, words: &Words) -> Said {
    let said = &words.said;
    let position = shown.place.and_then(|place| place.position);
    match shown.state {
        State::Before if shown.reference.is_some() => said.draw,
        State::Before => said.before,
        State::Queued if position.is_some() => said.queued,
        State::Queued if shown.reference.is_some() => said.drawing,
        State::Queued => said.stub,
        State::Paused => said.paused,
        State::SoldOut => said.sold_out,
        State::Full => said.full,
        State::Closed => said.closed,
        State::Admitted if shown.reload => said.admitted,
        State::Admitted => said.resend,
    }
}

fn put_two_digits(number: u64, out: &mut Vec<u8>) {
    if number < 10 {
        out.push(b'0');
    }
    put(number, out);
}
