//! What is said to be out of date before its time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;

use super::entry::Entry;
use super::key;
use crate::clock::{Mono, Now};

/// URLs remembered at most. One more, and all that is held counts as out of date.
const MAX_URLS: usize = 100_000;

/// What to purge.
#[derive(Clone, Debug)]
pub enum Target {
    /// One URL: all its variants, in every cache.
    Url { host: Box<str>, path_and_query: Box<str> },
}

/// An order to purge.
#[derive(Clone, Debug)]
pub struct Purge {
    pub target: Target,
    /// Stale from now on, not gone.
    pub soft: bool,
}

/// The purges that some held entries have not heard of.
#[derive(Debug, Default)]
pub(super) struct Purges {
    any: AtomicBool,
    urls: RwLock<HashMap<Box<[u8]>, Mono>>,
    /// All that was asked for by then is out of date.
    floor: RwLock<Mono>,
}

impl Purges {
    pub(super) fn add(&self, what: &Purge, now: Now) {
        let Target::Url { host, path_and_query } = &what.target;
        let (path, query) = path_and_query.split_once('?').map_or((&**path_and_query, None), |(p, q)| (p, Some(q)));
        let mut url = Vec::new();
        key::write_url(&mut url, host, path, key::kept_parameters(query, &[]));
        let mut urls = self.urls.write();
        if urls.len() >= MAX_URLS && !urls.contains_key(&*url) {
            *self.floor.write() = now.mono;
            urls.clear();
        }
        urls.insert(url.into(), now.mono);
        self.any.store(true, Ordering::Release);
    }

    /// Makes an entry stale that a purge was about.
    pub(super) fn apply<'e>(&self, key: &[u8], entries: impl Iterator<Item = &'e std::sync::Arc<Entry>>) {
        if !self.any.load(Ordering::Acquire) {
            return;
        }
        let floor = *self.floor.read();
        let at = self.urls.read().get(key::url(key)).copied().unwrap_or_default().max(floor);
        if at > Mono::ZERO {
            entries.filter(|entry| entry.asked() <= at).for_each(|entry| entry.expire(at));
        }
    }
}
