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

/// What asks for a room's frontier, behind its name.
const FRONTIER: &str = "/frontier.json";

/// Whether a browser asks if it may ask (Fetch §3.2.2).
pub fn is_preflight(view: &View<'_>) -> bool {
    view.method == "OPTIONS" && view.field("origin").is_some() && view.field("access-control-request-method").is_some()
}

/// The answer to a request below [`PREFIX`].
pub fn answer(passage: &Passage, view: &View<'_>, now: Now) -> Answer {
    let what = view.path.strip_prefix(PREFIX).unwrap_or_default();
    if is_preflight(view) {
        // An app of another origin asks with a field of its own.
        return plain(Bytes::new())
            .with("access-control-allow-origin", "*")
            .with("access-control-allow-methods", "GET, HEAD")
            .with("access-control-allow-headers", "Seawall-Ticket")
            .with("access-control-max-age", "600");
    }
    if !view.is_read() {
        return Answer::of(Reason::MethodRefused, &passage.site.pages, Format::asked(view)).with("allow", "GET, HEAD");
    }
    if what == "live" {
        return plain(Bytes::from_static(b"ok\n"));
    }
    let Some(of_room) = what.strip_prefix("room/") else {
        return Answer::of(Reason::NotFound, &passage.site.pages, Format::asked(view));
    };
    if let Some(room) = of_room.strip_suffix(FRONTIER).and_then(|name| passage.site.room_named(name)) {
        return room.frontier();
    }
    if let Some(room) = passage.site.room_named(of_room) {
        if let Some(answer) = room.elsewhere(view) {
            return answer;
        }
        let asks = Asks { get: true, ..Asks::of(view, Format::Json) };
        // A page that was held asks as one: it may be of a route that is, when others are not.
        let held = passage.site.is_held(room, view.query == Some(HELD));
        let client = passage.site.client_number(view.client);
        return room.poll(room.presented(view, client, now), &asks, held, now);
    }
    Answer::of(Reason::NotFound, &passage.site.pages, Format::asked(view))
}

fn plain(body: Bytes) -> Answer {
    let content =
        Content::Made { status: 200, content_type: "text/plain; charset=utf-8", cache_control: "no-store", body };
    Answer { reason: Reason::Own, content, fields: Fields::new() }
}
