//! Running a fill: a request of its own through pingora's proxy, over an IO that swallows what
//! pingora writes, while the hooks tee the answer to the readers and into the cache.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use pingora::apps::HttpServerApp;
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;

use super::fill::{Fill, For, Head, Joined, Missed, Reader};
use super::forward::is_hop_by_hop;
use super::sink::Sink;
use super::{Carried, Door, Role};
use crate::cache::entry::{Entry, Precondition, State};
use crate::cache::freshness::{Exchange, ResponseParts, Store, Terms, Unstorable, judge};
use crate::cache::key::Encodings;
use crate::cache::purge::{Mark, Names, Stamp};
use crate::cache::remembered::{FAILURE_BODY_MAX, Failure, Known, slot};
use crate::cache::request::Lookup;
use crate::cache::status::{CacheStatus, Forward};
use crate::cache::{tags, version};
use crate::clock::Now;
use crate::pipeline::Flow;
use crate::pipeline::answer::{Answer, Content, Fields, write_field};
use crate::pipeline::passage::Passage;
use crate::pipeline::reason::Reason;
use crate::pipeline::view::{Field, View};
use crate::policy::{self, Class};

mod notes;

use notes::{Failing, Notes};

/// A body up to this size is put together where its last piece arrives; a larger one where it holds
/// nobody up.
const GATHERED_AT_ONCE: usize = 1 << 20;

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
    let slot = slot(miss.key, passage.copy.lookup);
    let (copy, purges) = (&passage.copy, passage.site.store.purges());
    let known = || passage.site.remembered.get(&slot, door.clock.mono(), |asked| copy.holds(asked, purges));
    let unshared = matches!(known(), Some(Known::Unshared));
    match door.fills.join(&slot, !unshared, |fill| fill.asked.is_current(&copy.names, purges, copy.newer_than)) {
        Joined::Alone => None,
        Joined::Follows(reader) => Some(reader),
        Joined::Leads(fill, reader) => {
            // A fill may have ended between the look into the store and the look for fills: then what
            // came of it is there by now, and this one needs no origin.
            if replay(door, passage, miss.key, &fill) || replay_failure(known(), &fill, door.clock.now()) {
                door.fills.remove(&slot, &fill);
                return Some(reader);
            }
            let writer = Writer::new(door.clone(), fill, slot, miss.key.into(), passage);
            let mut fill = passage.for_fill();
            fill.class = class;
            tokio::spawn(run(door.clone(), fill, writer, miss.head));
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

fn replay(door: &Door, passage: &Passage, key: &[u8], fill: &Fill) -> bool {
    let now = door.clock.now();
    let Some(lookup) = passage.copy.lookup else { return false };
    let Some(entry) = passage.site.store.get(key) else { return false };
    let too_old = passage.copy.newer_than.is_some_and(|written| entry.mark().stamp() <= written);
    if entry.state(now.mono) != State::Fresh || !entry.may_answer(lookup) || too_old {
        return false;
    }
    repeat(&entry, fill, true, now);
    true
}

/// Gives a fill's readers an answer that is here.
fn repeat(entry: &Entry, fill: &Fill, stored: bool, now: Now) {
    let mut fields: Vec<_> =
        entry.fields().iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect();
    fields.push(("age".to_owned(), entry.age_seconds(now.mono).to_string().into_bytes()));
    let length = (entry.status() != 204).then_some(entry.body().len() as u64);
    fill.open(Head { status: entry.status(), fields, length, stored }, For::Everyone, true);
    fill.push(entry.body().clone());
    fill.close(true);
}

/// Fetches in the background what was answered from a stale copy: behind all who wait for an answer,
/// and not again at once where that failed or found no place.
pub fn refresh(door: &Arc<Door>, passage: &Passage, miss: Miss<'_>) {
    let slot = slot(miss.key, passage.copy.lookup);
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
/// particular unless the lookup is personal.
pub fn request_head(passage: &Passage, view: &View<'_>) -> Bytes {
    let mut out = BytesMut::with_capacity(512);
    let personal = passage.copy.lookup == Some(Lookup::Personal);
    out.extend_from_slice(b"GET ");
    out.extend_from_slice(view.target().as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    // Only HTTP/1.0 may come without a host; the origin needs one.
    let origin = passage.site.policy.origins.get(passage.route().origin.0);
    let host =
        if view.host.is_empty() { origin.and_then(|o| o.servers.first()).map_or("", |s| &s.host) } else { view.host };
    write_field("host", host, &mut out);
    let nominated = nominated(view.fields);
    for field in view.fields {
        let name = field.name.to_ascii_lowercase();
        let wanted = match name.as_str() {
            "cookie" => personal,
            // The fill asks for the whole, and for what its key says.
            "host" | "range" | "accept-encoding" | "expect" | "content-length" | "authorization" => false,
            "if-match" | "if-none-match" | "if-modified-since" | "if-unmodified-since" | "if-range" => false,
            name => !is_hop_by_hop(name) && !nominated.iter().any(|n| n == name),
        };
        if wanted {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(field.value);
            out.extend_from_slice(b"\r\n");
        }
    }
    write_field("accept-encoding", Encodings::of(view).field(), &mut out);
    out.extend_from_slice(b"\r\n");
    out.freeze()
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
    CacheStatus::Forward { why, stored: head.stored, collapsed }.to_string()
}

async fn run(door: Arc<Door>, passage: Passage, writer: Writer, head: Bytes) {
    let fill = writer.fill.clone();
    tokio::select! {
        () = fill.until_abandoned() => {}
        () = ask(door, passage, writer, head) => {}
    }
}

async fn ask(door: Arc<Door>, mut passage: Passage, mut writer: Writer, head: Bytes) {
    if let Err((reason, retry_after)) = take_turn(&door, &mut passage).await {
        return writer.refuse(reason, retry_after);
    }
    let Some(proxy) = door.proxy() else { return };
    passage.site.telemetry.fills.inc();
    writer.ask(&passage);
    let sink = Sink::new(head, writer.fill.clone(), passage.site.policy.edge.body_timeout);
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

/// The origin's side of a fill. Dropped before the body's end, it ends the fill as failed.
pub struct Writer {
    door: Arc<Door>,
    fill: Arc<Fill>,
    slot: Box<[u8]>,
    key: Box<[u8]>,
    names: Names,
    asked: Now,
    stamp: Stamp,
    storing: Option<Storing>,
    failing: Option<Failing>,
    /// Body bytes so far, and at most if the body is kept whole.
    bytes: usize,
    max: usize,
    notes: Notes,
    /// What becomes of the fill is known, and noted.
    settled: bool,
}

/// What is known of an entry to be, before its body is there.
struct Storing {
    status: u16,
    fields: Vec<(String, Vec<u8>)>,
    terms: Terms,
    arrived: Now,
    mark: Mark,
    store: Arc<crate::cache::store::Store>,
}

impl Writer {
    fn new(door: Arc<Door>, fill: Arc<Fill>, slot: Box<[u8]>, key: Box<[u8]>, passage: &Passage) -> Self {
        let asked = door.clock.now();
        let notes = Notes::new(passage, slot.clone(), door.clock);
        Self {
            door,
            fill,
            slot,
            key,
            names: passage.copy.names.clone(),
            asked,
            stamp: Stamp::ZERO,
            storing: None,
            failing: None,
            bytes: 0,
            max: 0,
            notes,
            settled: false,
        }
    }

    /// The request goes to the origin now: what is purged from here on is purged of its answer.
    fn ask(&mut self, passage: &Passage) {
        self.asked = self.door.clock.now();
        self.stamp = passage.site.store.purges().stamp(self.asked.mono);
        self.fill.asked.set(self.stamp);
        self.notes.asked(self.stamp);
    }

    /// The origin was not asked, or gave no answer.
    pub fn refuse(&mut self, reason: Reason, retry_after: Duration) {
        self.settled = true;
        // Noted before it leaves the table: nobody asks the origin in between.
        self.notes.unanswered(reason);
        self.fill.refuse(reason, retry_after);
        self.door.fills.remove(&self.slot, &self.fill);
    }

    /// The answer's head: judged, and opened to those it is for.
    pub fn head(&mut self, passage: &Passage, response: &ResponseHeader, now: Now) {
        self.judge(passage, response, now);
        // Of an answer that ends with its head, pingora tells no body and no end.
        let empty = response.headers.get("content-length").is_some_and(|length| length.as_bytes() == b"0");
        if empty || matches!(response.status.as_u16(), 204 | 304) {
            self.end();
        }
    }

    fn judge(&mut self, passage: &Passage, response: &ResponseHeader, now: Now) {
        let status = response.status.as_u16();
        let all: Vec<Field<'_>> =
            response.headers.iter().map(|(n, v)| Field { name: n.as_str(), value: v.as_bytes() }).collect();
        let verdict = passage.copy.lookup.zip(passage.site.cache_of(passage.route())).map(|(lookup, cache)| {
            let exchange = Exchange { request: self.asked, response: now };
            (judge(&ResponseParts { status, fields: &all }, lookup, cache, exchange), cache)
        });
        let mut fields = end_to_end(&all);
        let length = all.iter().find(|f| f.name == "content-length").and_then(|f| text(f.value)?.parse().ok());
        match verdict {
            // An event stream has no end, and begins where its reader came.
            _ if super::forward::is_stream(response) => self.for_leader(Head { status, fields, length, stored: false }),
            Some((Store::Yes(terms), cache)) => {
                if cache.strip_set_cookie {
                    fields.retain(|(name, _)| name != "set-cookie");
                }
                let store = passage.site.store.clone();
                let kept = fields.clone();
                self.max = cache.max_object;
                let (tags, known) = tags::of(&ResponseParts { status, fields: &all }, self.names.host());
                let mark = Mark::new(self.stamp, &self.names, &tags, known);
                self.fill.asked.tag((tags, known));
                self.storing = Some(Storing { status, fields: kept, terms, arrived: now, mark, store });
                self.fill.open(Head { status, fields, length, stored: true }, For::Everyone, true);
            }
            Some((Store::No(Unstorable::TooLarge), cache)) if self.would_store(passage, cache, &all, status, now) => {
                self.windowed(status);
                self.fill.open(Head { status, fields, length, stored: false }, For::Everyone, false);
            }
            Some((_, cache)) if is_failure(status, passage) => {
                self.max = cache.max_object;
                self.fail(Head { status, fields, length, stored: false }, &all, now);
            }
            _ => self.for_leader(Head { status, fields, length, stored: false }),
        }
    }

    /// Whether it is its size alone that keeps an answer from being stored: then those who wait may
    /// have it as it passes.
    fn would_store(&self, passage: &Passage, cache: &policy::Cache, all: &[Field<'_>], status: u16, now: Now) -> bool {
        let unbounded = policy::Cache { max_object: usize::MAX, ..cache.clone() };
        let exchange = Exchange { request: self.asked, response: now };
        let response = ResponseParts { status, fields: all };
        let judged = passage.copy.lookup.map(|lookup| judge(&response, lookup, &unbounded, exchange));
        matches!(judged, Some(Store::Yes(_)))
    }

    /// Whoever asks next does not wait to hear that this is not for them.
    fn for_leader(&mut self, head: Head) {
        self.settled = true;
        self.notes.unshared(head.status);
        self.door.fills.remove(&self.slot, &self.fill);
        self.fill.open(head, For::Leader(Missed::Alone), false);
    }

    /// It passes through a window: who comes when its beginning is gone goes alone.
    fn windowed(&mut self, status: u16) {
        (self.max, self.storing) = (0, None);
        self.notes.unshared(status);
    }

    /// An error about nobody in particular: those who ask meanwhile hear it too, and who asks later
    /// hears of it. One that sets a cookie is its first reader's; the others hear that there was one.
    fn fail(&mut self, head: Head, all: &[Field<'_>], now: Now) {
        if all.iter().any(|f| f.name == "set-cookie") {
            self.settled = true;
            self.notes.failed(Failure::Because(Reason::OriginError));
            self.door.fills.remove(&self.slot, &self.fill);
            let others = Missed::Refused(Reason::OriginError, super::RETRY_AFTER_FAILURE);
            return self.fill.open(head, For::Leader(others), false);
        }
        self.failing = Some(Failing::new(head.status, all, now));
        self.fill.open(head, For::Everyone, true);
    }

    /// A piece of the body, or its end.
    pub fn body(&mut self, piece: Option<&Bytes>, end: bool) {
        if let Some(piece) = piece {
            self.bytes = self.bytes.saturating_add(piece.len());
            if self.bytes > self.max && self.max > 0 {
                self.windowed(200);
                self.fill.let_go();
            }
            self.fill.push(piece.clone());
        }
        if end {
            self.end();
        }
    }

    fn end(&mut self) {
        self.settled = true;
        if let Some(failing) = self.failing.take() {
            let small = self.bytes <= FAILURE_BODY_MAX;
            self.notes.failed(failing.with(if small { self.fill.gather() } else { None }));
        }
        let (door, fill, slot) = (self.door.clone(), self.fill.clone(), self.slot.clone());
        let Some(storing) = self.storing.take() else {
            fill.close(true);
            return door.fills.remove(&slot, &fill);
        };
        let key = self.key.clone();
        let store = move || {
            if let Some(body) = fill.gather() {
                storing.keep(key, body);
            }
            // In the store before it leaves the table: nobody asks the origin in between.
            fill.close(true);
            door.fills.remove(&slot, &fill);
        };
        if self.bytes > GATHERED_AT_ONCE {
            // Nothing waits for it: those who come meanwhile follow the fill.
            self.fill.close(true);
            tokio::task::spawn_blocking(store);
        } else {
            store();
        }
    }
}

impl Storing {
    /// Puts it into the store.
    fn keep(self, key: Box<[u8]>, body: Bytes) {
        let fields: Vec<Field<'_>> = self.fields.iter().map(|(n, v)| Field { name: n, value: v.as_slice() }).collect();
        let response = ResponseParts { status: self.status, fields: &fields };
        let entry = Entry::new(&response, body, self.terms, self.arrived).marked(self.mark);
        self.store.insert(key, Arc::new(entry));
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Where nobody is left to read, it is not the origin that broke off.
        if !self.settled && !self.fill.is_abandoned() {
            self.notes.unanswered(Reason::OriginFailed);
        }
        self.fill.refuse(Reason::OriginFailed, super::RETRY_AFTER_FAILURE);
        self.door.fills.remove(&self.slot, &self.fill);
    }
}

/// An error of the origin's that is about nobody in particular: the request was nobody's.
fn is_failure(status: u16, passage: &Passage) -> bool {
    status >= 500 && passage.copy.lookup == Some(Lookup::Plain)
}

fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok()
}

/// The fields that Connection names as this connection's own (RFC 9110 §7.6.1).
fn nominated(fields: &[Field<'_>]) -> Vec<String> {
    let options = fields.iter().filter(|f| f.name.eq_ignore_ascii_case("connection"));
    let names = options.filter_map(|f| text(f.value)).flat_map(|v| v.split(','));
    names.map(|name| name.trim().to_ascii_lowercase()).collect()
}

/// What may be passed on. The length is written anew by whoever sends the body.
fn end_to_end(fields: &[Field<'_>]) -> Vec<(String, Vec<u8>)> {
    let nominated = nominated(fields);
    fields
        .iter()
        .filter(|f| !is_hop_by_hop(f.name) && f.name != "content-length" && f.name != "seawall-room")
        .filter(|f| !tags::is_hidden(f.name) && f.name != version::FIELD)
        .filter(|f| !nominated.iter().any(|n| n == f.name))
        .map(|f| (f.name.to_owned(), f.value.to_vec()))
        .collect()
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
