//! The origin's side of a fill: what becomes of its answer, for those who follow it and for the cache.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use pingora::http::ResponseHeader;

use super::notes::{Failing, Notes};
use super::{Miss, room_for_fields, run, said};
use crate::cache::encoded::{is_encodable, is_of_size, varies_by_coding};
use crate::cache::entry::Entry;
use crate::cache::fill_request::nominated;
use crate::cache::freshen;
use crate::cache::freshness::{Exchange, ResponseParts, Store, Terms, Unstorable, judge, withheld};
use crate::cache::jitter::shorten;
use crate::cache::purge::{Mark, Names, Stamp, Tags, Verdict};
use crate::cache::remembered::{FAILURE_BODY_MAX, Failure, Slot};
use crate::cache::request::Lookup;
use crate::cache::vary::{self, Selecting};
use crate::cache::{store, tags, version};
use crate::clock::Now;
use crate::pipeline::passage::Passage;
use crate::pipeline::reason::Reason;
use crate::pipeline::view::Field;
use crate::policy;
use crate::proxy::fill::{Fill, For, Head, Held, Missed, is_error};
use crate::proxy::forward::{is_hop_by_hop, is_stream};
use crate::proxy::{Door, RETRY_AFTER_FAILURE};

/// The share (one in so many) of the cache's memory that bodies of fills in flight may take beside it.
const FILLS_SHARE: u64 = 2;
/// A body up to this size is put together where its last piece arrives; a larger one where it holds
/// nobody up.
const GATHERED_AT_ONCE: usize = 1 << 20;

/// See the module. Dropped before the body's end, it ends the fill as failed.
pub struct Writer {
    door: Arc<Door>,
    fill: Arc<Fill>,
    slot: Slot,
    key: Box<[u8]>,
    names: Names,
    /// What it says to the origin.
    request: Bytes,
    /// The copy that it asks about.
    validates: Option<Arc<Entry>>,
    asked: Now,
    stamp: Stamp,
    storing: Option<Storing>,
    failing: Option<Failing>,
    /// Body bytes so far, and at most if the body is kept whole.
    bytes: usize,
    max: usize,
    held: Held,
    /// Bytes that all fills may keep.
    held_max: u64,
    notes: Notes,
    /// What becomes of the fill is known, and noted.
    settled: bool,
    /// Another writer has taken its fill over.
    handed_on: bool,
}

/// What is known of an entry to be, before its body is there.
struct Storing {
    status: u16,
    fields: Vec<(String, Vec<u8>)>,
    terms: Terms,
    selecting: Selecting,
    arrived: Now,
    mark: Mark,
    store: Arc<store::Store>,
    /// The body, where the origin said that it is still right.
    body: Option<Bytes>,
    /// Text, as far as the head says.
    encodable: bool,
}

/// An answer to be kept, but for what is for one reader alone.
struct Kept {
    status: u16,
    fields: Vec<(String, Vec<u8>)>,
    length: Option<u64>,
    terms: Terms,
    selecting: Selecting,
    mark: Mark,
    body: Option<Bytes>,
    encodable: bool,
}

impl Writer {
    pub(super) fn new(door: Arc<Door>, fill: Arc<Fill>, slot: Slot, miss: Miss<'_>, passage: &Passage) -> Self {
        let asked = door.clock.now();
        let notes = Notes::new(passage, slot.clone(), door.clock);
        let (held, held_max) = (door.fills.held(), passage.site.policy.cache_memory / FILLS_SHARE);
        Self {
            door,
            fill,
            slot,
            key: miss.key.into(),
            names: passage.copy.names.clone(),
            request: miss.head,
            validates: passage.copy.validates.clone(),
            asked,
            stamp: Stamp::ZERO,
            storing: None,
            failing: None,
            bytes: 0,
            max: 0,
            held,
            held_max,
            notes,
            settled: false,
            handed_on: false,
        }
    }

    pub(super) fn fill(&self) -> &Arc<Fill> {
        &self.fill
    }

    /// The request goes to the origin now: what is purged from here on is purged of its answer.
    pub(super) fn ask(&mut self, passage: &Passage) -> Bytes {
        self.asked = self.door.clock.now();
        self.stamp = passage.site.store.purges().stamp(self.asked.mono);
        self.fill.asked.set(self.stamp);
        self.notes.asked(self.stamp);
        self.request.clone()
    }

    /// The origin was not asked, or gave no answer.
    pub fn refuse(&mut self, reason: Reason, retry_after: Duration) {
        self.settled = true;
        if self.handed_on {
            return;
        }
        // Noted before it leaves the table: nobody asks the origin in between.
        self.notes.unanswered(reason);
        self.fill.refuse(reason, retry_after);
        self.door.fills.remove(&self.slot, &self.fill);
    }

    /// What the origin says before its answer (RFC 8297).
    pub fn hint(&self, response: &ResponseHeader) {
        let all: Vec<Field<'_>> =
            response.headers.iter().map(|(n, v)| Field { name: n.as_str(), value: v.as_bytes() }).collect();
        self.fill.hint(end_to_end(&all));
    }

    /// The answer's head: judged, and opened to those it is for.
    pub fn head(&mut self, passage: &Passage, response: &ResponseHeader, now: Now) {
        let status = response.status.as_u16();
        let all: Vec<Field<'_>> =
            response.headers.iter().map(|(n, v)| Field { name: n.as_str(), value: v.as_bytes() }).collect();
        if status == 304 {
            return self.validated(passage, &ResponseParts { status, fields: &all }, now);
        }
        let streams = is_stream(response);
        self.judge(passage, &ResponseParts { status, fields: &all }, streams, now);
        // Of an answer that ends with its head, pingora tells no body and no end.
        let empty = response.headers.get("content-length").is_some_and(|length| length.as_bytes() == b"0");
        if empty || status == 204 {
            self.end();
        }
    }

    fn judge(&mut self, passage: &Passage, response: &ResponseParts<'_>, streams: bool, now: Now) {
        let status = response.status;
        let length = response.text("content-length").and_then(|length| length.parse().ok());
        let fields = end_to_end(response.fields);
        // An event stream has no end, and begins where its reader came.
        if streams {
            return self.for_leader(Head { status, fields, length, ..Head::default() });
        }
        let exchange = Exchange { request: self.asked, response: now };
        let verdict = passage.copy.lookup.zip(passage.site.cache_of(passage.route()));
        let verdict = verdict.map(|(lookup, cache)| (judge(response, lookup, cache, exchange), cache));
        let selecting = self.selecting(passage, response);
        match (verdict, selecting) {
            (Some((Store::Yes(terms), cache)), Some(selecting)) if !self.stands_for_good(passage, status, now) => {
                let mut fields = fields;
                if cache.strip_set_cookie {
                    fields.retain(|(name, _)| name != "set-cookie");
                }
                self.max = cache.max_object;
                let mark = self.mark(response);
                let fresh_for = shorten(terms.fresh_for, &self.key, passage.id.lot());
                let terms = Terms { fresh_for, ..terms };
                let encodable = cache.compress && is_encodable(response);
                let kept = Kept { status, fields, length, terms, selecting, mark, body: None, encodable };
                self.keep(passage, kept, now);
            }
            (Some((Store::No(Unstorable::TooLarge), cache)), Some(_))
                if self.would_store(passage, cache, response, now) =>
            {
                self.windowed(status);
                self.fill.open(Head { status, fields, length, ..Head::default() }, For::Everyone, false);
            }
            (Some((_, cache)), _) if is_failure(status, passage) => {
                self.max = cache.max_object;
                self.fail(Head { status, fields, length, ..Head::default() }, response.fields, now);
            }
            _ => self.for_leader(Head { status, fields, length, ..Head::default() }),
        }
    }

    /// By what purges may mean this answer.
    fn mark(&self, response: &ResponseParts<'_>) -> Mark {
        let (tags, known) = tags::of(response, self.names.host());
        let mark = Mark::new(self.stamp, &self.names, &tags, known);
        self.fill.asked.tag((tags, known));
        mark
    }

    /// Whether it is its size alone that keeps an answer from being stored: then those who wait may
    /// have it as it passes.
    fn would_store(&self, passage: &Passage, cache: &policy::Cache, response: &ResponseParts<'_>, now: Now) -> bool {
        let unbounded = policy::Cache { max_object: usize::MAX, ..cache.clone() };
        let exchange = Exchange { request: self.asked, response: now };
        let judged = passage.copy.lookup.map(|lookup| judge(response, lookup, &unbounded, exchange));
        matches!(judged, Some(Store::Yes(_)))
    }

    /// Opens an answer that an entry comes of.
    fn keep(&mut self, passage: &Passage, kept: Kept, now: Now) {
        let Kept { status, fields, length, terms, selecting, mark, body, encodable } = kept;
        let store = passage.site.store.clone();
        let whole: Vec<Field<'_>> = fields.iter().map(|(n, v)| Field { name: n, value: v.as_slice() }).collect();
        let withheld = withheld(&ResponseParts { status, fields: &whole });
        let is_own = |(name, _): &(String, Vec<u8>)| withheld.iter().any(|own| own == name.as_bytes());
        let stored = fields.clone();
        let (own, mut fields): (Vec<_>, Vec<_>) = fields.into_iter().partition(is_own);
        if encodable && !varies_by_coding(fields.iter().filter(|(n, _)| n == "vary").map(|(_, v)| v.as_slice())) {
            // Who follows gets it as it came; the next in a coding.
            fields.push(("vary".to_owned(), b"Accept-Encoding".to_vec()));
        }
        let said = body.is_some().then_some(304);
        let head = Head { status, fields, length, stored: true, own, selecting: selecting.clone(), said };
        self.storing =
            Some(Storing { status, fields: stored, terms, selecting, arrived: now, mark, store, body, encodable });
        let mut whom = For::Everyone;
        if terms.is_for_one_use() {
            // Who comes from now on has to ask for themselves.
            self.door.fills.remove(&self.slot, &self.fill);
            if terms.must_revalidate && !terms.public {
                whom = For::Leader(Missed::Alone);
            }
        }
        self.fill.open(head, whom, true);
    }

    /// For which requests an answer is; none if it is for no other.
    fn selecting(&self, passage: &Passage, response: &ResponseParts<'_>) -> Option<Selecting> {
        let names = vary::names(response)?;
        // The level is told with each request, and is in no key.
        let level = passage.site.policy.level.header.as_ref();
        if level.is_some_and(|level| names.iter().any(|name| name.eq_ignore_ascii_case(level))) {
            return None;
        }
        Some(Selecting::of(&names, said(&self.request, &mut room_for_fields())))
    }

    /// An error that would take the place of a copy that is better than it (RFC 5861 §4).
    fn stands_for_good(&self, passage: &Passage, status: u16, now: Now) -> bool {
        if !is_error(status) {
            return false;
        }
        let mut room = room_for_fields();
        let held = passage.site.store.get(&self.key);
        let held = held.as_ref().and_then(|variants| variants.select(said(&self.request, &mut room)));
        held.is_some_and(|entry| !is_error(entry.status()) && entry.is_good_on_error(now.mono))
    }

    /// A 304: the copy is still right, and is what its fields now say (RFC 9111 §4.3.4).
    fn validated(&mut self, passage: &Passage, update: &ResponseParts<'_>, now: Now) {
        let Some(entry) = self.validates.take() else {
            // Nobody asked whether anything is still right.
            return self.refuse(Reason::OriginFailed, RETRY_AFTER_FAILURE);
        };
        // Purged before it was asked about: what it was is not to come back.
        let gone = passage.site.store.purges().verdict(entry.mark()) == Verdict::Gone;
        if gone || !freshen::is_about(&entry, update) {
            return self.ask_for_the_whole(passage);
        }
        let merged = freshen::merged(&entry, update);
        let parts = ResponseParts { status: entry.status(), fields: &freshen::borrowed(&merged) };
        let exchange = Exchange { request: self.asked, response: now };
        let verdict = passage.copy.lookup.zip(passage.site.cache_of(passage.route()));
        let verdict = verdict.map(|(lookup, cache)| (judge(&parts, lookup, cache, exchange), cache));
        let (status, mut fields) = (entry.status(), end_to_end(parts.fields));
        let body = entry.body().clone();
        let length = (status != 204).then_some(body.len() as u64);
        // What we said of codings is no word of the origin's.
        let says = update.values("vary").next().is_some();
        let selecting = if says { self.selecting(passage, &parts) } else { Some(entry.selecting().clone()) };
        match (verdict, selecting) {
            (Some((Store::Yes(terms), cache)), Some(selecting)) => {
                if cache.strip_set_cookie {
                    fields.retain(|(name, _)| name != "set-cookie");
                }
                let body = Some(body.clone());
                // What the origin does not say anew still holds (RFC 9111 §4.3.4), tags too.
                let mark = match self.mark(update) {
                    said if said.tags() == Tags::None => entry.mark().asked_again(self.stamp),
                    said => said,
                };
                let encodable = entry.is_encodable();
                self.keep(passage, Kept { status, fields, length, terms, selecting, mark, body, encodable }, now);
            }
            _ => {
                entry.expire(now.mono);
                self.for_leader(Head { status, fields, length, said: Some(304), ..Head::default() });
            }
        }
        self.fill.push(body);
        self.end();
    }

    /// The origin's word was about something else than the copy: it is asked anew, for the whole, by another
    /// writer of the same fill (RFC 9111 §4.3.3).
    fn ask_for_the_whole(&mut self, passage: &Passage) {
        let miss = Miss { key: &self.key, head: unconditional(&self.request) };
        let mut writer = Self::new(self.door.clone(), self.fill.clone(), self.slot.clone(), miss, passage);
        writer.names = self.names.clone();
        self.handed_on = true;
        tokio::spawn(run(self.door.clone(), passage.for_fill(), writer));
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
            let others = Missed::Refused(Reason::OriginError, RETRY_AFTER_FAILURE);
            return self.fill.open(head, For::Leader(others), false);
        }
        self.failing = Some(Failing::new(head.status, all, now));
        self.fill.open(head, For::Everyone, true);
    }

    /// A piece of the body, or its end.
    pub fn body(&mut self, piece: Option<&Bytes>, end: bool) {
        if self.handed_on {
            return;
        }
        if let Some(piece) = piece {
            self.bytes = self.bytes.saturating_add(piece.len());
            if self.max > 0 && (self.bytes > self.max || !self.held.grow(piece.len(), self.held_max)) {
                self.windowed(200);
                self.held.let_go();
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
        let Some(mut storing) = self.storing.take() else {
            fill.close(true);
            return door.fills.remove(&slot, &fill);
        };
        let (key, request) = (self.key.clone(), self.request.clone());
        let store = move || {
            if let Some(body) = storing.body.take().or_else(|| fill.gather()) {
                storing.keep(key, &request, body);
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
    fn keep(self, key: Box<[u8]>, request: &[u8], body: Bytes) {
        let fields: Vec<Field<'_>> = self.fields.iter().map(|(n, v)| Field { name: n, value: v.as_slice() }).collect();
        let response = ResponseParts { status: self.status, fields: &fields };
        let encodable = self.encodable && is_of_size(body.len());
        let entry = Entry::new(&response, body, self.terms, self.arrived);
        let entry = entry.for_requests(self.selecting).marked(self.mark);
        let entry = if encodable { entry.encodable() } else { entry };
        let mut room = room_for_fields();
        self.store.insert(key, Arc::new(entry), said(request, &mut room), self.arrived.mono);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.handed_on {
            return;
        }
        // Where nobody is left to read, it is not the origin that broke off.
        if !self.settled && !self.fill.is_abandoned() {
            self.notes.unanswered(Reason::OriginFailed);
        }
        self.fill.refuse(Reason::OriginFailed, RETRY_AFTER_FAILURE);
        self.door.fills.remove(&self.slot, &self.fill);
    }
}

/// A request without its conditions.
fn unconditional(head: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(head.len());
    for line in head.split_inclusive(|b| *b == b'\n') {
        if !line.starts_with(b"if-none-match:") && !line.starts_with(b"if-modified-since:") {
            out.extend_from_slice(line);
        }
    }
    out.freeze()
}

/// An error of the origin's that is about nobody in particular: the request was nobody's.
fn is_failure(status: u16, passage: &Passage) -> bool {
    status >= 500 && passage.copy.lookup == Some(Lookup::Plain)
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
