//! One answer of the snapshot: its head, ready to be sent, and where its body lies.

use std::path::PathBuf;

use http::header::{DATE, ETAG, LAST_MODIFIED, VARY};
use http::{HeaderName, HeaderValue};

use super::manifest::PageTags;
use crate::cache::entry::Entry;
use crate::cache::precondition::{Precondition, Validators, evaluate, parts_asked, unix_seconds};
use crate::cache::purge::Stamp;
use crate::pipeline::view::View;

/// A file that can be served.
#[derive(Debug, Default)]
pub struct File {
    /// None: it has no body.
    pub path: Option<PathBuf>,
    pub status: u16,
    /// All but its length; the Date too, where the origin gave one.
    pub fields: Vec<(HeaderName, HeaderValue)>,
    /// When it was asked for: what was purged later is not served from it.
    pub since_unix_ms: u64,
    /// When the origin made it.
    pub date_unix_ms: u64,
    /// It stands for its path on every host.
    pub any_host: bool,
    /// It stands for its path with every query.
    pub any_query: bool,
    /// By what purges by tag may mean it.
    pub tags: PageTags,
}

impl File {
    /// A field's value.
    pub fn field(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, value)| value)
    }

    /// Whether it has the Date of the origin's answer, rather than none of its own.
    pub fn is_dated(&self) -> bool {
        self.field(&DATE).is_some()
    }

    /// Its age at this moment, where it is known.
    pub fn age_seconds(&self, unix_ms: u64) -> Option<u64> {
        self.is_dated().then(|| unix_ms.saturating_sub(self.date_unix_ms) / 1000)
    }

    /// Whether it says more than a copy: one that was asked for before it.
    pub fn is_newer_than(&self, entry: &Entry) -> bool {
        entry.mark().stamp() < Stamp::from_unix_ms(self.since_unix_ms)
    }

    /// What of it the one who asks is to get.
    pub fn share_of(&self, view: &View<'_>) -> Share {
        let seconds = |name| self.field(name).and_then(|value| unix_seconds(value.as_bytes()));
        let held = Validators {
            etag: self.field(&ETAG).map(HeaderValue::as_bytes),
            last_modified: seconds(&LAST_MODIFIED),
            date: seconds(&DATE),
        };
        if self.status != 200 {
            return Share::Whole;
        }
        match evaluate(view, &held) {
            Precondition::NotModified => Share::None,
            Precondition::Full => {
                // RFC 9110 §8.8.1: a date that several forms have is not by which parts of one may be joined.
                let last_modified = held.last_modified.filter(|_| self.field(&VARY).is_none());
                let held = Validators { last_modified, ..held };
                parts_asked(view, &held).map_or(Share::Whole, |ranges| Share::Parts(ranges.into()))
            }
        }
    }
}

/// What of a file a request gets (RFC 9110 §13.2.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Share {
    #[default]
    Whole,
    /// What this Range field asks for.
    Parts(Box<[u8]>),
    /// It has it already.
    None,
}
