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
use super::vary;

pub(super) mod cache_control;
mod lifetime;
mod targeted;

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
    /// The same for those who send credentials (RFC 9111 §3.5).
    pub authorized: bool,
    /// From its arrival on; not the whole lifetime, part of which may have been spent elsewhere.
    pub fresh_for: Duration,
    /// The age it came with (RFC 9111 §4.2.3).
    pub initial_age: Duration,
    /// After `fresh_for`: may answer while a new one is fetched (RFC 5861 §3).
    pub stale_while_revalidate: Duration,
    /// After `fresh_for`: may answer when the origin fails (RFC 5861 §4).
    pub stale_if_error: Duration,
    /// No stale use at all (RFC 9111 §4.2.4).
    pub must_revalidate: bool,
    /// A request's `max-stale` is not heard: s-maxage forbids stale use too (RFC 9111 §5.2.2.10), but where the
    /// policy overrides what the origin says.
    pub no_max_stale: bool,
    /// Never changes while it is fresh (RFC 8246): a reload is no reason to ask.
    pub immutable: bool,
}

impl Terms {
    /// Whether the answer is of use only to what the origin says of it anew each time: who came
    /// after its head has to ask.
    pub fn is_for_one_use(&self) -> bool {
        self.fresh_for.is_zero()
    }
}

/// Why an answer is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unstorable {
    /// The request did not use the cache.
    Bypass,
    /// A status that is not kept: parts, or one whose answer says nothing of being kept.
    Status,
    /// `must-understand`, with a status that this cache does not know.
    NotUnderstood,
    /// `no-store`.
    NoStore,
    /// `private`, without field names.
    Private,
    /// `no-cache`, and nothing to validate it by.
    NoCache,
    /// It sets a cookie, and the policy does not strip it.
    SetCookie,
    /// It varies by what no two requests share, or by who asks.
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
    let said = Said::of(response);
    let verdict =
        storable(response, &said.control, lookup, cache).and_then(|()| terms(response, &said, lookup, cache, exchange));
    verdict.map_or_else(Store::No, Store::Yes)
}

/// The fields of an answer that are for the one who asked alone (RFC 9111 §5.2.2.4, §5.2.2.7), in lower
/// case.
pub fn withheld(response: &ResponseParts<'_>) -> Vec<Vec<u8>> {
    Said::of(response).control.withheld
}

/// Whether the answer may be given to others than the one who asked, as far as it says (RFC 9111 §3).
pub fn is_for_others(response: &ResponseParts<'_>) -> bool {
    let control = Said::of(response).control;
    !control.no_store && !control.private && control.withheld.is_empty()
}

/// What an answer says of its keeping, by the fields that count here.
struct Said {
    control: CacheControl,
    /// A targeted field took the place of Cache-Control and Expires (RFC 9213 §2.2).
    targeted: bool,
}

impl Said {
    fn of(response: &ResponseParts<'_>) -> Self {
        match targeted::of(response) {
            Some(control) => Self { control, targeted: true },
            None => Self { control: CacheControl::of(response), targeted: false },
        }
    }
}

/// RFC 9111 §3, but for freshness.
fn storable(
    response: &ResponseParts<'_>,
    control: &CacheControl,
    lookup: Lookup,
    cache: &policy::Cache,
) -> Result<(), Unstorable> {
    if let Lookup::Bypass(_) = lookup {
        return Err(Unstorable::Bypass);
    }
    // Parts are not kept (§3.3 lets a cache choose), and a 304 is no answer of its own.
    if !(200..600).contains(&response.status) || matches!(response.status, 206 | 304 | 407) {
        return Err(Unstorable::Status);
    }
    if control.must_understand && !is_understood(response.status) {
        return Err(Unstorable::NotUnderstood);
    }
    // §5.2.2.3: who understands ignores the no-store that is there for those who don't.
    if control.no_store && !control.must_understand {
        return Err(Unstorable::NoStore);
    }
    if control.private {
        return Err(Unstorable::Private);
    }
    let sets_cookie = response.values("set-cookie").next().is_some();
    if sets_cookie && !cache.strip_set_cookie && !control.withheld.iter().any(|name| name == b"set-cookie") {
        return Err(Unstorable::SetCookie);
    }
    let by_visitor = varies_by_visitor(response);
    if vary::names(response).is_none() || (by_visitor && lookup != Lookup::Plain) {
        return Err(Unstorable::Vary);
    }
    let allowed = match lookup {
        Lookup::Plain => true,
        Lookup::Personal => control.is_shared(),
        Lookup::Authorized => control.allows_authorized(),
        Lookup::Bypass(_) => false,
    };
    if !allowed {
        return Err(Unstorable::Personal);
    }
    match response.text("content-length").map(str::parse::<u64>) {
        Some(Ok(length)) if length <= cache.max_object as u64 => Ok(()),
        None => Ok(()),
        Some(_) => Err(Unstorable::TooLarge),
    }
}

/// RFC 9111 §4.2 and RFC 5861.
fn terms(
    response: &ResponseParts<'_>,
    said: &Said,
    lookup: Lookup,
    cache: &policy::Cache,
    exchange: Exchange,
) -> Result<Terms, Unstorable> {
    let control = &said.control;
    let initial_age = lifetime::initial_age(response, exchange);
    let lifetime = lifetime::by_origin(response, control, said.targeted, exchange.response);
    // §3: an answer that says nothing is kept by its status alone.
    let may_be_guessed = (is_heuristically_cacheable(response.status) || control.public)
        && (lookup != Lookup::Authorized || control.is_shared());
    let fresh_for = match (cache.ttl, lifetime) {
        _ if control.no_cache && (may_be_guessed || lifetime.is_some()) => Duration::ZERO,
        (Ttl::Fixed(ttl), Some(_)) if cache.override_origin && is_heuristically_cacheable(response.status) => ttl,
        (_, Some(lifetime)) => lifetime.saturating_sub(initial_age),
        (_, None) if !may_be_guessed => return Err(Unstorable::Status),
        // The policy's ttl counts from arrival: the age it came with is the origin's matter.
        (Ttl::Fixed(ttl), None) => ttl,
        (Ttl::Heuristic, None) => {
            lifetime::heuristic(response, exchange.response).ok_or(Unstorable::NoFreshness)?.saturating_sub(initial_age)
        }
        (Ttl::Origin, None) => return Err(Unstorable::NoFreshness),
    };
    let (stale_while_revalidate, stale_if_error) = stale_windows(response.status, control, cache, fresh_for, lifetime);
    let by_visitor = varies_by_visitor(response);
    let terms = Terms {
        // What differs by cookie is the same for those who send none, and for nobody else.
        public: control.is_shared() && !by_visitor,
        authorized: control.allows_authorized() && !by_visitor,
        fresh_for,
        initial_age,
        stale_while_revalidate,
        stale_if_error,
        must_revalidate: control.forbids_stale(),
        no_max_stale: control.s_maxage.is_some() && !cache.override_origin,
        immutable: control.immutable,
    };
    let of_use = (fresh_for, stale_while_revalidate, stale_if_error) != Default::default();
    match of_use || has_validator(response) {
        true => Ok(terms),
        false if control.no_cache => Err(Unstorable::NoCache),
        false => Err(Unstorable::Stale),
    }
}

fn stale_windows(
    status: u16,
    control: &CacheControl,
    cache: &policy::Cache,
    fresh_for: Duration,
    lifetime: Option<Duration>,
) -> (Duration, Duration) {
    // An error is worth keeping only while the origin says so.
    if control.forbids_stale() || status >= 500 {
        return Default::default();
    }
    // §5.2.2.10: s-maxage forbids what the origin does not allow itself; `override` is the operator's word
    // against it.
    let by_policy = control.s_maxage.is_none() || cache.override_origin;
    // An origin that says "stale at once" means it: the policy's window for revalidation is for what
    // had a lifetime, even if it was spent on the way (an overloaded origin is a slow one). When the
    // origin fails, though, an old page is better than none.
    let never_fresh = fresh_for.is_zero() && lifetime == Some(Duration::ZERO);
    let swr = if by_policy && !never_fresh { cache.stale_while_revalidate } else { Duration::ZERO };
    let sie = if by_policy { cache.stale_if_error } else { Duration::ZERO };
    (control.stale_while_revalidate.unwrap_or(swr), control.stale_if_error.unwrap_or(sie))
}

/// What RFC 9110 §15.1 lets a cache keep without being told to, but for parts.
fn is_heuristically_cacheable(status: u16) -> bool {
    matches!(status, 200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// The statuses whose meaning for a cache is known here: those that RFC 9110 §15 and the registry define.
fn is_understood(status: u16) -> bool {
    matches!(status, 200..=208 | 226 | 300..=303 | 305 | 307 | 308 | 400..=417 | 421..=426 | 428 | 429 | 431 | 451
        | 500..=508 | 511)
}

/// Something by which the origin can be asked whether it is still right (RFC 9110 §13.1: only a success is
/// asked about so).
fn has_validator(response: &ResponseParts<'_>) -> bool {
    (200..300).contains(&response.status)
        && (response.values("etag").next().is_some()
            || response.values("last-modified").next().and_then(http_date).is_some())
}

/// The answer differs by what makes a request somebody's.
fn varies_by_visitor(response: &ResponseParts<'_>) -> bool {
    let mut names = response.values("vary").flat_map(|value| value.split(|b| *b == b','));
    names.any(|name| {
        let name = name.trim_ascii();
        name.eq_ignore_ascii_case(b"cookie") || name.eq_ignore_ascii_case(b"authorization")
    })
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
