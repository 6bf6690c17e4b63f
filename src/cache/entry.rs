//! What is kept of an answer: prepared once, so that a hit is one write.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use crate::clock::{Mono, Now};
use crate::pipeline::view::View;

use super::freshness::{ResponseParts, Terms};
use super::precondition::{self, Precondition, Validators, unix_seconds};
use super::purge::Mark;
use super::request::Lookup;
use super::vary::Selecting;
use super::weight;

mod coded;
mod head;

use coded::Coded;
use head::Head;

/// What an entry costs beside its bytes: allocations, the cache's own bookkeeping. Measured
/// generously: memory is a promise.
const OVERHEAD: usize = 1088;

/// How long an answer is kept beyond any other use, where the origin can be asked whether it is still
/// right.
const KEPT_TO_VALIDATE: Duration = Duration::from_secs(3600);

/// A whole answer.
#[derive(Debug)]
pub struct Entry {
    status: u16,
    head: Bytes,
    head_not_modified: Bytes,
    fields: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    stored: Mono,
    mark: Mark,
    terms: Terms,
    selecting: Selecting,
    etag: Option<HeaderValue>,
    last_modified: Option<HeaderValue>,
    /// Text that is given in codings too.
    coded: Option<Box<Coded>>,
    last_modified_unix: Option<u64>,
    date_unix: Option<u64>,
    /// The moment, in nanoseconds, from which on it is stale whatever its terms say.
    expired: AtomicU64,
}

/// Of what use an entry is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Answers.
    Fresh,
    /// Answers, while a new one is fetched. Also of use when that fails, within the other window.
    StaleWhileRevalidate,
    /// Answers when the origin fails.
    StaleIfError,
    /// None, but for a level that takes any copy.
    Dead,
}

impl Entry {
    /// Keeps a whole answer whose head came at `now` and was judged storable on these terms. Fields
    /// for one connection (RFC 9111 §3.1), Set-Cookie, Age and those that are malformed are left
    /// out, and so are those that the origin withholds from others (RFC 9111 §5.2.2.4, §5.2.2.7); Date is added
    /// where it is missing (RFC 9110 §6.6.1), and Content-Length is the body's.
    pub fn new(response: &ResponseParts<'_>, body: Bytes, terms: Terms, now: Now) -> Self {
        let kept = head::kept(response, now);
        let Head { full, not_modified, fields } = head::write(response.status, &kept, body.len());
        let value_of = |name: HeaderName| fields.iter().find(|(n, _)| *n == name).map(|(_, value)| value.clone());
        let last_modified = value_of(http::header::LAST_MODIFIED);
        let date = value_of(http::header::DATE);
        let unix = |value: &Option<HeaderValue>| unix_seconds(value.as_ref()?.as_bytes());
        Self {
            status: response.status,
            etag: value_of(http::header::ETAG),
            last_modified_unix: unix(&last_modified),
            date_unix: unix(&date),
            last_modified,
            coded: None,
            head: full,
            head_not_modified: not_modified,
            fields,
            body,
            stored: now.mono,
            mark: Mark::default(),
            terms,
            selecting: Selecting::default(),
            expired: AtomicU64::new(u64::MAX),
        }
    }

    /// The same, known to purges. One that nobody marked is as old as can be, and meant by every purge.
    #[must_use]
    pub fn marked(self, mark: Mark) -> Self {
        Self { mark, ..self }
    }

    /// When it was asked for, and what purges may call it.
    pub fn mark(&self) -> &Mark {
        &self.mark
    }

    /// For requests that say this; without it, for any.
    #[must_use]
    pub fn for_requests(self, selecting: Selecting) -> Self {
        Self { selecting, ..self }
    }

    /// What a request must say to be given it.
    pub fn selecting(&self) -> &Selecting {
        &self.selecting
    }

    /// From now on it is stale: given again only once the origin has said that it is right, or where the
    /// origin fails.
    pub fn expire(&self, now: Mono) {
        self.expired.fetch_min(now.as_nanos(), Ordering::Relaxed);
    }

    /// Whether a write, or the origin's word about it, has said that it is no longer right. A soft purge has not.
    pub fn is_outdated(&self) -> bool {
        self.expired.load(Ordering::Relaxed) != u64::MAX || self.mark.is_outdated()
    }

    /// From its arrival on: until its time is over, it was said to be stale, or a purge came.
    fn fresh_for(&self) -> Duration {
        let said = Mono::from_nanos(self.expired.load(Ordering::Relaxed));
        let until = self.mark.stale_since().map_or(said, |purged| purged.min(said));
        self.terms.fresh_for.min(until.since(self.stored))
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The fields in their order, without Content-Length, Age and Cache-Status of ours: for HTTP/2.
    pub fn fields(&self) -> &[(HeaderName, HeaderValue)] {
        &self.fields
    }

    /// The HTTP/1.1 head: status line, fields and Content-Length, each with its CRLF. What belongs
    /// to one answer (Age, Cache-Status) and the last CRLF are the caller's.
    pub fn head(&self) -> &Bytes {
        &self.head
    }

    /// The same for a 304: those of the fields that RFC 9110 §15.4.5 asks for.
    pub fn head_not_modified(&self) -> &Bytes {
        &self.head_not_modified
    }

    /// The body, whole.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// On which terms it is kept.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The ETag: for revalidation.
    pub fn etag(&self) -> Option<&HeaderValue> {
        self.etag.as_ref()
    }

    /// Last-Modified, where it is a date: for revalidation.
    pub fn last_modified(&self) -> Option<&HeaderValue> {
        self.last_modified_unix.and(self.last_modified.as_ref())
    }

    /// What it can be told from others by.
    pub fn validators(&self) -> Validators<'_> {
        Validators {
            etag: self.etag.as_ref().map(|etag| etag.as_bytes()),
            last_modified: self.last_modified_unix,
            date: self.date_unix,
        }
    }

    /// Whether the origin can be asked if it is still right: that is a question about a success alone (RFC
    /// 9110 §13.2.1).
    pub fn can_be_validated(&self) -> bool {
        (200..300).contains(&self.status) && (self.etag.is_some() || self.last_modified_unix.is_some())
    }

    /// Whether it may answer a request of that kind at all: one that bypasses the cache takes nothing,
    /// a personal one only what the origin calls public.
    pub fn may_answer(&self, lookup: Lookup) -> bool {
        match lookup {
            Lookup::Bypass(_) => false,
            Lookup::Plain => true,
            Lookup::Personal => self.terms.public,
            Lookup::Authorized => self.terms.authorized,
        }
    }

    /// Of what use it is at this moment.
    pub fn state(&self, now: Mono) -> State {
        self.state_within(now, self.terms.stale_while_revalidate)
    }

    /// The same, with this time for stale-while-revalidate.
    pub fn state_within(&self, now: Mono, stale_while_revalidate: Duration) -> State {
        let (resident, fresh_for) = (now.since(self.stored), self.fresh_for());
        if resident < fresh_for {
            return State::Fresh;
        }
        let stale_for = resident - fresh_for;
        if stale_for < stale_while_revalidate && !self.is_outdated() {
            State::StaleWhileRevalidate
        } else if stale_for < self.terms.stale_if_error {
            State::StaleIfError
        } else {
            State::Dead
        }
    }

    /// Whether it may answer for an origin that fails (RFC 5861 §4).
    pub fn is_good_on_error(&self, now: Mono) -> bool {
        now.since(self.stored) < self.fresh_for().saturating_add(self.terms.stale_if_error)
    }

    /// Whether one who takes copies that have been stale for no longer than this may have it (RFC 9111
    /// §5.2.1.2).
    pub fn may_be_stale_for(&self, max: Duration, now: Mono) -> bool {
        let stale_for = now.since(self.stored).saturating_sub(self.fresh_for());
        stale_for <= max && !self.terms.must_revalidate && !self.terms.no_max_stale && !self.is_outdated()
    }

    /// The value of Age (RFC 9111 §5.1), whole seconds.
    pub fn age_seconds(&self, now: Mono) -> u64 {
        self.age(now).as_secs()
    }

    /// RFC 9111 §4.2.3.
    pub fn age(&self, now: Mono) -> Duration {
        self.terms.initial_age.saturating_add(now.since(self.stored))
    }

    /// How long it is still fresh for; zero if it is stale.
    pub fn fresh_left(&self, now: Mono) -> Duration {
        self.fresh_for().saturating_sub(now.since(self.stored))
    }

    /// Whole seconds it is still fresh for; negative: stale for so long. For Cache-Status.
    pub fn ttl_seconds(&self, now: Mono) -> i64 {
        let (fresh_for, resident) = (self.fresh_for(), now.since(self.stored));
        let signed = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        if resident < fresh_for { signed(fresh_for - resident) } else { -signed(resident - fresh_for) }
    }

    /// How long it is of any use, from its arrival on.
    pub fn useful_for(&self) -> Duration {
        let stale = self.terms.stale_while_revalidate.max(self.terms.stale_if_error);
        let kept = if self.can_be_validated() { KEPT_TO_VALIDATE } else { Duration::ZERO };
        self.terms.fresh_for.saturating_add(stale.max(kept))
    }

    /// Whether it is of any use still.
    pub fn is_of_use(&self, now: Mono) -> bool {
        now.since(self.stored) < self.useful_for()
    }

    /// Bytes it takes at this moment, without its key.
    pub fn weight(&self) -> u32 {
        // Values share the head's bytes; each field costs a name and two handles.
        let fields = self.fields.len() * size_of::<(HeaderName, HeaderValue)>();
        let head = self.head.len() + self.head_not_modified.len() + fields;
        let coded = self.coded.as_ref().map_or(0, |coded| coded.weight(head));
        let more = self.selecting.weight() + self.mark.weight();
        let bytes = OVERHEAD + head + weight::of(self.body.len()) + coded + more;
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }

    /// Whether the client has it already. Without the precondition the answer would have to be a success
    /// (RFC 9110 §13.2.1).
    pub fn precondition(&self, view: &View<'_>) -> Precondition {
        if !(200..300).contains(&self.status) {
            return Precondition::Full;
        }
        precondition::evaluate(view, &self.validators())
    }
}

#[cfg(test)]
mod tests;
