//! Seawall's own URLs, under `/.seawall/`: never an origin's.

use bytes::Bytes;

use super::answer::{Answer, Content, Fields, Format};
use super::passage::Passage;
use super::reason::Reason;
use super::room::Asks;
use super::view::View;
use crate::clock::Now;
use crate::waiting_room::page::HELD;

/// The prefix of every URL of ours.
pub const PREFIX: &str = "/.seawall/";

/// The answer to a request below [`PREFIX`].
pub fn answer(passage: &Passage, view: &View<'_>, now: Now) -> Answer {
    let what = view.path.strip_prefix(PREFIX).unwrap_or_default();
    if !view.is_read() {
        return Answer::of(Reason::MethodRefused, &passage.site.pages, Format::asked(view)).with("allow", "GET, HEAD");
    }
    if what == "live" {
        let content =
            Content::Made { status: 200, content_type: "text/plain; charset=utf-8", body: Bytes::from_static(b"ok\n") };
        return Answer { reason: Reason::Own, content, fields: Fields::new() };
    }
    if let Some(room) = what.strip_prefix("room/").and_then(|name| passage.site.room_named(name)) {
        let asks = Asks { scheme: view.scheme, format: Format::Json, get: true };
        // A page that was held asks as one: it may be of a route that is, when others are not.
        let held = passage.site.is_held(room, view.query == Some(HELD));
        return room.poll(room.presented(view), asks, held, now);
    }
    Answer::of(Reason::NotFound, &passage.site.pages, Format::asked(view))
}
