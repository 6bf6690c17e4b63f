//! What a fill leaves behind for those who come after it, where it leaves no copy.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::cache::entry::Entry;
use crate::cache::freshness::{ResponseParts, Terms};
use crate::cache::purge::Stamp;
use crate::cache::remembered::{Failure, Known, Remembered, UNSHARED_FOR, is_repeatable};
use crate::cache::request::Lookup;
use crate::clock::{Clock, Now};
use crate::pipeline::passage::Passage;
use crate::pipeline::reason::Reason;
use crate::pipeline::view::Field;
use crate::proxy::fill::Head;

/// Where it is left, and for how long.
pub(super) struct Notes {
    remembered: Arc<Remembered>,
    slot: Box<[u8]>,
    /// A visitor's own request: that it failed may be about them.
    personal: bool,
    negative_ttl: Duration,
    /// When the origin was asked; until then, when that was to be.
    asked: Stamp,
    clock: Clock,
}

/// An error of the origin's, before its body is there.
pub(super) struct Failing {
    status: u16,
    /// Its fields, where others may have it too.
    fields: Option<Vec<(String, Vec<u8>)>>,
    arrived: Now,
}

impl Notes {
    pub(super) fn new(passage: &Passage, slot: Box<[u8]>, clock: Clock) -> Self {
        let cache = passage.site.cache_of(passage.route());
        let negative_ttl = cache.map_or(Duration::ZERO, |cache| cache.negative_ttl);
        let personal = matches!(passage.copy.lookup, Some(Lookup::Personal | Lookup::Authorized));
        let asked = passage.site.store.purges().stamp(clock.mono());
        Self { remembered: passage.site.remembered.clone(), slot, personal, negative_ttl, asked, clock }
    }

    /// The origin is asked now.
    pub(super) fn asked(&mut self, at: Stamp) {
        self.asked = at;
    }

    /// The origin was not asked, or gave no answer.
    pub(super) fn unanswered(&self, reason: Reason) {
        match Failure::of(reason) {
            Some(_) if self.personal && reason != Reason::OriginUnreachable => self.unshared(reason.status()),
            Some(failure) => self.failed(failure),
            None => self.learn(Known::Shed, self.negative_ttl),
        }
    }

    pub(super) fn failed(&self, failure: Failure) {
        self.learn(Known::Failed(failure), self.negative_ttl);
    }

    /// The answer is not for others. An error says little of what comes after it.
    pub(super) fn unshared(&self, status: u16) {
        self.learn(Known::Unshared, if status < 400 { UNSHARED_FOR } else { self.negative_ttl });
    }

    fn learn(&self, known: Known, keep: Duration) {
        self.remembered.learn(&self.slot, known, self.asked, keep, self.clock.mono());
    }
}

impl Failing {
    /// `all`: its fields as they came, of which the head has those that go on.
    pub(super) fn new(head: &Head, all: &[Field<'_>], arrived: Now) -> Self {
        let is_repeatable = is_repeatable(&ResponseParts { status: head.status, fields: all });
        Self { status: head.status, fields: is_repeatable.then(|| head.fields.clone()), arrived }
    }

    /// With its body; none: it is too large to be repeated.
    pub(super) fn with(self, body: Option<Bytes>) -> Failure {
        let Some((fields, body)) = self.fields.zip(body) else { return Failure::Because(Reason::OriginError) };
        let fields: Vec<Field<'_>> = fields.iter().map(|(name, value)| Field { name, value }).collect();
        let response = ResponseParts { status: self.status, fields: &fields };
        Failure::Answer(Arc::new(Entry::new(&response, body, Terms::default(), self.arrived)))
    }
}
