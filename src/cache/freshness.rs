//! Whether an answer is kept, for how long it is fresh, and how long a stale copy is of use.
//!
//! RFC 9111 decides; the policy's `ttl` fills in where the origin gives no freshness, or wins with
//! `override`. It wins over freshness only: what is private, not to be stored, or sets a cookie
//! stays unstored whatever the policy says.

use std::time::{Duration, SystemTime};

use crate::clock::Now;
use crate::pipeline::view::Field;
use crate::policy::{self, Ttl};

use super::request::Lookup;

mod cache_control;

pub use cache_control::CacheControl;

/// The head of an origin's answer.
#[derive(Clone, Copy, Debug)]
pub struct ResponseParts<'a> {
    pub status: u16,
    pub fields: &'a [Field<'a>],
}

/// When a fill's request went out and its answer's head came in.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    pub request: Now,
    pub response: Now,
}

/// The verdict on an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    No(Unstorable),
    Yes(Terms),
}

/// For how long an answer is kept, and for whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The origin says that anyone may have it: personal lookups too.
    pub public: bool,
    /// From its arrival on; not the whole lifetime, part of which may have been spent elsewhere.
    pub fresh_for: Duration,
    /// The age it came with (RFC 9111 §4.2.3).
    pub initial_age: Duration,
    /// After `fresh_for`: may answer while a new one is fetched (RFC 5861 §3).
    pub stale_while_revalidate: Duration,
    /// After `fresh_for`: may answer when the origin fails (RFC 5861 §4).
    pub stale_if_error: Duration,
    /// No stale use at all (RFC 9111 §5.2.2.2, §5.2.2.8).
    pub must_revalidate: bool,
}

/// Why an answer is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unstorable {
    /// The request did not use the cache.
    Bypass,
    /// A status that is not kept: parts, errors, informal redirects.
    Status,
    /// `no-store`.
    NoStore,
    /// `private`, with field names or without.
    Private,
    /// `no-cache`: would need validation before every use.
    NoCache,
    /// It sets a cookie, and the policy does not strip it.
    SetCookie,
    /// It varies by more than the key holds.
    Vary,
    /// A personal answer that the origin does not call public.
    Personal,
    /// Neither origin nor policy gives it a time to live.
    NoFreshness,
    /// Stale when it came, and a stale copy would be of no use.
    Stale,
    /// Larger than `max_object`.
    TooLarge,
}

/// Judges an answer to a GET (an answer to a HEAD has no body to keep).
///
/// `max_object` is checked against Content-Length; the shell stops a fill that grows beyond it.
pub fn judge(response: &ResponseParts<'_>, lookup: Lookup, cache: &policy::Cache, exchange: Exchange) -> Store {
    match storable(response, lookup, cache) {
        Ok(control) => match terms(response, &control, cache, exchange) {
            Ok(terms) => Store::Yes(terms),
            Err(why) => Store::No(why),
        },
        Err(why) => Store::No(why),
    }
}

/// RFC 9111 §3, but for freshness.
fn storable(response: &ResponseParts<'_>, lookup: Lookup, cache: &policy::Cache) -> Result<CacheControl, Unstorable> {
    if let Lookup::Bypass(_) = lookup {
        return Err(Unstorable::Bypass);
    }
    // Those that RFC 9110 §15.1 lets a cache keep by default, without 206, 405, 414 and 501.
    if !matches!(response.status, 200 | 203 | 204 | 300 | 301 | 308 | 404 | 410) {
        return Err(Unstorable::Status);
    }
    let control = CacheControl::of(response);
    if control.no_store {
        return Err(Unstorable::NoStore);
    }
    if control.private {
        return Err(Unstorable::Private);
    }
    if control.no_cache {
        return Err(Unstorable::NoCache);
    }
    if !cache.strip_set_cookie && response.values("set-cookie").next().is_some() {
        return Err(Unstorable::SetCookie);
    }
    if !vary_is_covered(response, lookup) {
        return Err(Unstorable::Vary);
    }
    if lookup == Lookup::Personal && !control.is_shared() {
        return Err(Unstorable::Personal);
    }
    match response.text("content-length").map(str::parse::<u64>) {
        Some(Ok(length)) if length <= cache.max_object as u64 => Ok(control),
        None => Ok(control),
        Some(_) => Err(Unstorable::TooLarge),
    }
}

/// RFC 9111 §4.2 and RFC 5861.
fn terms(
    response: &ResponseParts<'_>,
    control: &CacheControl,
    cache: &policy::Cache,
    exchange: Exchange,
) -> Result<Terms, Unstorable> {
    let initial_age = initial_age(response, exchange);
    let lifetime = origin_lifetime(response, control, exchange.response);
    let fresh_for = match (cache.ttl, lifetime) {
        // The policy's ttl counts from arrival: the age it came with is the origin's matter.
        (Ttl::Fixed(ttl), None) => ttl,
        (Ttl::Fixed(ttl), Some(_)) if cache.override_origin => ttl,
        (_, Some(lifetime)) => lifetime.saturating_sub(initial_age),
        (Ttl::Origin, None) => return Err(Unstorable::NoFreshness),
    };
    // An origin that says "stale at once" means it: the policy's window for revalidation is for what
    // had a lifetime, even if it was spent on the way (an overloaded origin is a slow one). When the
    // origin fails, though, an old page is better than none.
    let never_fresh = fresh_for.is_zero() && lifetime == Some(Duration::ZERO);
    let policy_swr = if never_fresh { Duration::ZERO } else { cache.stale_while_revalidate };
    let unless_forbidden = |window| if control.must_revalidate { Duration::ZERO } else { window };
    let terms = Terms {
        // What differs by cookie is the same for those who send none, and for nobody else.
        public: control.is_shared() && !varies_by(response, "cookie"),
        fresh_for,
        initial_age,
        stale_while_revalidate: unless_forbidden(control.stale_while_revalidate.unwrap_or(policy_swr)),
        stale_if_error: unless_forbidden(control.stale_if_error.unwrap_or(cache.stale_if_error)),
        must_revalidate: control.must_revalidate,
    };
    if (terms.fresh_for, terms.stale_while_revalidate, terms.stale_if_error) == Default::default() {
        return Err(Unstorable::Stale);
    }
    Ok(terms)
}

/// RFC 9111 §4.2.1: s-maxage over max-age over Expires − Date. What is invalid or said twice is
/// said to be stale, never left out.
fn origin_lifetime(response: &ResponseParts<'_>, control: &CacheControl, now: Now) -> Option<Duration> {
    if let Some(lifetime) = control.s_maxage.or(control.max_age) {
        return Some(lifetime);
    }
    let mut all = response.values("expires");
    let expires = all.next()?;
    if all.next().is_some() {
        return Some(Duration::ZERO);
    }
    // §5.3: an invalid date, "0" above all, means already expired.
    let Some(expires) = http_date(expires) else { return Some(Duration::ZERO) };
    let date = date_of(response).unwrap_or_else(|| system_time(now));
    Some(expires.duration_since(date).unwrap_or_default())
}

/// RFC 9111 §4.2.3, `corrected_initial_age`.
fn initial_age(response: &ResponseParts<'_>, exchange: Exchange) -> Duration {
    let apparent = date_of(response)
        .and_then(|date| system_time(exchange.response).duration_since(date).ok())
        // Date has whole seconds: less than one of difference is none.
        .map_or(Duration::ZERO, |age| Duration::from_secs(age.as_secs()));
    // §5.1: of a list the first counts, what is no number is ignored.
    let first = response.text("age").and_then(|value| value.split(',').next());
    let age = first.and_then(|age| cache_control::delta_seconds(age.trim())).unwrap_or_default();
    // From the request on: whichever cache it came from, it may have been as old by then.
    let delay = exchange.response.mono.since(exchange.request.mono);
    apparent.max(age.saturating_add(delay))
}

/// Accept-Encoding is in the key; Cookie is not sent by a plain lookup (RFC 9111 §4.1).
fn vary_is_covered(response: &ResponseParts<'_>, lookup: Lookup) -> bool {
    response.values("vary").all(|value| {
        value.split(|b| *b == b',').map(<[u8]>::trim_ascii).all(|name| {
            name.is_empty()
                || name.eq_ignore_ascii_case(b"accept-encoding")
                || (lookup == Lookup::Plain && name.eq_ignore_ascii_case(b"cookie"))
        })
    })
}

fn varies_by(response: &ResponseParts<'_>, field: &str) -> bool {
    let mut names = response.values("vary").flat_map(|value| value.split(|b| *b == b','));
    names.any(|name| name.trim_ascii().eq_ignore_ascii_case(field.as_bytes()))
}

fn date_of(response: &ResponseParts<'_>) -> Option<SystemTime> {
    response.values("date").next().and_then(http_date)
}

pub(super) fn http_date(value: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(value).ok()?.trim()).ok()
}

pub(super) fn system_time(now: Now) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(now.unix_ms)
}

impl<'a> ResponseParts<'a> {
    /// Every value of a field, in order, as it came.
    pub fn values<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.fields.iter().filter(move |f| f.name.eq_ignore_ascii_case(name)).map(|f| f.value)
    }

    /// The first value of a field, trimmed; none if it is not valid UTF-8.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.values(name).next().and_then(|value| std::str::from_utf8(value).ok()).map(str::trim)
    }
}

#[cfg(test)]
mod tests;
