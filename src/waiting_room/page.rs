//! The page that a visitor who is not let in sees, and the same as JSON.
//!
//! One request, nothing from a third party, in the visitor's language; with scripts it asks for its
//! place and says only what is new, without them it refreshes itself until told to stop. A layout is
//! made once for each language; an answer is then a few copies with numbers between. What does not
//! vary is compressed once, too, so that a compressed page costs no more than a plain one.

use std::io::Write as _;
use std::time::Duration;

use super::Place;
use super::reference::Reference;

mod escape;
mod gzip;
mod language;
mod layout;
mod message;
mod numbers;
mod query;
mod template;
mod view;
mod words;

use escape::put_string;
pub use language::Language;
pub use message::{Message, MessageError};
use numbers::{put, put_range};
pub use query::{REFRESH, refreshes};
use template::Template;
pub use template::TemplateError;
use view::View;

/// The query of a poll from a page on which everyone is held.
pub const HELD: &str = "held";
/// Where a room's polls go, before its name.
pub const POLL_PATH: &str = "/.seawall/room/";

/// What the visitor is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The room is not open yet.
    Before,
    /// In line; without a position: a number is about to be drawn.
    Queued,
    /// In line, or a guest already, while everyone is held.
    Paused,
    /// Nothing is left to come in for.
    SoldOut,
    /// The line takes no more.
    Full,
    /// Nobody comes in any more.
    Closed,
    /// It is their turn.
    Admitted,
}

/// One visitor's page.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    pub state: State,
    /// None: they have no place, or need none.
    pub place: Option<Place>,
    /// When to ask again.
    pub poll_after: Duration,
    /// Whether the page may go to its own URL by itself when the turn comes: it answered a GET.
    pub reload: bool,
    /// Of [`State::Before`].
    pub opens_in: Option<Duration>,
    /// What the origin says is left.
    pub stock: Option<u64>,
    /// Of the visitor's ticket; none: they have none yet, or need none.
    pub reference: Option<Reference>,
    /// What the operator has to say.
    pub message: Option<&'a Message>,
    pub language: Language,
    /// Of the page's own URL, as it was sent: the links that stop and start refreshing keep it.
    pub query: Option<&'a str>,
}

/// A room's pages.
#[derive(Debug)]
pub struct Page {
    /// As JSON strings: the room's name, where to poll, and where to while everyone is held.
    room: Vec<u8>,
    url: Vec<u8>,
    held_url: Vec<u8>,
    template: Option<Template>,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Before, Self::Queued, Self::Paused, Self::SoldOut, Self::Full, Self::Closed, Self::Admitted];

    /// As JSON names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Queued => "queued",
            Self::Paused => "paused",
            Self::SoldOut => "sold_out",
            Self::Full => "full",
            Self::Closed => "closed",
            Self::Admitted => "admitted",
        }
    }
}

impl Page {
    /// The built-in pages of the room `name`.
    pub fn built_in(name: &str) -> Self {
        let string = |text: &str| {
            let mut out = Vec::new();
            put_string(text, &mut out);
            out
        };
        let url = poll_url(name);
        let held_url = string(&format!("{url}?{HELD}"));
        Self { room: string(name), url: string(&url), held_url, template: None }
    }

    /// The pages of the room `name`: the built-in one, or the operator's `template`.
    pub fn new(name: &str, template: Option<&str>) -> Result<Self, TemplateError> {
        let mut page = Self::built_in(name);
        page.template = template.map(|source| Template::new(&page, name, source)).transpose()?;
        Ok(page)
    }

    /// Appends the page to `out`. Should the operator's template fail, it is the built-in one.
    pub fn html(&self, shown: &Shown<'_>, out: &mut Vec<u8>) {
        let view = View::new(self, shown);
        if !self.template.as_ref().is_some_and(|template| template.put(&view, out)) {
            layout::of(shown.language).put(&view, out);
        }
    }

    /// Appends the built-in page to `out`, compressed (RFC 1952); or nothing, and says so, where the
    /// page is the operator's.
    pub fn gzip(&self, shown: &Shown<'_>, out: &mut Vec<u8>) -> bool {
        self.template.is_none() && gzip::put(layout::of(shown.language), &View::new(self, shown), out)
    }

    /// The page's Content-Security-Policy; none where the page is the operator's.
    pub fn csp(&self) -> Option<&'static str> {
        self.template.is_none().then(layout::csp)
    }

    /// Appends the same as a JSON object; what is not known is left out.
    pub fn json(&self, shown: &Shown<'_>, out: &mut Vec<u8>) {
        let view = View::new(self, shown);
        out.extend_from_slice(b"{\"room\":");
        out.extend_from_slice(&self.room);
        put_fields(out, &[("state", shown.state.name()), ("language", view.words.tag)]);
        match view.notice() {
            Some(text) => {
                out.extend_from_slice(b",\"message\":");
                put_string(text, out);
                out.extend_from_slice(b",\"notice\":true");
            }
            None => put_fields(out, &[("message", view.said.1)]),
        }
        out.extend_from_slice(b",\"url\":");
        out.extend_from_slice(if shown.state == State::Paused { &self.held_url } else { &self.url });
        if let Some(wait) = view.place().and_then(|place| place.wait) {
            out.extend_from_slice(b",\"wait_seconds\":");
            put_range(wait, out);
        }
        let poll_after = (shown.state != State::Admitted).then(|| numbers::seconds_up(shown.poll_after));
        let numbers = [
            ("position", view.position()),
            ("poll_after_seconds", poll_after),
            ("opens_in_seconds", view.opens_in_seconds()),
            ("stock", shown.stock),
        ];
        for (name, number) in numbers.into_iter().filter_map(|(name, number)| Some((name, number?))) {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            put(number, out);
        }
        if let Some(reference) = shown.reference {
            // Writing to memory fails never.
            let _ = write!(out, ",\"reference\":\"{reference}\"");
        }
        out.push(b'}');
    }
}

/// Fields of an object that needs no escapes.
fn put_fields(out: &mut Vec<u8>, fields: &[(&str, &str)]) {
    for (name, value) in fields {
        for piece in [",\"", *name, "\":\"", *value, "\""] {
            out.extend_from_slice(piece.as_bytes());
        }
    }
}

/// Where this room's polls go.
pub fn poll_url(name: &str) -> String {
    let mut url = String::from(POLL_PATH);
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests;
