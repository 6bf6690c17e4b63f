//! How long an answer is fresh, and how old it was when it came (RFC 9111 §4.2).

use std::time::{Duration, SystemTime};

use super::{CacheControl, Exchange, ResponseParts, cache_control, http_date, system_time};
use crate::clock::Now;

/// A guess at freshness is a share of the time since the page changed (§4.2.2), and no more than this.
const HEURISTIC_SHARE: u32 = 10;
const HEURISTIC_MAX: Duration = Duration::from_secs(24 * 3600);

/// §4.2.1: s-maxage over max-age over Expires − Date. What is invalid or said twice is said to be stale,
/// never left out.
pub(super) fn by_origin(
    response: &ResponseParts<'_>,
    control: &CacheControl,
    targeted: bool,
    now: Now,
) -> Option<Duration> {
    if let Some(lifetime) = control.s_maxage.or(control.max_age) {
        return Some(lifetime);
    }
    if targeted {
        return None;
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

/// §4.2.2: what has not changed for long is not about to.
pub(super) fn heuristic(response: &ResponseParts<'_>, now: Now) -> Option<Duration> {
    let modified = response.values("last-modified").next().and_then(http_date)?;
    let date = date_of(response).unwrap_or_else(|| system_time(now));
    Some((date.duration_since(modified).ok()? / HEURISTIC_SHARE).min(HEURISTIC_MAX))
}

/// §4.2.3, `corrected_initial_age`.
pub(super) fn initial_age(response: &ResponseParts<'_>, exchange: Exchange) -> Duration {
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

fn date_of(response: &ResponseParts<'_>) -> Option<SystemTime> {
    response.values("date").next().and_then(http_date)
}
