//! An entry to be, before its body is there.

use std::sync::Arc;

use bytes::Bytes;

use super::{room_for_fields, said};
use crate::cache::encoded::{Encoded, is_of_size};
use crate::cache::entry::Entry;
use crate::cache::freshness::{ResponseParts, Terms};
use crate::cache::purge::Mark;
use crate::cache::store;
use crate::cache::vary::Selecting;
use crate::clock::Now;
use crate::pipeline::view::Field;

/// What is known of an entry to be, before its body is there.
pub(super) struct Storing {
    pub(super) status: u16,
    pub(super) fields: Vec<(String, Vec<u8>)>,
    pub(super) terms: Terms,
    pub(super) selecting: Selecting,
    pub(super) arrived: Now,
    pub(super) mark: Mark,
    pub(super) store: Arc<store::Store>,
    /// The body, where the origin said that it is still right.
    pub(super) body: Option<Bytes>,
    /// Of text, as far as the head says.
    pub(super) codings: Option<Arc<Encoded>>,
}

/// An answer to be kept, but for what is for one reader alone.
pub(super) struct Kept {
    pub(super) status: u16,
    pub(super) fields: Vec<(String, Vec<u8>)>,
    pub(super) length: Option<u64>,
    pub(super) terms: Terms,
    pub(super) selecting: Selecting,
    pub(super) mark: Mark,
    pub(super) body: Option<Bytes>,
    pub(super) codings: Option<Arc<Encoded>>,
}

impl Storing {
    /// Puts it into the store.
    pub(super) fn keep(self, key: Box<[u8]>, request: &[u8], body: Bytes) {
        let fields: Vec<Field<'_>> = self.fields.iter().map(|(n, v)| Field { name: n, value: v.as_slice() }).collect();
        let response = ResponseParts { status: self.status, fields: &fields };
        let codings = self.codings.filter(|_| is_of_size(body.len()));
        let entry = Entry::new(&response, body, self.terms, self.arrived);
        let entry = entry.for_requests(self.selecting).marked(self.mark);
        let entry = match codings {
            Some(codings) => entry.encodable(codings),
            None => entry,
        };
        let mut room = room_for_fields();
        self.store.insert(key, Arc::new(entry), said(request, &mut room), self.arrived.mono);
    }
}
