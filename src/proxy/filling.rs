//! Running a fill: a request of its own through pingora's proxy, over an IO that swallows what
//! pingora writes, while the hooks tee the answer to the readers and into the cache.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pingora::apps::HttpServerApp;
use pingora::protocols::http::ServerSession;

use super::fill::{Fill, For, Head, Joined, Reader};
use super::sink::Sink;
use super::{Carried, Door, Role};
use crate::cache::entry::{Entry, State};
use crate::cache::fill_request::{self, Asking};
use crate::cache::freshness::{ResponseParts, Terms};
use crate::cache::precondition::Precondition;
use crate::cache::remembered::{Failure, Known, slot};
use crate::cache::reuse::{Reuse, reuse};
use crate::cache::status::{CacheStatus, Forward};
use crate::clock::Now;
use crate::pipeline::Flow;
use crate::pipeline::answer::{Answer, Content, Fields};
use crate::pipeline::passage::Passage;
use crate::pipeline::reason::Reason;
use crate::pipeline::stages::copies;
use crate::pipeline::view::{Field, View};
use crate::policy::{Class, Server};

mod fields;
mod notes;
mod storing;
mod writer;

pub use writer::Writer;

/// A miss that may be coalesced.
pub struct Miss<'a> {
    pub key: &'a [u8],
    /// The request for the origin: a bare GET with the fields that may shape the answer.
    pub head: Bytes,
}

/// Follows the fill of this key, or begins it. None: go to the origin alone.
pub fn begin(door: &Arc<Door>, passage: &Passage, miss: Miss<'_>) -> Option<Reader> {
    start(door, passage, miss, passage.class)
}

fn start(door: &Arc<Door>, passage: &Passage, miss: Miss<'_>, class: Class) -> Option<Reader> {
    let slot = slot(miss.key, passage.copy.lookup, &passage.copy.said);
    let (copy, purges) = (&passage.copy, passage.site.store.purges());
    let known = || passage.site.remembered.get(&slot, door.clock.mono(), |asked| copy.holds(asked, purges));
    let unshared = matches!(known(), Some(Known::Unshared));
    match door.fills.join(&slot, !unshared, |fill| fill.asked.is_current(&copy.names, purges, copy.newer_than)) {
        Joined::Alone => None,
        Joined::Follows(reader) => Some(reader),
        Joined::Leads(fill, reader) => {
            // A fill may have ended between the look into the store and the look for fills: then what
            // came of it is there by now, and this one needs no origin.
            if replay(door, passage, &miss, &fill) || replay_failure(known(), &fill, door.clock.now()) {
                door.fills.remove(&slot, &fill);
                return Some(reader);
            }
            let writer = Writer::new(door.clone(), fill, slot, miss, passage);
            let mut fill = passage.for_fill();
            fill.class = class;
            tokio::spawn(run(door.clone(), fill, writer));
            Some(reader)
        }
    }
}

/// Tells the readers of a fill what the one before it came to.
fn replay_failure(known: Option<Known>, fill: &Fill, now: Now) -> bool {
    match known {
        Some(Known::Failed(Failure::Answer(entry))) => repeat(&entry, fill, false, now),
        Some(Known::Failed(Failure::Because(reason))) => fill.refuse(reason, super::RETRY_AFTER_FAILURE),
        _ => return false,
    }
    true
}

fn replay(door: &Door, passage: &Passage, miss: &Miss<'_>, fill: &Fill) -> bool {
    let now = door.clock.now();
    let Some(lookup) = passage.copy.lookup else { return false };
    let mut room = room_for_fields();
    let Some(variants) = passage.site.store.get(miss.key) else { return false };
    let Some(entry) = variants.select(said(&miss.head, &mut room)) else { return false };
    let too_old = passage.copy.newer_than.is_some_and(|written| entry.mark().stamp() <= written);
    let fresh = reuse(entry, &passage.copy.wishes, 1, now.mono) == Reuse::Serve(State::Fresh);
    if !entry.may_answer(lookup) || !fresh || too_old {
        return false;
    }
    repeat(entry, fill, true, now);
    true
}

/// Gives a fill's readers an answer that is here.
fn repeat(entry: &Entry, fill: &Fill, stored: bool, now: Now) {
    let mut fields: Vec<_> =
        entry.fields().iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect();
    fields.push(("age".to_owned(), entry.age_seconds(now.mono).to_string().into_bytes()));
    let length = (entry.status() != 204).then_some(entry.body().len() as u64);
    let selecting = entry.selecting().clone();
    fill.open(
        Head { status: entry.status(), fields, length, stored, selecting, ..Head::default() },
        For::Everyone,
        true,
    );
    fill.push(entry.body().clone());
    fill.close(true);
}

/// Fields of a fill's request at most: those of a visitor's and a few more.
const MAX_FIELDS: usize = 256;

fn room_for_fields<'a>() -> Vec<Field<'a>> {
    vec![httparse::EMPTY_HEADER; MAX_FIELDS]
}

/// What a fill said to the origin.
fn said<'a, 'r>(head: &'a [u8], room: &'r mut Vec<Field<'a>>) -> &'r [Field<'a>] {
    let mut request = httparse::Request::new(room);
    let whole = request.parse(head).is_ok_and(|parsed| parsed.is_complete());
    let count = if whole { request.headers.len() } else { 0 };
    room.get(..count).unwrap_or_default()
}

/// Fetches in the background what was answered from a stale copy: behind all who wait for an answer,
/// and not again at once where that failed or found no place.
pub fn refresh(door: &Arc<Door>, passage: &Passage, miss: Miss<'_>) {
    let slot = slot(miss.key, passage.copy.lookup, &passage.copy.said);
    let still = |asked| passage.copy.holds(asked, passage.site.store.purges());
    if passage.site.remembered.get(&slot, door.clock.mono(), still).is_some() {
        return;
    }
    if let Some(reader) = start(door, passage, miss, Class::Bulk) {
        read_on(reader);
    }
}

/// Reads a fill to its end for nobody, so that it is not abandoned. Whoever followed another's just
/// leaves: one reader a fill is enough, however many stale copies are given meanwhile.
pub fn read_on(mut reader: Reader) {
    if reader.is_follower() {
        return;
    }
    tokio::spawn(async move {
        if reader.head().await.is_ok() {
            while let Ok(Some(_)) = reader.next().await {}
        }
    });
}

/// The request that a fill sends for this visitor: a GET for the whole, asked for by nobody in
/// particular unless the lookup is personal; or the question whether the copy held is still right.
pub fn request_head(passage: &Passage, view: &View<'_>) -> Bytes {
    let Some((lookup, cache)) = passage.copy.lookup.zip(passage.site.cache_of(passage.route())) else {
        return Bytes::new();
    };
    let origin = passage.site.policy.origins.get(passage.route().origin.0);
    let host = origin.and_then(|o| o.servers.first()).map(Server::authority).unwrap_or_default();
    let (directives, validates) = (passage.copy.wishes, passage.copy.validates.as_deref());
    fill_request::write(view, &Asking { lookup, cache, host: &host, directives, validates })
}

/// Whether a follower may have what another's request was answered with. If not, its next fill is one among
/// those who say the same.
pub fn suits(passage: &mut Passage, head: &Head, reader: &Reader, view: &View<'_>) -> bool {
    if !reader.is_follower() || head.selecting.matches(view.fields) {
        return true;
    }
    passage.copy.said.clear();
    head.selecting.write(view.fields, &mut passage.copy.said);
    // The copy that was to be asked about is another's, too.
    passage.copy.validates = None;
    false
}

/// Reads a fill to its end for one who wants parts of it; whether that is worth its while.
pub async fn read_whole(passage: &Passage, mut reader: Reader) -> bool {
    let most = passage.site.cache_of(passage.route()).map_or(0, |cache| cache.max_object);
    let mut read = 0;
    while read <= most {
        match reader.next().await {
            Ok(Some(piece)) => read += piece.len(),
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
    false
}

/// The parts that a visitor asked for, of what a fill has just stored.
pub fn parts(passage: &Passage, key: &[u8], head: &Head, view: &View<'_>, collapsed: bool) -> Option<Answer> {
    let entry = passage.site.store.get(key)?.select(view.fields)?.clone();
    let content = copies::content(passage, view, entry, true);
    let status = cache_status(passage, head, collapsed);
    Some(Answer { reason: Reason::Fill, content, fields: Fields::new() }.with("cache-status", status))
}

/// The answer to a visitor whose own copy is what the fill has just fetched (RFC 9110 §13.2.2): the
/// fill asked for the whole, since others may need it.
pub fn not_modified(passage: &Passage, head: &Head, view: &View<'_>, collapsed: bool, now: Now) -> Option<Answer> {
    let is_condition = |f: &&Field<'_>| {
        f.name.eq_ignore_ascii_case("if-none-match") || f.name.eq_ignore_ascii_case("if-modified-since")
    };
    if !head.stored || !view.fields.iter().any(|f| is_condition(&f)) {
        return None;
    }
    let answered: Vec<Field<'_>> = head.fields.iter().map(|(n, v)| Field { name: n, value: v.as_slice() }).collect();
    let parts = ResponseParts { status: head.status, fields: &answered };
    let entry = Entry::new(&parts, Bytes::new(), Terms::default(), now);
    if entry.precondition(view) == Precondition::Full {
        return None;
    }
    let status = cache_status(passage, head, collapsed);
    let content = Content::NotModified(Arc::new(entry));
    Some(Answer { reason: Reason::Fill, content, fields: Fields::new() }.with("cache-status", status))
}

/// Cache-Status (RFC 9211) of a fill's answer.
pub fn cache_status(passage: &Passage, head: &Head, collapsed: bool) -> String {
    let why = passage.copy.forwarded.unwrap_or(Forward::Miss);
    CacheStatus::Forward { why, status: head.said, stored: head.stored, collapsed }.to_string()
}

async fn run(door: Arc<Door>, passage: Passage, writer: Writer) {
    let fill = writer.fill().clone();
    tokio::select! {
        () = fill.until_abandoned() => {}
        () = ask(door, passage, writer) => {}
    }
}

async fn ask(door: Arc<Door>, mut passage: Passage, mut writer: Writer) {
    if let Err((reason, retry_after)) = take_turn(&door, &mut passage).await {
        return writer.refuse(reason, retry_after);
    }
    let Some(proxy) = door.proxy() else { return };
    passage.site.telemetry.fills.inc();
    let head = writer.ask(&passage);
    let sink = Sink::new(head, writer.fill().clone(), passage.site.policy.edge.body_timeout);
    let mut session = ServerSession::new_http1(Box::new(sink));
    let carried = Carried { passage, role: Role::Fill(Box::new(writer)), continued: false, answered: None };
    session.set_connection_user_context(Some(Box::new(carried)));
    proxy.process_new_http(session, &door.ends.shutdown).await;
}

/// Waits for a place at the origin, as long as patience lasts.
pub async fn take_turn(door: &Door, passage: &mut Passage) -> Result<(), (Reason, Duration)> {
    let asked = door.clock.now();
    match passage.turn(asked) {
        Flow::Continue => Ok(()),
        Flow::Wait(turn) => {
            let patience = turn.patience(asked.mono);
            let outcome = tokio::time::timeout(patience, turn).await;
            passage.queued = door.clock.mono().since(asked.mono);
            match outcome {
                Ok(Ok(permit)) => {
                    passage.permit = Some(permit);
                    Ok(())
                }
                Ok(Err(reason)) => Err((reason, passage.origin().retry_after(door.clock.mono()))),
                Err(_) => Err((Reason::QueueTimeout, passage.origin().retry_after(door.clock.mono()))),
            }
        }
        Flow::Respond(answer) => Err((answer.reason, passage.origin().retry_after(asked.mono))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_reader_that_nobody_waits_for_keeps_a_fill_and_only_one() {
        let (fill, leader) = Fill::begin();
        let follower = fill.follow();
        read_on(leader);
        read_on(follower.unwrap());
        assert_eq!(fill.readers(), 1);
        fill.refuse(Reason::OriginFailed, Duration::ZERO);
        fill.until_abandoned().await;
    }
}
