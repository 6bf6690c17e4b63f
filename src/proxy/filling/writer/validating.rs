//! A fill that asks whether a copy is still right, and for which requests an answer is.

use std::sync::Arc;

use super::super::fields::{end_to_end, unconditional};
use super::super::storing::Kept;
use super::super::{Miss, room_for_fields, run, said};
use super::Writer;
use crate::cache::encoded::codings_of;
use crate::cache::freshen;
use crate::cache::freshness::{Exchange, ResponseParts, Store, Unstorable, judge};
use crate::cache::purge::{Tags, Verdict};
use crate::cache::vary::{self, Selecting};
use crate::clock::Now;
use crate::pipeline::passage::Passage;
use crate::pipeline::reason::Reason;
use crate::proxy::RETRY_AFTER_FAILURE;
use crate::proxy::fill::{Head, is_error};

impl Writer {
    /// For which requests an answer is; none if it is for no other.
    pub(super) fn selecting(&self, passage: &Passage, response: &ResponseParts<'_>) -> Option<Selecting> {
        let names = vary::names(response)?;
        // The level is told with each request, and is in no key.
        let level = passage.site.policy.level.header.as_ref();
        if level.is_some_and(|level| names.iter().any(|name| name.eq_ignore_ascii_case(level))) {
            return None;
        }
        Some(Selecting::of(&names, said(&self.request, &mut room_for_fields())))
    }

    /// An error that would take the place of a copy that is better than it (RFC 5861 §4).
    pub(super) fn stands_for_good(&self, passage: &Passage, status: u16, now: Now) -> bool {
        if !is_error(status) {
            return false;
        }
        let mut room = room_for_fields();
        let held = passage.site.store.get(&self.key);
        let held = held.as_ref().and_then(|variants| variants.select(said(&self.request, &mut room)));
        held.is_some_and(|entry| !is_error(entry.status()) && entry.is_good_on_error(now.mono))
    }

    /// A 304: the copy is still right, and is what its fields now say (RFC 9111 §4.3.4).
    pub(super) fn validated(&mut self, passage: &Passage, update: &ResponseParts<'_>, now: Now) {
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
                let codings = codings_of(&entry, &parts, cache);
                self.keep(passage, Kept { status, fields, length, terms, selecting, mark, body, codings }, now);
            }
            (verdict, _) => {
                // That it is not for this one says nothing of those whom it is for.
                if !matches!(verdict, Some((Store::No(Unstorable::Personal), _))) {
                    entry.expire(now.mono);
                }
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
        tokio::spawn(run(Arc::clone(&self.door), passage.for_fill(), writer));
    }
}
