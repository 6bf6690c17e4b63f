//! What is kept of an answer: prepared once, so that a hit is one write.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use crate::clock::{Mono, Now};
use crate::pipeline::view::View;

use super::freshness::{ResponseParts, Terms, http_date, system_time};
use super::request::Lookup;
use super::weight;

mod coded;
mod head;

use coded::Coded;
use head::Head;

/// What an entry costs beside its bytes: allocations, the cache's own bookkeeping. Measured
/// generously: memory is a promise.
const OVERHEAD: usize = 960;

/// A whole answer.
#[derive(Debug)]
pub struct Entry {
    status: u16,
    head: Bytes,
    head_not_modified: Bytes,
    fields: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    stored: Mono,
    terms: Terms,
    etag: Option<HeaderValue>,
    /// Text that is given in codings too.
    coded: Option<Box<Coded>>,
    last_modified_unix: Option<u64>,
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

/// The outcome of a request's preconditions (RFC 9110 §13.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// The whole answer.
    Full,
    /// 304: the client has it.
    NotModified,
}

impl Entry {
    /// Keeps a whole answer whose head came at `now` and was judged storable on these terms. Fields
    /// for one connection (RFC 9111 §3.1), Set-Cookie, Age and those that are malformed are left
    /// out, Date is added where it is missing (RFC 9110 §6.6.1), and Content-Length is the body's.
    pub fn new(response: &ResponseParts<'_>, body: Bytes, terms: Terms, now: Now) -> Self {
        let kept = head::kept(response, now);
        let Head { full, not_modified, fields } = head::write(response.status, &kept, body.len());
        let value_of = |name: HeaderName| fields.iter().find(|(n, _)| *n == name).map(|(_, value)| value.clone());
        let last_modified_unix = value_of(http::header::LAST_MODIFIED)
            .and_then(|value| http_date(value.as_bytes()))
            .and_then(|time| Some(time.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs()));
        Self {
            status: response.status,
            etag: value_of(http::header::ETAG),
            last_modified_unix,
            coded: None,
            head: full,
            head_not_modified: not_modified,
            fields,
            body,
            stored: now.mono,
            terms,
        }
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

    /// Seconds since 1970 UTC.
    pub fn last_modified_unix(&self) -> Option<u64> {
        self.last_modified_unix
    }

    /// Whether it may answer a request of that kind at all: one that bypasses the cache takes nothing,
    /// a personal one only what the origin calls public.
    pub fn may_answer(&self, lookup: Lookup) -> bool {
        match lookup {
            Lookup::Bypass(_) => false,
            Lookup::Plain => true,
            Lookup::Personal => self.terms.public,
        }
    }

    /// Of what use it is at this moment.
    pub fn state(&self, now: Mono) -> State {
        self.state_within(now, self.terms.stale_while_revalidate)
    }

    /// The same, with this time for stale-while-revalidate.
    pub fn state_within(&self, now: Mono, stale_while_revalidate: Duration) -> State {
        let resident = now.since(self.stored);
        if resident < self.terms.fresh_for {
            return State::Fresh;
        }
        let stale_for = resident - self.terms.fresh_for;
        if stale_for < stale_while_revalidate {
            State::StaleWhileRevalidate
        } else if stale_for < self.terms.stale_if_error {
            State::StaleIfError
        } else {
            State::Dead
        }
    }

    /// Whether it may answer for an origin that fails (RFC 5861 §4).
    pub fn is_good_on_error(&self, now: Mono) -> bool {
        now.since(self.stored) < self.terms.fresh_for.saturating_add(self.terms.stale_if_error)
    }

    /// The value of Age (RFC 9111 §5.1), whole seconds.
    pub fn age_seconds(&self, now: Mono) -> u64 {
        self.terms.initial_age.saturating_add(now.since(self.stored)).as_secs()
    }

    /// Whole seconds it is still fresh for; negative: stale for so long. For Cache-Status.
    pub fn ttl_seconds(&self, now: Mono) -> i64 {
        let (fresh_for, resident) = (self.terms.fresh_for, now.since(self.stored));
        let signed = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        if resident < fresh_for { signed(fresh_for - resident) } else { -signed(resident - fresh_for) }
    }

    /// How long it is of any use, from its arrival on.
    pub fn useful_for(&self) -> Duration {
        let stale = self.terms.stale_while_revalidate.max(self.terms.stale_if_error);
        self.terms.fresh_for.saturating_add(stale)
    }

    /// Bytes it takes at this moment, without its key.
    pub fn weight(&self) -> u32 {
        // Values share the head's bytes; each field costs a name and two handles.
        let fields = self.fields.len() * size_of::<(HeaderName, HeaderValue)>();
        let head = self.head.len() + self.head_not_modified.len() + fields;
        let coded = self.coded.as_ref().map_or(0, |coded| coded.weight(head));
        let bytes = OVERHEAD + head + weight::of(self.body.len()) + coded;
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }

    /// Weighs a GET's or HEAD's preconditions in the order of RFC 9110 §13.2.2: If-None-Match, and
    /// If-Modified-Since only without it. If-Match and If-Unmodified-Since are not for a cache to
    /// decide (RFC 9111 §4.3.2).
    pub fn precondition(&self, view: &View<'_>) -> Precondition {
        // §13.2.1: without the precondition, the answer would have to be a success.
        if !(200..300).contains(&self.status) {
            return Precondition::Full;
        }
        let is_current = if view.fields.iter().any(|f| f.name.eq_ignore_ascii_case("if-none-match")) {
            view.fields_named("if-none-match").any(|list| self.matches_any(list))
        } else {
            self.is_unmodified(view)
        };
        if is_current { Precondition::NotModified } else { Precondition::Full }
    }

    /// Weak comparison (RFC 9110 §8.8.3.2) with a list of entity tags, or `*`.
    fn matches_any(&self, list: &str) -> bool {
        if list == "*" {
            return true;
        }
        let Some(etag) = self.etag.as_ref().map(|etag| opaque(etag.as_bytes())) else { return false };
        let mut rest = list.as_bytes();
        while let Some((tag, after)) = next_tag(rest) {
            if tag == etag {
                return true;
            }
            rest = after;
        }
        false
    }

    /// RFC 9110 §13.1.3: said once, and a date, or not at all.
    fn is_unmodified(&self, view: &View<'_>) -> bool {
        let mut values = view.fields_named("if-modified-since");
        let (Some(since), None, Some(modified)) = (values.next(), values.next(), self.last_modified_unix) else {
            return false;
        };
        let Some(since) = http_date(since.as_bytes()) else { return false };
        system_time(Now { unix_ms: modified.saturating_mul(1000), ..Now::default() }) <= since
    }
}

/// An entity tag without what makes it weak.
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// The opaque part of the first tag in a list, quotes and all, and what follows it. A tag may hold
/// commas, so the list is read by its quotes; none when it is malformed from here on.
fn next_tag(list: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = list.iter().position(|b| !matches!(b, b' ' | b'\t' | b','))?;
    let tag = opaque(list.get(start..)?);
    let inside = tag.strip_prefix(b"\"")?;
    let end = inside.iter().position(|b| *b == b'"')? + 2;
    Some((tag.get(..end)?, tag.get(end..)?))
}

#[cfg(test)]
mod tests;
