//! What the answer to one visitor's own request says of the copies held: a write outdates them (RFC 9111
//! §4.4), the answer to a HEAD renews or outdates them (§4.3.5).

use std::sync::Arc;

use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use crate::cache::encoded::codings_of;
use crate::cache::entry::Entry;
use crate::cache::freshen::{self, HeadSays};
use crate::cache::freshness::{Exchange, ResponseParts, Store, judge};
use crate::cache::invalidation::{Write, outdated};
use crate::cache::key;
use crate::cache::purge::Target;
use crate::cache::request::Lookup;
use crate::clock::Now;
use crate::pipeline::passage::Passage;
use crate::pipeline::view::Field;

/// Tells the store.
pub(super) fn answer(passage: &Passage, session: &Session, response: &ResponseHeader, now: Now) {
    if passage.site.policy.caches.is_empty() {
        return;
    }
    let fields: Vec<Field<'_>> =
        response.headers.iter().map(|(n, v)| Field { name: n.as_str(), value: v.as_bytes() }).collect();
    let response = ResponseParts { status: response.status.as_u16(), fields: &fields };
    match &passage.copy.renews {
        Some(key) => to_head(passage, session, key, &response, now),
        None => to_write(passage, &response, now),
    }
}

fn to_write(passage: &Passage, response: &ResponseParts<'_>, now: Now) {
    let Some(seen) = passage.seen.as_deref() else { return };
    let write = Write { method: &seen.method, scheme: passage.scheme, host: &seen.host, target: &seen.target };
    let host = key::bare_host(&seen.host, passage.scheme);
    let written = |page: String| Target::Written { host: host.into(), path_and_query: page.into() };
    let targets: Vec<_> = outdated(&write, response).into_iter().map(written).collect();
    if passage.site.outdate(&targets, now).is_some_and(|purged| purged.widened) {
        super::warn_of_widening();
    }
}

fn to_head(passage: &Passage, session: &Session, key: &[u8], response: &ResponseParts<'_>, now: Now) {
    let asked: Vec<Field<'_>> =
        session.req_header().headers.iter().map(|(n, v)| Field { name: n.as_str(), value: v.as_bytes() }).collect();
    let Some(variants) = passage.site.store.get(key) else { return };
    let Some(entry) = variants.select(&asked) else { return };
    match freshen::head_says(entry, response) {
        HeadSays::Nothing => {}
        HeadSays::Changed => entry.expire(now.mono),
        HeadSays::Same => {
            let Some(cache) = passage.site.cache_of(passage.route()) else { return };
            let merged = freshen::merged(entry, response);
            let parts = ResponseParts { status: entry.status(), fields: &freshen::borrowed(&merged) };
            let exchange = Exchange { request: passage.began, response: now };
            match judge(&parts, Lookup::Plain, cache, exchange) {
                Store::No(_) => entry.expire(now.mono),
                Store::Yes(terms) => {
                    let renewed = Entry::new(&parts, entry.body().clone(), terms, now);
                    let renewed = renewed
                        .for_requests(entry.selecting().clone())
                        .marked(entry.mark().asked_again(entry.mark().stamp()));
                    let renewed = match codings_of(entry, &parts, cache) {
                        Some(codings) => renewed.encodable(codings),
                        None => renewed,
                    };
                    passage.site.store.insert(key.into(), Arc::new(renewed), &asked, now.mono);
                }
            }
        }
    }
}
