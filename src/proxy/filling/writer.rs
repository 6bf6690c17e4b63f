//! The origin's side of a fill: what becomes of its answer, for those who follow it and for the cache.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pingora::http::ResponseHeader;

use super::Miss;
use super::fields::end_to_end;
use super::notes::{Failing, Notes};
use super::storing::{Kept, Storing};
use crate::cache::encoded::{is_encodable, varies_by_coding};
use crate::cache::entry::Entry;
use crate::cache::freshen::Fields;
use crate::cache::freshness::{Exchange, ResponseParts, Store, Terms, Unstorable, judge, withheld};
use crate::cache::jitter::shorten;
use crate::cache::purge::{Mark, Names, Stamp};
use crate::cache::remembered::{FAILURE_BODY_MAX, Failure, Slot};
use crate::cache::request::Lookup;
use crate::cache::tags;
use crate::clock::Now;
use crate::pipeline::passage::Passage;
use crate::pipeline::reason::Reason;
use crate::pipeline::view::Field;
use crate::policy;
use crate::proxy::fill::{Fill, For, Head, Held, Missed};
use crate::proxy::forward::is_stream;
use crate::proxy::{Door, RETRY_AFTER_FAILURE};

mod validating;

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
        self.stamp = passage.site.store.purges().ask(&self.names, self.asked.mono);
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
        // RFC 9110 §8.6: never in a 204.
        let length = response.text("content-length").filter(|_| status != 204).and_then(|length| length.parse().ok());
        let fields = end_to_end(response.fields);
        // An event stream has no end, and begins where its reader came.
        if streams {
            return self.for_leader(Head { status, fields, length, ..Head::default() });
        }
        let exchange = Exchange { request: self.asked, response: now };
        let verdict = passage.copy.lookup.zip(passage.site.cache_of(passage.route()));
        let verdict = verdict.map(|(lookup, cache)| (judge(response, lookup, cache, exchange), cache));
        let selecting = self.selecting(passage, response);
        let passing = match &verdict {
            Some((Store::No(Unstorable::TooLarge), cache)) => self.would_store(passage, cache, response, now),
            _ => None,
        };
        match (verdict, selecting, passing) {
            (Some((Store::Yes(terms), cache)), Some(selecting), _) if !self.stands_for_good(passage, status, now) => {
                let mut fields = fields;
                if cache.strip_set_cookie {
                    fields.retain(|(name, _)| name != "set-cookie");
                }
                self.max = cache.max_object;
                let mark = self.mark(response);
                let codings = (cache.compress && is_encodable(response)).then(Arc::default);
                let kept = Kept { status, fields, length, terms, selecting, mark, body: None, codings };
                self.keep(passage, kept, now);
            }
            (Some((_, cache)), Some(selecting), Some(terms)) => {
                let mut fields = fields;
                if cache.strip_set_cookie {
                    fields.retain(|(name, _)| name != "set-cookie");
                }
                self.windowed(status);
                let (own, fields) = apart(status, fields);
                let whom = self.whom(&terms);
                self.fill.open(Head { status, fields, length, own, selecting, ..Head::default() }, whom, false);
            }
            (Some((_, cache)), ..) if is_failure(status, passage) => {
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

    /// On which terms an answer would be stored, if it is its size alone that keeps it from that: then those who
    /// wait may have it as it passes.
    fn would_store(
        &self,
        passage: &Passage,
        cache: &policy::Cache,
        response: &ResponseParts<'_>,
        now: Now,
    ) -> Option<Terms> {
        let unbounded = policy::Cache { max_object: usize::MAX, ..cache.clone() };
        let exchange = Exchange { request: self.asked, response: now };
        match judge(response, passage.copy.lookup?, &unbounded, exchange) {
            Store::Yes(terms) => Some(terms),
            Store::No(_) => None,
        }
    }

    /// Opens an answer that an entry comes of.
    fn keep(&mut self, passage: &Passage, kept: Kept, now: Now) {
        let Kept { status, fields, length, terms, selecting, mark, body, codings } = kept;
        let fresh_for = shorten(terms.fresh_for, &self.key, passage.id.lot());
        let terms = Terms { fresh_for, ..terms };
        let store = passage.site.store.clone();
        let stored = fields.clone();
        let (own, mut fields) = apart(status, fields);
        if codings.is_some() && !varies_by_coding(fields.iter().filter(|(n, _)| n == "vary").map(|(_, v)| v.as_slice()))
        {
            // Who follows gets it as it came; the next in a coding.
            fields.push(("vary".to_owned(), b"Accept-Encoding".to_vec()));
        }
        let said = body.is_some().then_some(304);
        let head = Head { status, fields, length, stored: true, own, selecting: selecting.clone(), said };
        self.storing =
            Some(Storing { status, fields: stored, terms, selecting, arrived: now, mark, store, body, codings });
        let whom = self.whom(&terms);
        self.fill.open(head, whom, true);
    }

    /// Whom an answer on these terms is for.
    fn whom(&self, terms: &Terms) -> For {
        if !terms.is_for_one_use() {
            return For::Everyone;
        }
        // Who comes from now on has to ask for themselves.
        self.door.fills.remove(&self.slot, &self.fill);
        if terms.must_revalidate && !terms.public { For::Leader(Missed::Alone) } else { For::Everyone }
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
        self.failing = Some(Failing::new(&head, all, now));
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
            // Those who come meanwhile follow the fill, which is the closure's to end now.
            self.handed_on = true;
            tokio::task::spawn_blocking(store);
        } else {
            store();
        }
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

/// What of an answer is for the one who asked alone, and what for all.
fn apart(status: u16, fields: Fields) -> (Fields, Fields) {
    let whole: Vec<Field<'_>> = fields.iter().map(|(n, v)| Field { name: n, value: v.as_slice() }).collect();
    let withheld = withheld(&ResponseParts { status, fields: &whole });
    fields.into_iter().partition(|(name, _)| withheld.iter().any(|own| own == name.as_bytes()))
}

/// An error of the origin's that is about nobody in particular: the request was nobody's.
fn is_failure(status: u16, passage: &Passage) -> bool {
    status >= 500 && passage.copy.lookup == Some(Lookup::Plain)
}
