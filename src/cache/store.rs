//! Where entries are kept: bounded by memory, the least recently used go first.
//!
//! Not pure in one respect: moka reads its own clock to drop what is of no more use. Whether an
//! entry may answer is never left to that, but to [`Entry::state`] with the caller's `now`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::entry::Entry;
use super::purge::{Purge, Purges};
use super::variants::Variants;
use crate::clock::{Mono, Now};
use crate::pipeline::view::Field;

/// As [`super::key::write`] makes it.
type Key = Box<[u8]>;

/// The entries of all caches.
#[derive(Clone, Debug)]
pub struct Store {
    entries: Cache<Key, Arc<Variants>>,
    purges: Arc<Purges>,
}

/// How full a store is; up to a moment late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    pub entries: u64,
    pub bytes: u64,
    pub bytes_max: u64,
}

impl Store {
    /// An empty store of at most `memory_bytes`, keys and bookkeeping included. An entry that alone
    /// is larger is not kept.
    pub fn new(memory_bytes: u64) -> Self {
        let entries = Cache::builder()
            .max_capacity(memory_bytes)
            .weigher(|key: &Key, variants: &Arc<Variants>| {
                variants.weight().saturating_add(u32::try_from(key.len()).unwrap_or(u32::MAX))
            })
            // TinyLFU would turn away what is new while the store is full: those who followed a
            // fill would find nothing.
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(UsefulFor)
            .build();
        Self { entries, purges: Arc::default() }
    }

    /// What is held under a key, of use or not: see [`Entry::state`].
    pub fn get(&self, key: &[u8]) -> Option<Arc<Variants>> {
        let variants = self.entries.get(key)?;
        self.purges.apply(key, variants.iter());
        Some(variants)
    }

    /// Keeps the answer to a request with these fields, in place of those under its key that were for such a
    /// request.
    pub fn insert(&self, key: Key, entry: Arc<Entry>, request: &[Field<'_>], now: Mono) {
        self.entries.entry(key).and_upsert_with(|held| match held {
            Some(held) => Arc::new(held.value().with(entry, request, now)),
            None => Arc::new(Variants::new(entry)),
        });
    }

    /// What is held of this is stale from now on.
    pub fn purge(&self, what: &Purge, now: Now) {
        self.purges.add(what, now);
    }

    /// Forgets what is held under a key.
    pub fn remove(&self, key: &[u8]) {
        self.entries.invalidate(key);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.entries.invalidate_all();
    }

    /// How full it is.
    pub fn stats(&self) -> Stats {
        Stats {
            entries: self.entries.entry_count(),
            bytes: self.entries.weighted_size(),
            bytes_max: self.entries.policy().max_capacity().unwrap_or(0),
        }
    }
}

/// An entry goes when it is of no more use. Reading it changes nothing.
struct UsefulFor;

impl Expiry<Key, Arc<Variants>> for UsefulFor {
    fn expire_after_create(&self, _: &Key, held: &Arc<Variants>, _: Instant) -> Option<Duration> {
        Some(held.useful_for())
    }

    fn expire_after_update(&self, _: &Key, held: &Arc<Variants>, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(held.useful_for())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::cache::entry::State;
    use crate::cache::freshness::{ResponseParts, Terms};
    use crate::cache::key;
    use crate::cache::purge::Target;

    fn entry(body: usize, fresh_for: Duration) -> Arc<Entry> {
        let terms = Terms { public: true, fresh_for, ..Terms::default() };
        let head = ResponseParts { status: 200, fields: &[] };
        Arc::new(Entry::new(&head, Bytes::from(vec![b'x'; body]), terms, Now::default()))
    }

    fn minute(body: usize) -> Arc<Entry> {
        entry(body, Duration::from_secs(60))
    }

    #[test]
    fn what_is_inserted_is_found_until_it_is_removed() {
        let store = Store::new(1 << 20);
        store.insert(b"a"[..].into(), minute(10), &[], Mono::ZERO);
        store.insert(b"a"[..].into(), minute(20), &[], Mono::ZERO);
        assert_eq!(store.get(b"a").unwrap().select(&[]).unwrap().body().len(), 20);
        assert!(store.get(b"b").is_none());
        store.remove(b"a");
        assert!(store.get(b"a").is_none());
        store.insert(b"a"[..].into(), minute(10), &[], Mono::ZERO);
        store.clear();
        assert!(store.get(b"a").is_none());
    }

    #[test]
    fn memory_is_bounded_and_what_was_just_filled_is_there() {
        let store = Store::new(100_000);
        for n in 0..2000_u32 {
            let key: Key = n.to_be_bytes().into();
            store.insert(key.clone(), minute(1000), &[], Mono::ZERO);
            assert!(store.get(&key).is_some(), "entry {n} was turned away");
            store.entries.run_pending_tasks();
            assert!(store.stats().bytes <= 100_000);
        }
        let stats = store.stats();
        assert!(stats.entries >= 50 && stats.bytes > 90_000 && stats.bytes_max == 100_000, "{stats:?}");
    }

    #[test]
    fn an_entry_larger_than_the_store_is_not_kept() {
        let store = Store::new(10_000);
        store.insert(b"a"[..].into(), minute(20_000), &[], Mono::ZERO);
        store.entries.run_pending_tasks();
        assert!(store.get(b"a").is_none());
    }

    #[test]
    fn what_is_of_no_more_use_goes_by_itself() {
        let store = Store::new(100_000);
        store.insert(b"a"[..].into(), entry(10, Duration::from_millis(20)), &[], Mono::ZERO);
        std::thread::sleep(Duration::from_millis(40));
        assert!(store.get(b"a").is_none());
    }

    #[test]
    fn a_purge_makes_stale_what_was_asked_for_before_it() {
        let store = Store::new(1 << 20);
        let key = |path| {
            let mut key = vec![0];
            key.extend_from_slice(&[0; 8]);
            key::write_url(&mut key, "a.example", path, key::kept_parameters(Some("x=1"), &[]));
            Key::from(key)
        };
        let at = |second| Now::default().after(Duration::from_secs(second));
        let state = |path, now: Now| store.get(&key(path)).unwrap().select(&[]).unwrap().state(now.mono);
        store.insert(key("/a"), minute(10), &[], Mono::ZERO);
        store.insert(key("/b"), minute(10), &[], Mono::ZERO);
        let target = Target::Url { host: "A.example".into(), path_and_query: "/a?x=1".into() };
        store.purge(&Purge { target, soft: true }, at(5));
        assert_eq!((state("/a", at(5)), state("/b", at(5))), (State::Dead, State::Fresh));
        let asked_later = Arc::try_unwrap(minute(10)).unwrap().asked_at(at(6).mono);
        store.insert(key("/a"), Arc::new(asked_later), &[], at(7).mono);
        assert_eq!(state("/a", at(7)), State::Fresh);
    }
}
