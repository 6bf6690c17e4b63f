//! What follows from a write that the origin has accepted: groups of the cache that it makes stale, and
//! the token by which its visitor reads what was written.

use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use super::Result;
use crate::cache::freshness::ResponseParts;
use crate::cache::invalidation::is_safe;
use crate::cache::{tags, version};
use crate::clock::Now;
use crate::pipeline::passage::Passage;
use crate::pipeline::view::Field;

/// Hears the answer to a visitor's request.
pub fn hear(passage: &mut Passage, session: &Session, response: &mut ResponseHeader, now: Now) -> Result<()> {
    response.remove_header(version::FIELD);
    if is_safe(session.req_header().method.as_str()) || !(200..400).contains(&response.status.as_u16()) {
        return Ok(());
    }
    invalidate(passage, response, now);
    let site = passage.site.clone();
    let remembers = site.cache_of(passage.route()).is_some_and(|cache| cache.read_your_writes);
    if remembers {
        let token = version::encode(site.store.purges().stamp(now.mono), &site.keys);
        passage.cookies.push(version::cookie(&token, passage.scheme));
        response.insert_header(version::FIELD, token)?;
    }
    Ok(())
}

/// Says that a purge took more than it named.
pub fn warn_of_widening() {
    tracing::warn!("more targets are purged than can be told apart: what is as old as the oldest of them is purged");
}

/// Cache-Group-Invalidation (RFC 9875 §3).
fn invalidate(passage: &Passage, response: &ResponseHeader, now: Now) {
    if !response.headers.contains_key(tags::INVALIDATION) {
        return;
    }
    let Some(host) = passage.seen.as_deref().map(|seen| seen.host.as_str()) else { return };
    let fields: Vec<Field<'_>> =
        response.headers.iter().map(|(n, v)| Field { name: n.as_str(), value: v.as_bytes() }).collect();
    let stale = tags::invalidated(&ResponseParts { status: response.status.as_u16(), fields: &fields }, host);
    if !stale.is_empty() {
        let purged = passage.site.store.purges().purge_all(&stale, true, now);
        if purged.widened {
            warn_of_widening();
        }
    }
}
