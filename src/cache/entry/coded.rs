//! An entry in the codings of its body.

use std::sync::{Arc, OnceLock};

use http::header::{self, HeaderName, HeaderValue};

use super::{Entry, OVERHEAD};
use crate::cache::encoded::{Coding, Encoded, Job, OF_THE_BYTES, varies_by_coding};
use crate::cache::freshness::ResponseParts;
use crate::cache::key::Encodings;
use crate::clock::Now;
use crate::pipeline::view::Field;

/// The codings of an entry.
#[derive(Debug)]
pub(super) struct Coded {
    encoded: Arc<Encoded>,
    /// The entry with each coding's head and body.
    entries: [OnceLock<Arc<Entry>>; 3],
}

impl Coded {
    /// Bytes they take.
    pub(super) fn weight(&self, head: usize) -> usize {
        let made = Coding::ALL.into_iter().filter(|coding| self.encoded.body(*coding).is_some()).count();
        self.encoded.bytes() + made * (OVERHEAD + head)
    }
}

impl Entry {
    /// The same, given in these codings of its body from now on, and saying that it differs by what is
    /// asked for (RFC 9110 §12.5.5).
    #[must_use]
    pub fn encodable(self, codings: Arc<Encoded>) -> Self {
        let coded = Coded { encoded: codings, entries: Default::default() };
        let mut fields = self.fields.clone();
        let vary = fields.iter().filter(|(name, _)| name == header::VARY);
        if !varies_by_coding(vary.map(|(_, value)| value.as_bytes())) {
            fields.push((header::VARY, HeaderValue::from_static("Accept-Encoding")));
        }
        Self { coded: Some(Box::new(coded)), ..self.with(&fields, self.body.clone()) }
    }

    /// The codings of its body, if it is given in any: another entry with the same body may have them too.
    pub fn codings(&self) -> Option<&Arc<Encoded>> {
        self.coded.as_ref().map(|coded| &coded.encoded)
    }

    /// What to give a client that takes these codings, in place of the entry itself; none: the entry
    /// as it is.
    pub fn coded_for(&self, accepted: Encodings) -> Option<Arc<Self>> {
        let coded = self.coded.as_ref()?;
        let coding = coded.encoded.given(accepted)?;
        let body = coded.encoded.body(coding)?;
        let entry = coded.entries.get(coding as usize)?.get_or_init(|| {
            let mut fields = self.fields.clone();
            fields.retain(|(name, _)| !OF_THE_BYTES.iter().any(|other| name == other));
            for (name, value) in &mut fields {
                if *name == header::ETAG {
                    weaken(value);
                }
            }
            fields.push((header::CONTENT_ENCODING, HeaderValue::from_static(coding.name())));
            Arc::new(self.with(&fields, body.clone()))
        });
        Some(entry.clone())
    }

    /// The coding that is to be made for a client that takes these; to whom it is given, it is theirs
    /// alone to make.
    pub fn to_be_coded(self: &Arc<Self>, key: &[u8], accepted: Encodings) -> Option<Job> {
        let encoded = &self.coded.as_ref()?.encoded;
        Some(Job::new(key, self, encoded, encoded.wanted(accepted)?))
    }

    /// The same entry, of other fields and with another body.
    fn with(&self, fields: &[(HeaderName, HeaderValue)], body: bytes::Bytes) -> Self {
        let fields: Vec<Field<'_>> =
            fields.iter().map(|(name, value)| Field { name: name.as_str(), value: value.as_bytes() }).collect();
        let response = ResponseParts { status: self.status, fields: &fields };
        let entry = Self::new(&response, body, self.terms, Now { mono: self.stored, ..Now::default() });
        entry.for_requests(self.selecting.clone()).marked(self.mark.asked_again(self.mark.stamp()))
    }
}

/// Two codings are not the same bytes: what they share is no strong validator (RFC 9110 §8.8.3.3). A weak
/// one is still the origin's own, which it knows when it is asked by it.
fn weaken(etag: &mut HeaderValue) {
    if !etag.as_bytes().starts_with(b"W/")
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", etag.as_bytes()].concat())
    {
        *etag = weak;
    }
}
