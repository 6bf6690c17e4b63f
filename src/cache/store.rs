//! Where entries are kept: bounded by memory, the least recently used go first; and the one door
//! through which they come out, where what was purged is held back.
//!
//! Not pure in one respect: moka reads its own clock to drop what is of no more use. Whether an
//! entry may answer is never left to that, but to [`Entry::state`] with the caller's `now`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::entry::Entry;
use super::hot::{self, Changes};
use super::purge::{Purge, Purged, Purges, Verdict};
use super::variants::Variants;
use crate::clock::{Mono, Now};
use crate::pipeline::view::Field;

/// The share of the memory (one in so many) that may come before what is too much goes.
const TOO_LATE: u64 = 128;

/// As [`super::key::write`] makes it.
type Key = Box<[u8]>;

/// The entries of all caches.
#[derive(Clone, Debug)]
pub struct Store {
    entries: Cache<Key, Arc<Variants>, ahash::RandomState>,
    purges: Arc<Purges>,
    changes: Arc<Changes>,
    hasher: ahash::RandomState,
    /// Bytes that came since what is too much was last sent away.
    came: Arc<AtomicU64>,
    memory: u64,
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
        Self::with(memory_bytes, Arc::new(Purges::new(Now::default())))
    }

    /// The same, subject to the purges of a store before it.
    pub fn with(memory_bytes: u64, purges: Arc<Purges>) -> Self {
        let entries = Cache::builder()
            .max_capacity(memory_bytes)
            .weigher(|key: &Key, variants: &Arc<Variants>| {
                variants.weight().saturating_add(u32::try_from(key.len()).unwrap_or(u32::MAX))
            })
            // TinyLFU would turn away what is new while the store is full: those who followed a
            // fill would find nothing.
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(UsefulFor)
            // Keys are the visitors' to choose: hashed under a seed of this process.
            .build_with_hasher(ahash::RandomState::new());
        let (changes, hasher) = (Arc::default(), ahash::RandomState::new());
        Self { entries, purges, changes, hasher, came: Arc::default(), memory: memory_bytes }
    }

    /// What is held under a key and is not purged, of use or not: see [`Entry::state`], which knows
    /// of soft purges from here on.
    pub fn get(&self, key: &[u8]) -> Option<Arc<Variants>> {
        let held = self.entries.get(key)?;
        // Each is looked up, not only up to the first: what is stale has to know it.
        let gone = held.iter().filter(|entry| self.is_gone(entry)).count();
        if gone == 0 { Some(held) } else { self.drop_purged(key, &held) }
    }

    /// The same, mostly without the table: for what is asked for again and again.
    pub fn get_hot(&self, key: &[u8], now: Mono) -> Option<Arc<Variants>> {
        let hash = self.hasher.hash_one(key);
        let change = self.changes.of(hash);
        let at_hand = hot::find(key, hash, change, now);
        if let Some(held) = at_hand.filter(|held| !held.iter().any(|entry| self.is_gone(entry))) {
            return Some(held);
        }
        let held = self.get(key)?;
        hot::keep(key, hash, change, &held, now);
        Some(held)
    }

    /// Notes that what is held under a key is another now.
    fn changed(&self, key: &[u8]) {
        self.changes.note(self.hasher.hash_one(key));
    }

    fn is_gone(&self, entry: &Entry) -> bool {
        self.purges.verdict(entry.mark()) == Verdict::Gone
    }

    /// Forgets what of this is purged, unless another has taken its place; what is left.
    fn drop_purged(&self, key: &[u8], held: &Arc<Variants>) -> Option<Arc<Variants>> {
        let left = held.only(|entry| !self.is_gone(entry)).map(Arc::new);
        let put = left.clone();
        self.entries.entry(key.into()).and_compute_with(|now| match now {
            Some(now) if Arc::ptr_eq(now.value(), held) => put.map_or(Op::Remove, Op::Put),
            _ => Op::Nop,
        });
        self.changed(key);
        left
    }

    /// Keeps the answer to a request with these fields, in place of those under its key that were for such a
    /// request, but for one that was asked for later, and unless it was purged on its way here.
    pub fn insert(&self, key: Key, entry: Arc<Entry>, request: &[Field<'_>], now: Mono) {
        if self.is_gone(&entry) {
            return;
        }
        let weight = u64::from(entry.weight());
        let hash = self.hasher.hash_one(&*key);
        self.entries.entry(key).and_compute_with(|held| match held {
            Some(held) if held.value().has_newer(&entry, request) => Op::Nop,
            Some(held) => Op::Put(Arc::new(held.value().with(entry, request, now))),
            None => Op::Put(Arc::new(Variants::new(entry))),
        });
        self.changes.note(hash);
        self.make_room(weight);
    }

    /// Moka sends away what is too much after some tens of insertions. Of large entries that would be far
    /// too late for the bound on memory.
    fn make_room(&self, weight: u64) {
        if self.came.fetch_add(weight, Ordering::Relaxed) + weight > self.memory / TOO_LATE {
            self.came.store(0, Ordering::Relaxed);
            self.entries.run_pending_tasks();
        }
    }

    /// Weighs an entry anew that has grown, if it is still among those under its key.
    pub fn reweigh(&self, key: &[u8], entry: &Arc<Entry>) {
        self.entries.entry(key.into()).and_compute_with(|held| match held {
            Some(held) if held.value().iter().any(|held| Arc::ptr_eq(held, entry)) => Op::Put(held.value().clone()),
            _ => Op::Nop,
        });
    }

    /// What is held of this (all its variants, in every cache) is from now on stale (soft) or gone
    /// (hard), and so is what a fill that is under way will bring.
    pub fn purge(&self, what: &Purge, now: Now) -> Purged {
        self.purges.purge(what, now)
    }

    /// What has been purged, and when.
    pub fn purges(&self) -> &Arc<Purges> {
        &self.purges
    }

    /// Forgets what is held under a key.
    pub fn remove(&self, key: &[u8]) {
        self.entries.invalidate(key);
        self.changed(key);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.entries.invalidate_all();
        self.changes.note_all();
    }

    /// Bytes held, to the last.
    #[cfg(test)]
    pub(super) fn weighed(&self) -> u64 {
        self.entries.run_pending_tasks();
        self.entries.weighted_size()
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
    use crate::cache::purge::{Mark, Names, Tags, Target};

    fn entry(body: usize, fresh_for: Duration) -> Arc<Entry> {
        let terms = Terms { public: true, fresh_for, ..Terms::default() };
        let head = ResponseParts { status: 200, fields: &[] };
        Arc::new(Entry::new(&head, Bytes::from(vec![b'x'; body]), terms, Now::default()))
    }

    /// What is held for anyone.
    fn held(store: &Store) -> Option<Arc<Entry>> {
        store.get(b"a")?.select(&[]).cloned()
    }

    fn minute(body: usize) -> Arc<Entry> {
        entry(body, Duration::from_secs(60))
    }

    #[test]
    fn what_is_at_hand_is_what_is_held() {
        let (store, other) = (Store::new(1 << 20), Store::new(1 << 20));
        let length = |store: &Store| Some(store.get_hot(b"a", Mono::ZERO)?.select(&[])?.body().len());
        for body in 1..4 {
            store.insert((*b"a").into(), minute(body), &[], Mono::ZERO);
            for _ in 0..3 {
                assert_eq!((length(&store), length(&other)), (Some(body), None));
            }
        }
        let purge = Purge { target: Target::Everything, soft: false };
        store.purge(&purge, Now { mono: Mono::from_nanos(1), unix_ms: 1 });
        assert_eq!(length(&store), None, "a purge is heard at once");
        for forget in [(|store: &Store| store.remove(b"a")) as fn(&Store), Store::clear] {
            other.insert((*b"a").into(), minute(7), &[], Mono::ZERO);
            assert_eq!(length(&other), Some(7));
            forget(&other);
            assert_eq!(length(&other), None);
        }
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
        assert!(stats.entries >= 40 && stats.bytes > 90_000 && stats.bytes_max == 100_000, "{stats:?}");
    }

    fn marked(store: &Store, now: Now, body: usize) -> Arc<Entry> {
        let names = Names::of("a.example", "/", std::iter::empty());
        let mark = Mark::new(store.purges().stamp(now.mono), &names, &[], Tags::None);
        Arc::new(Arc::into_inner(minute(body)).unwrap().marked(mark))
    }

    #[test]
    fn what_was_purged_does_not_come_out_and_gives_its_memory_back() {
        let store = Store::new(1 << 20);
        let at = |ms| Now::default().after(Duration::from_millis(ms));
        store.insert(b"a"[..].into(), marked(&store, at(1), 10), &[], at(1).mono);
        let late = marked(&store, at(2), 10);
        store.purge(&Purge { target: Target::url("a.example/").unwrap(), soft: false }, at(3));
        assert!(store.get(b"a").is_none());
        store.entries.run_pending_tasks();
        assert_eq!(store.stats().entries, 0);
        store.insert(b"a"[..].into(), late, &[], Mono::ZERO);
        assert!(store.get(b"a").is_none(), "its request went out before the purge");
        store.insert(b"a"[..].into(), marked(&store, at(4), 20), &[], at(4).mono);
        assert_eq!(held(&store).unwrap().body().len(), 20);
    }

    #[test]
    fn what_was_purged_softly_is_stale_from_then_on() {
        let store = Store::new(1 << 20);
        let at = |seconds| Now::default().after(Duration::from_secs(seconds));
        store.insert(b"a"[..].into(), marked(&store, at(0), 10), &[], at(0).mono);
        assert_eq!(held(&store).unwrap().state(at(20).mono), State::Fresh);
        store.purge(&Purge { target: Target::host("a.example").unwrap(), soft: true }, at(20));
        let entry = held(&store).unwrap();
        let within = |seconds| entry.state_within(at(seconds).mono, Duration::from_secs(10));
        assert_eq!((within(29), within(31)), (State::StaleWhileRevalidate, State::Dead));
        assert_eq!(entry.ttl_seconds(at(25).mono), -5);
    }

    #[test]
    fn an_answer_that_was_asked_for_earlier_replaces_none_that_was_later() {
        let store = Store::new(1 << 20);
        let at = |ms| Now::default().after(Duration::from_millis(ms));
        let (early, late) = (marked(&store, at(1), 10), marked(&store, at(2), 20));
        store.insert(b"a"[..].into(), late, &[], Mono::ZERO);
        store.insert(b"a"[..].into(), early, &[], Mono::ZERO);
        assert_eq!(held(&store).unwrap().body().len(), 20);
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
    fn a_write_makes_stale_what_was_asked_for_before_it_and_it_is_not_given_unasked() {
        let store = Store::new(1 << 20);
        let at = |second| Now::default().after(Duration::from_secs(second));
        let keep = |now| store.insert(b"a"[..].into(), marked(&store, now, 10), &[], now.mono);
        let within = |now: Now| held(&store).unwrap().state_within(now.mono, Duration::from_secs(10));
        keep(at(1));
        let target = Target::Written { host: "A.example".into(), path_and_query: "/".into() };
        store.purge(&Purge { target, soft: true }, at(5));
        assert_eq!(within(at(6)), State::Dead, "no time for it to answer while it is renewed");
        keep(at(7));
        assert_eq!(within(at(7)), State::Fresh);
    }
}
